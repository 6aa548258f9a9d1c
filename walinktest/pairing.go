package walinktest

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"

	"github.com/walink/walink/internal/number"
)

const (
	// ceremonyTTL is how long a phone waits before it says that it could not link.
	ceremonyTTL = 60 * time.Second
	// reconnectTTL is how long the server waits after a 515 for the client to close.
	reconnectTTL = 3 * time.Second
	// reconnectDelay is how long the server waits before it sends the 515. After
	// pair-success whatsmeow still sends a node from another goroutine
	// (sendUnifiedSession in client.go), which needs the lock that its reconnect holds.
	// In a synctest bubble time does not advance while a goroutine waits for a lock, so
	// a reconnect that only a deadline ends was seen to hang for ever. Delete when
	// handlePairSuccess in pair.go sends that node itself.
	reconnectDelay = time.Millisecond
)

// ceremony is one phone pairing with one companion. Its channels have room for one
// value, so that the server never waits for a phone.
type ceremony struct {
	phone    *Phone
	finished chan finish // the companion's answer to primary_hello, after a pairing code
	ended    chan error  // how the ceremony ended

	// The server's mu guards the fields below.

	expires time.Time
	id      string // of the node with pair-success
	device  *device
	signed  []byte // the details that the companion signs
	secret  [32]byte
	qr      bool
}

// finish is the companion_finish of a companion.
type finish struct{ bundle, identity []byte }

// pending reports whether the ceremony has not ended. The caller holds the server's mu.
func (c *ceremony) pending() bool { return c != nil && time.Now().Before(c.expires) }

// release removes a ceremony, so that the next phone can begin one.
func (p *companion) release(c *ceremony) {
	p.conn.srv.mu.Lock()
	defer p.conn.srv.mu.Unlock()
	if p.ceremony == c {
		p.ceremony = nil
	}
	c.phone.dismiss(c)
}

// end ends the ceremony for the phone. Only the first call counts.
func (c *ceremony) end(err error) {
	select {
	case c.ended <- err:
	default:
	}
}

// refuse ends the ceremony with what a script has the phone say.
func (c *ceremony) refuse(action Action) { c.end(cmp.Or(action.said, ErrLinkFailed)) }

// begin starts a ceremony. It returns nil if another is pending or the companion has
// gone. The caller holds the server's mu.
func (p *companion) begin(phone *Phone) *ceremony {
	if p.ceremony.pending() || p.gone() {
		return nil
	}
	p.ceremony = &ceremony{
		phone:    phone,
		expires:  time.Now().Add(ceremonyTTL),
		finished: make(chan finish, 1),
		ended:    make(chan error, 1),
	}
	return p.ceremony
}

// link asks for the passkey, if the account has one, and pairs.
func (c *ceremony) link(ctx context.Context, p *companion, secret [32]byte, qr bool) error {
	if c.phone.passkey != nil {
		var err error
		if secret, err = c.prove(ctx, p, secret); err != nil {
			p.release(c)
			return err
		}
	}
	return c.pair(ctx, p, secret, qr)
}

// extend gives the ceremony time for its next step. The caller holds the server's mu.
func (c *ceremony) extend() {
	if expires := time.Now().Add(ceremonyTTL); expires.After(c.expires) {
		c.expires = expires
	}
}

// left returns how long the ceremony may still take.
func (c *ceremony) left() time.Duration {
	c.phone.srv.mu.Lock()
	defer c.phone.srv.mu.Unlock()
	return time.Until(c.expires)
}

// wait returns the value that comes through awaited. If the ceremony ends before, wait
// returns the reason.
func wait[T any](ctx context.Context, c *ceremony, p *companion, awaited <-chan T) (value T, err error) {
	timer := time.NewTimer(c.left())
	defer timer.Stop()
	for {
		select {
		case value = <-awaited:
			return value, nil
		case err := <-c.ended:
			return value, err
		case <-timer.C:
			left := c.left()
			if left <= 0 {
				return value, ErrLinkFailed
			}
			timer.Reset(left)
		case <-ctx.Done():
			return value, ctx.Err()
		case <-p.conn.done:
			select {
			case err := <-c.ended: // the ceremony ended before the connection
				return value, err
			default:
			}
			return value, p.conn.srv.lost()
		}
	}
}

// lost returns what a phone says when the companion's connection has ended.
func (s *Server) lost() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrServerUnreachable
	}
	return ErrLinkFailed
}

// pair sends pair-success and waits for the companion's signature.
func (c *ceremony) pair(ctx context.Context, p *companion, secret [32]byte, qr bool) error {
	s := p.conn.srv
	s.mu.Lock()
	device := s.newDevice(c.phone, p)
	c.secret, c.qr = secret, qr
	s.mu.Unlock()
	if device == nil {
		p.release(c)
		return ErrDeviceLimit
	}
	p.conn.perform(StagePairSuccess, c.refuse, func(action Action) {
		if action.kind == actionRefreshQR {
			s.mu.Lock()
			p.refreshed = true
			p.withdraw(secret)
			s.mu.Unlock()
			p.refresh()
			c.end(ErrWithdrawnQR)
			return
		}
		p.pairSuccess(action, c, device)
	})
	_, err := wait[struct{}](ctx, c, p, nil)
	if ctx.Err() == nil { // after an interruption the companion may still answer
		p.release(c)
	}
	return err
}

// pairSuccess sends the identity that the phone has signed for the companion. Its children
// are those that WhatsApp Web requires, and reads (WASmaxInMdSetRegRequest): without a
// jurisdiction it refuses the node.
func (p *companion) pairSuccess(action Action, c *ceremony, device *device) {
	s := p.conn.srv
	phone := c.phone
	identity, details := phone.identityOf(device, c.secret, action)
	if action.kind == actionMalformed {
		identity = []byte("not a device identity")
	}
	props := encode(&waCompanionReg.ClientPairingProps{IsChatDbLidMigrated: new(true)}) // the addresses are LIDs
	s.mu.Lock()
	if p.ceremony != c { // the phone gave up during a scripted delay
		s.mu.Unlock()
		return
	}
	c.id = strconv.Itoa(s.id())
	c.device, c.signed = device, details
	s.mu.Unlock()
	children := []waBinary.Node{
		{Tag: "device-identity", Content: identity},
		{Tag: "device", Attrs: waBinary.Attrs{"jid": device.jid, "lid": device.lid}},
		{Tag: "platform", Attrs: waBinary.Attrs{"name": phone.platform}},
		{Tag: "client-props", Content: props},
		metadataFor(device, c.secret),
	}
	if region := number.Region(phone.number); region != "" {
		children = append(children, waBinary.Node{
			Tag: "jurisdiction", Attrs: waBinary.Attrs{"iso": region, "cc": number.CountryCode(phone.number)},
		})
	}
	if phone.business != "" {
		children = append(children, waBinary.Node{Tag: "biz", Attrs: waBinary.Attrs{"name": phone.business}})
	}
	p.conn.send(waBinary.Node{
		Tag:     "iq",
		Attrs:   waBinary.Attrs{"from": types.ServerJID, "type": "set", "id": c.id, "xmlns": "md", "t": time.Now().Unix()},
		Content: []waBinary.Node{{Tag: "pair-success", Content: children}},
	})
}

// paired takes the companion's answer to pair-success.
func (p *companion) paired(answer *waBinary.Node) {
	s := p.conn.srv
	s.mu.Lock()
	c := p.ceremony
	if c == nil || c.id == "" || c.id != text(answer.Attrs["id"]) {
		s.mu.Unlock()
		return // the answer to pair-device
	}
	if text(answer.Attrs["type"]) == "error" {
		refusal := ErrLinkFailed
		if c.qr && p.refreshed {
			p.withdraw(c.secret)
			refusal = ErrWithdrawnQR
		}
		s.mu.Unlock()
		c.end(refusal)
		return
	}
	s.mu.Unlock()
	refuse := func(action Action) { p.conn.fail(action) }
	p.conn.perform(StagePairDeviceSign, refuse, func(Action) {
		if !p.verify(c, answer) {
			c.end(ErrLinkFailed)
			p.conn.fail(Failure(400))
			return
		}
		s.mu.Lock()
		c.device.linkedAt = time.Now()
		c.device.proof = content(answer, "pair-device-sign", "device-identity")
		s.devices[c.device.id()] = c.device
		s.notifyDevices(c.device.endpoint())
		if p.code != nil {
			p.code.spent = true
		}
		for _, ref := range p.refs {
			delete(s.refs, ref)
		}
		p.refs = nil
		s.mu.Unlock()
		c.end(nil)
		p.conn.after(reconnectDelay, func() {
			p.conn.perform(StageLoginReconnect, p.conn.fail, func(Action) {
				p.conn.send(streamError(515, ""))
				p.conn.after(reconnectTTL, p.conn.close)
			})
		})
	})
}

// verify checks pair-device-sign (generateDeviceSignature of whatsmeow makes it).
func (p *companion) verify(c *ceremony, answer *waBinary.Node) bool {
	node, ok := answer.GetOptionalChildByTag("pair-device-sign", "device-identity")
	if !ok || text(node.Attrs["key-index"]) != strconv.FormatUint(uint64(c.device.keyIndex), 10) {
		return false
	}
	var identity waAdv.ADVSignedDeviceIdentity
	if err := proto.Unmarshal([]byte(text(node.Content)), &identity); err != nil {
		return false
	}
	if string(identity.GetDetails()) != string(c.signed) || len(identity.GetDeviceSignature()) != 64 ||
		len(identity.GetAccountSignatureKey()) != 0 {
		return false
	}
	account := c.phone.identity.Pub
	message := slices.Concat(whatsmeow.AdvDeviceSignaturePrefix, c.signed, p.identity[:], account[:])
	return ecc.VerifySignature(ecc.NewDjbECPublicKey(p.identity), message, [64]byte(identity.GetDeviceSignature()))
}
