package walinktest

import (
	"strconv"
	"time"

	"go.mau.fi/libsignal/ecc"
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
			c.fail(Failure(401, "location", "lla")) // events.ConnectFailureLoggedOut of whatsmeow
			return
		}
		older := device.conn
		device.conn = c
		device.logins++
		s.stats.Logins++
		if older != nil {
			s.stats.Replaced++
		}
		success := waBinary.Node{Tag: "success", Attrs: waBinary.Attrs{
			"t":        time.Now().Unix(),
			"lid":      device.lid,
			"creation": device.linkedAt.Unix(),
			"location": "lla",
		}}
		s.mu.Unlock()
		if older != nil {
			older.endWith(streamError(0, "replaced")) // handleStreamError of whatsmeow
		}
		c.send(success)
	})
	if c.device == nil {
		return func(*waBinary.Node) {}
	}
	return c.handleLinked
}

// handleLinked answers a node of a logged-in device.
func (c *conn) handleLinked(node *waBinary.Node) {
	if node.Tag != "iq" {
		return // acks, receipts, presence, telemetry
	}
	namespace := text(node.Attrs["xmlns"])
	switch text(node.Attrs["type"]) {
	case "get", "set":
	default:
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
		switch namespace + " " + text(node.Attrs["type"]) {
		case "encrypt get":
			c.countPreKeys(node)
		case "encrypt set":
			c.storePreKeys(node)
		case "passive set":
			// The end of the backlog goes out before the answer, so that the server
			// sends nothing unasked to a client that may be disconnecting: see linger.
			if _, active := node.GetOptionalChildByTag("active"); active {
				c.send(waBinary.Node{
					Tag:     "ib",
					Attrs:   waBinary.Attrs{"from": types.ServerJID},
					Content: []waBinary.Node{{Tag: "offline", Attrs: waBinary.Attrs{"count": "0"}}},
				})
			}
			c.result(node)
		case "md set":
			c.logout(node)
		default:
			refuse(Refuse(501))
		}
	})
}

// countPreKeys answers the question how many one-time keys of the device the server
// has (getServerPreKeyCount of whatsmeow).
func (c *conn) countPreKeys(request *waBinary.Node) {
	if _, ok := request.GetOptionalChildByTag("count"); !ok {
		c.refuse(request, Refuse(501))
		return
	}
	c.srv.mu.Lock()
	count := c.device.preKeys
	c.srv.mu.Unlock()
	c.result(request, waBinary.Node{Tag: "count", Attrs: waBinary.Attrs{"value": strconv.Itoa(count)}})
}

// storePreKeys checks an upload of keys, and counts the keys (uploadPreKeys of whatsmeow).
func (c *conn) storePreKeys(request *waBinary.Node) {
	identity := c.device.identity
	list := request.GetChildByTag("list")
	uploaded := list.GetChildrenByTag("key")
	signed := request.GetChildByTag("skey")
	signature := content(&signed, "signature")
	ok := len(content(request, "registration")) == 4 &&
		string(content(request, "type")) == string([]byte{ecc.DjbType}) &&
		string(content(request, "identity")) == string(identity[:]) &&
		len(uploaded) > 0 && validKey(&signed) && len(signature) == 64 &&
		ecc.VerifySignature(ecc.NewDjbECPublicKey(identity), append([]byte{ecc.DjbType}, content(&signed, "value")...), [64]byte(signature))
	for i := range uploaded {
		ok = ok && validKey(&uploaded[i])
	}
	if !ok {
		c.refuse(request, Refuse(406))
		return
	}
	c.srv.mu.Lock()
	c.device.preKeys += len(uploaded)
	c.srv.mu.Unlock()
	c.result(request)
}

func validKey(node *waBinary.Node) bool {
	return len(content(node, "id")) == 3 && len(content(node, "value")) == 32
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
