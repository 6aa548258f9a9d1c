package walinktest

import (
	"strconv"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/types"
)

// login takes a linked device's payload (getLoginPayload of whatsmeow). It returns the
// handler for the device's nodes.
func (c *conn) login(static [32]byte, payload *waWa6.ClientPayload) func(*waBinary.Node) {
	s := c.srv
	id := deviceID{strconv.FormatUint(payload.GetUsername(), 10), uint16(payload.GetDevice())}
	s.mu.Lock()
	device := s.devices[id]
	if device != nil && device.noise == static {
		c.device = device
	}
	s.mu.Unlock()
	c.perform(StageLogin, c.fail, func(Action) {
		s.mu.Lock()
		if !s.conns[c] { // the connection ended during a scripted delay
			s.mu.Unlock()
			return
		}
		device := s.devices[id]
		if device == nil || device.noise != static {
			s.mu.Unlock()
			c.fail(Failure(401)) // events.ConnectFailureLoggedOut of whatsmeow
			return
		}
		older := device.conn
		device.conn, device.active, device.presence = c, false, ""
		device.logins++
		s.stats.Logins++
		if older != nil {
			s.stats.Replaced++
		}
		success := waBinary.Node{Tag: "success", Attrs: waBinary.Attrs{
			"t":        time.Now().Unix(),
			"lid":      device.lid,
			"creation": device.linkedAt.Unix(),
			"location": location,
		}}
		preview, waiting := device.backlog()
		s.mu.Unlock()
		if older != nil {
			older.endWith(streamError(0, "replaced")) // handleStreamError of whatsmeow
		}
		c.send(success)
		if waiting {
			c.send(preview)
		}
		if !payload.GetPassive() {
			c.activate(true)
		}
	})
	if c.device == nil {
		return func(*waBinary.Node) {}
	}
	return c.handleLinked
}

// handleLinked answers a node of a logged-in device.
func (c *conn) handleLinked(node *waBinary.Node) {
	switch node.Tag {
	case "message":
		c.send(c.srv.message(c.device.endpoint(), node))
		return
	case "receipt":
		c.srv.acknowledge(c.device, node)
		c.srv.receipt(c.device.endpoint(), node)
		attrs := waBinary.Attrs{"class": "receipt", "id": text(node.Attrs["id"]), "from": node.Attrs["to"]}
		copyAttrs(attrs, node.Attrs, "type", "participant")
		c.send(waBinary.Node{Tag: "ack", Attrs: attrs})
		return
	case "ack":
		c.srv.acknowledge(c.device, node)
		return
	case "presence":
		said := types.Presence(text(node.Attrs["type"]))
		if said == types.PresenceAvailable || said == types.PresenceUnavailable { // and not subscribe
			c.srv.mu.Lock()
			c.device.presence = said
			c.srv.mu.Unlock()
		}
		return
	case "iq":
	default:
		return // telemetry
	}
	namespace, kind := text(node.Attrs["xmlns"]), text(node.Attrs["type"])
	if kind != "get" && kind != "set" {
		return // an answer to a node of the server
	}
	if namespace == "w:p" {
		c.result(node)
		return
	}
	refuse := func(action Action) { c.refuse(node, action) }
	c.perform(StageAfterLogin, refuse, func(action Action) {
		if action.kind == actionMalformed {
			c.result(node)
			return
		}
		switch namespace + " " + kind {
		case "encrypt get":
			c.answerKeys(node)
		case "usync get":
			c.usync(node)
		case "encrypt set":
			c.storePreKeys(node)
		case "passive set":
			// The backlog goes out before the answer, so that the server sends nothing
			// unasked to a client that may be disconnecting: see linger.
			_, active := node.GetOptionalChildByTag("active")
			c.activate(active)
			c.result(node)
		case "w:m set":
			c.mediaConn(node)
		case "w:sync:app:state set":
			c.syncAppState(node)
		case "privacy get", "privacy set":
			c.handlePrivacy(node)
		case "urn:xmpp:whatsapp:dirty set": // MarkNotDirty of whatsmeow
			c.result(node)
		case "w:g2 get":
			c.handleGroups(node)
		case "md set":
			c.logout(node)
		default:
			refuse(Refuse(501))
		}
	})
}

// logout unlinks the device at its own request (Client.Logout of whatsmeow).
func (c *conn) logout(request *waBinary.Node) {
	removal, ok := request.GetOptionalChildByTag("remove-companion-device")
	if !ok {
		c.refuse(request, Refuse(501))
		return
	}
	if jid, isJID := removal.Attrs["jid"].(types.JID); !isJID || jid.User != c.device.jid.User || jid.Device != c.device.jid.Device {
		c.refuse(request, Refuse(403))
		return
	}
	c.unlink()
	c.result(request)
	c.after(closeDelay, c.close)
}
