package walinktest

import (
	"maps"
	"strconv"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// deliver sends the nodes of a script. It returns false if they end the connection.
func (c *conn) deliver(nodes []waBinary.Node) bool {
	open := true
	for _, node := range nodes {
		open = c.deliverOne(node) && open
	}
	if !open {
		c.after(closeDelay, c.close)
	}
	return open
}

func (c *conn) deliverOne(node waBinary.Node) bool {
	s := c.srv
	attrs := waBinary.Attrs{"from": types.ServerJID}
	s.mu.Lock()
	companion := c.companion
	if node.Tag == "iq" || node.Tag == "notification" {
		attrs["id"], attrs["t"] = strconv.Itoa(s.id()), time.Now().Unix()
	}
	s.mu.Unlock()
	maps.Copy(attrs, node.Attrs)
	switch node.Tag {
	case "stream:error":
		conflict := node.GetChildByTag("conflict")
		if text(node.Attrs["code"]) == "516" || text(conflict.Attrs["type"]) == "device_removed" {
			c.unlink()
		}
		fallthrough
	case "failure", "xmlstreamend":
		c.send(node)
		return false
	case "iq":
		if refs, ok := node.GetOptionalChildByTag("pair-device"); ok && len(refs.GetChildren()) == 0 && companion != nil {
			companion.pairDevice(Pass())
			return true
		}
	case "notification":
		if companion != nil && text(node.Attrs["type"]) == "companion_reg_refresh" {
			s.mu.Lock()
			companion.refreshed = true
			s.mu.Unlock()
		}
		node.Attrs = attrs
		c.sendAcked(node)
		return true
	}
	node.Attrs = attrs
	c.send(node)
	return true
}

// unlink removes the device of the connection from its account.
func (c *conn) unlink() {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	if device := c.device; device != nil && c.srv.devices[device.id()] == device {
		delete(c.srv.devices, device.id())
	}
}
