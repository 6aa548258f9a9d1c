package walinktest

import (
	"encoding/base64"
	"time"

	"go.mau.fi/libsignal/ecc"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// How long an unlinked companion has: 6 refs, the first for a minute, the others for
// 20 seconds each (qrchan.go of whatsmeow). The socket lives a little longer.
const (
	refCount     = 6
	firstRef     = 60 * time.Second
	furtherRef   = 20 * time.Second
	companionTTL = 180 * time.Second
)

// companion is an unlinked client that has registered and waits for a phone.
type companion struct {
	conn     *conn
	noise    [32]byte
	identity [32]byte
	keys     preKeys // without one-time keys
	props    *waCompanionReg.DeviceProps
	version  store.WAVersionContainer

	// The server's mu guards the fields below.

	refs         []string
	issued       time.Time
	code         *linkCode
	ceremony     *ceremony
	passkey      *passkeyLink      // the latest passkey challenge that it got
	ephemeralRef string            // the latest ref for an ephemeral identity that it got
	refreshed    bool              // the server has sent companion_reg_refresh
	withdrawn    map[[32]byte]bool // ADV secrets that the server knows to be replaced
}

// register takes a client's payload: that of a linked device or of a new companion.
// It returns the handler for the client's nodes.
func (c *conn) register(static [32]byte, payload *waWa6.ClientPayload) func(*waBinary.Node) {
	app := payload.GetUserAgent().GetAppVersion()
	version := store.WAVersionContainer{app.GetPrimary(), app.GetSecondary(), app.GetTertiary()}
	c.srv.mu.Lock()
	c.srv.stats.LastVersion = version
	outdated := version.LessThan(c.srv.required)
	c.srv.mu.Unlock()
	nothing := func(*waBinary.Node) {}
	if outdated {
		c.fail(Failure(405)) // events.ConnectFailureClientOutdated of whatsmeow
		return nothing
	}
	registration := payload.GetDevicePairingData()
	if registration == nil {
		return c.login(static, payload)
	}
	companion, ok := newCompanion(c, static, registration)
	if !ok {
		c.fail(Failure(400))
		return nothing
	}
	companion.version = version
	c.srv.mu.Lock()
	c.companion = companion
	c.srv.mu.Unlock()
	c.perform(StagePairDevice, c.fail, companion.pairDevice)
	return companion.handle
}

// newCompanion checks a registration (store/clientpayload.go of whatsmeow).
func newCompanion(c *conn, static [32]byte, data *waWa6.ClientPayload_DevicePairingRegistrationData) (*companion, bool) {
	identity := data.GetEIdent()
	signed := waBinary.Node{Tag: "skey", Content: []waBinary.Node{
		{Tag: "id", Content: data.GetESkeyID()},
		{Tag: "value", Content: data.GetESkeyVal()},
		{Tag: "signature", Content: data.GetESkeySig()},
	}}
	if len(data.GetERegid()) != 4 || string(data.GetEKeytype()) != string([]byte{ecc.DjbType}) ||
		len(identity) != 32 || !validSigned([32]byte(identity), &signed) {
		return nil, false
	}
	props := new(waCompanionReg.DeviceProps)
	if err := proto.Unmarshal(data.GetDeviceProps(), props); err != nil {
		return nil, false
	}
	registered := preKeys{registration: waBinary.Node{Tag: "registration", Content: data.GetERegid()}, signed: signed}
	return &companion{conn: c, noise: static, identity: [32]byte(identity), keys: registered, props: props}, true
}

// pairDevice sends the refs. They take the place of earlier ones.
func (p *companion) pairDevice(action Action) {
	s := p.conn.srv
	refs := make([]waBinary.Node, 0, refCount)
	s.mu.Lock()
	if !s.conns[p.conn] { // the connection ended during a scripted delay
		s.mu.Unlock()
		return
	}
	id := s.id()
	for _, ref := range p.refs {
		delete(s.refs, ref)
	}
	p.refs = nil
	if action.kind != actionMalformed {
		for range refCount {
			ref := newRef()
			p.refs = append(p.refs, ref)
			s.refs[ref] = p
			refs = append(refs, waBinary.Node{Tag: "ref", Content: []byte(ref)})
		}
	}
	p.issued = time.Now()
	s.mu.Unlock()
	p.conn.send(waBinary.Node{
		Tag:     "iq",
		Attrs:   waBinary.Attrs{"from": types.ServerJID, "type": "set", "id": id, "xmlns": "md"},
		Content: []waBinary.Node{{Tag: "pair-device", Content: refs}},
	})
	p.conn.after(companionTTL, p.expire)
}

// expire closes the socket. While the refs, a code or a challenge is still good, or a
// phone is pairing, it waits.
func (p *companion) expire() {
	s := p.conn.srv
	s.mu.Lock()
	wait := time.Until(p.issued.Add(companionTTL))
	if p.code.good() {
		wait = max(wait, time.Until(p.code.expires))
	}
	if p.ceremony.pending() {
		wait = max(wait, time.Until(p.ceremony.expires))
	}
	if p.passkey != nil { // a late answer gets a refusal
		wait = max(wait, time.Until(p.passkey.sent.Add(challengeTTL+ceremonyTTL)))
	}
	s.mu.Unlock()
	if wait > 0 {
		p.conn.after(wait, p.expire)
		return
	}
	p.conn.close()
}

// refGood reports whether a phone may still scan ref. The caller holds the server's mu.
func (p *companion) refGood(ref string) bool {
	expires := p.issued.Add(firstRef)
	for _, candidate := range p.refs {
		if candidate == ref {
			return time.Now().Before(expires)
		}
		expires = expires.Add(furtherRef)
	}
	return false
}

// handle answers a node of a waiting companion.
func (p *companion) handle(node *waBinary.Node) {
	if node.Tag != "iq" {
		return // acks and telemetry
	}
	switch text(node.Attrs["type"]) {
	case "result", "error":
		p.paired(node)
		return
	}
	if registration, ok := node.GetOptionalChildByTag("link_code_companion_reg"); ok {
		switch text(registration.Attrs["stage"]) {
		case "companion_hello":
			p.companionHello(node, &registration)
		case "companion_finish":
			p.companionFinish(node, &registration)
		default:
			p.conn.refuse(node, Refuse(400))
		}
		return
	}
	if text(node.Attrs["xmlns"]) == "w:p" { // a ping (keepalive.go of whatsmeow)
		p.conn.result(node)
		return
	}
	if p.handlePasskey(node) {
		return
	}
	p.conn.refuse(node, Refuse(501))
}

// RefreshRegistration makes every waiting companion replace the ADV secret in its QR
// code (the notification companion_reg_refresh), and returns the number of these
// companions. Pass the payloads that are on their screens as shown, since the server
// cannot know the secrets: phones then refuse these payloads with ErrWithdrawnQR. If
// a phone scans an old payload that was not passed, the companion notices, and ends
// its connection. That phone also returns ErrWithdrawnQR.
func (s *Server) RefreshRegistration(shown ...string) int {
	s.mu.Lock()
	waiting := s.waiting()
	for _, payload := range shown {
		if qr, err := ParseQR(payload); err == nil && s.refs[qr.Ref] != nil {
			s.refs[qr.Ref].withdraw(qr.ADVSecret)
		}
	}
	for _, p := range waiting {
		p.refreshed = true
	}
	s.mu.Unlock()
	for _, p := range waiting {
		p.refresh()
	}
	return len(waiting)
}

// RenewRefs sends every waiting companion a second pair-device: its earlier refs are no
// longer good, and a phone that scans one says ErrStaleQR. It returns the number of these
// companions.
func (s *Server) RenewRefs() int {
	s.mu.Lock()
	waiting := s.waiting()
	s.mu.Unlock()
	for _, p := range waiting {
		p.pairDevice(Pass())
	}
	return len(waiting)
}

// waiting returns the companions that have refs. The caller holds mu.
func (s *Server) waiting() []*companion {
	var waiting []*companion
	for c := range s.conns {
		if c.companion != nil && len(c.companion.refs) > 0 {
			waiting = append(waiting, c.companion)
		}
	}
	return waiting
}

// withdraw marks an ADV secret as replaced. The caller holds the server's mu.
func (p *companion) withdraw(secret [32]byte) {
	if p.withdrawn == nil {
		p.withdrawn = make(map[[32]byte]bool)
	}
	p.withdrawn[secret] = true
}

func (p *companion) refresh() {
	p.notify("companion_reg_refresh", waBinary.Node{Tag: "companion_reg_refresh"})
}

// notify sends a notification.
func (p *companion) notify(kind string, child waBinary.Node) {
	s := p.conn.srv
	s.mu.Lock()
	node := s.notification(kind, types.ServerJID, child)
	s.mu.Unlock()
	p.conn.sendAcked(node)
}

// forget removes a connection that has ended, and its refs.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if p := c.companion; p != nil {
		for _, ref := range p.refs {
			delete(s.refs, ref)
		}
		p.refs = nil
	}
	if c.device != nil && c.device.conn == c {
		c.device.conn, c.device.active = nil, false
	}
}

// newRef returns a ref in the form of WhatsApp's own.
func newRef() string {
	return "2@" + base64.StdEncoding.EncodeToString(random(64))
}
