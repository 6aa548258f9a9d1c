package walinktest

import (
	"context"
	"encoding/json"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"go.mau.fi/whatsmeow/util/keys"
)

const (
	// challengeTTL is how long a companion may take to answer a passkey challenge.
	challengeTTL = 10 * time.Minute
	// handoffTTL is how long after the challenge a hand-off proof is good
	// (passkeyHandoffKey of whatsmeow).
	handoffTTL = 5 * time.Minute
	// continueDelay is how long after the server's answer to the prologue the phone's part
	// comes. A phone is a network away, and a client may ignore what comes with the answer
	// (WaShortcakeFlow.ts of zapo).
	continueDelay = 20 * time.Millisecond
)

// passkeyStep is how far a companion has come in proving an account's passkey.
type passkeyStep int

const (
	stepAsked     passkeyStep = iota // the companion has the challenge
	stepAnswered                     // its assertion was good
	stepContinued                    // it has the phone's ephemeral identity
	stepRevealed                     // its nonce fits its commitment, and both sides know the code
	stepRequested                    // its keys and new ADV secret have arrived
	stepGranted                      // the phone goes on to pair-success
)

// passkeyLink is the part of a ceremony in which a companion proves that its owner has
// the account's passkey, and phone and companion agree on keys over the server
// (pair-passkey.go of whatsmeow is the other side).
type passkeyLink struct {
	ceremony  *ceremony
	companion *companion
	secret    [32]byte // the ADV secret of the hand-off proof
	challenge protocol.URLEncodedBase64
	options   []byte // the challenge as the companion gets it
	ephemeral *keys.KeyPair
	nonce     [32]byte
	granted   chan [32]byte // gets the new ADV secret, once

	// The server's mu guards the fields below.

	step       passkeyStep
	sent       time.Time // when the companion got the challenge
	identity   []byte    // the companion's ephemeral identity, marshaled
	commitment []byte
	key        []byte // decrypts the pairing request
	trusted    bool   // the hand-off proof was good
	code       string
	confirmed  bool     // nobody has to compare the codes any more
	agreed     [32]byte // the ADV secret of the pairing request
}

// prove makes the companion prove the account's passkey. It returns the ADV secret of
// the companion's pairing request.
func (c *ceremony) prove(ctx context.Context, p *companion, secret [32]byte) ([32]byte, error) {
	s := p.conn.srv
	l := &passkeyLink{
		ceremony:  c,
		companion: p,
		secret:    secret,
		challenge: random(32),
		ephemeral: keys.NewKeyPair(),
		nonce:     [32]byte(random(32)),
		granted:   make(chan [32]byte, 1),
	}
	var err error
	if l.options, err = json.Marshal(c.phone.passkey.challengeOptions(l.challenge)); err != nil {
		return secret, err
	}
	p.conn.perform(StagePasskeyRequest, c.refuse, func(action Action) {
		s.mu.Lock()
		if p.ceremony != c { // the phone gave up during a scripted delay
			s.mu.Unlock()
			return
		}
		l.sent = time.Now()
		c.expires = l.sent.Add(challengeTTL)
		p.passkey = l
		s.mu.Unlock()
		p.notify("passkey_prologue_request", l.challengeNode(action))
	})
	return wait(ctx, c, p, l.granted)
}

// handlePasskey answers a companion's request and steps of the passkey ceremony. It
// returns false for any other node.
func (p *companion) handlePasskey(node *waBinary.Node) bool {
	children := node.GetChildren()
	if len(children) != 1 {
		return false
	}
	child := &children[0]
	sent := []byte(text(child.Content))
	switch text(node.Attrs["type"]) + " " + child.Tag {
	case "get passkey_request_options":
		p.passkeyRequestOptions(node)
	case "get ref":
		p.passkeyRef(node)
	case "set passkey_prologue":
		arrived := time.Now()
		take := func(l *passkeyLink) Refusal { return l.takePrologue(child, arrived) }
		then := func(l *passkeyLink) { p.conn.after(continueDelay, l.continuation) }
		p.advance(StagePasskeyPrologue, node, stepAsked, take, then)
	case "set companion_nonce":
		take := func(l *passkeyLink) Refusal { return l.takeNonce(sent) }
		p.advance(StageCompanionNonce, node, stepContinued, take, (*passkeyLink).compare)
	case "set encrypted_pairing_request":
		take := func(l *passkeyLink) Refusal { return l.takeRequest(sent) }
		p.advance(StagePairingRequest, node, stepRevealed, take, (*passkeyLink).grant)
	default:
		return false
	}
	return true
}

// passkeyRequestOptions answers a companion that asks for the challenge, since it could
// not read the notification.
func (p *companion) passkeyRequestOptions(request *waBinary.Node) {
	refuse := func(action Action) { p.conn.refuse(request, action) }
	p.conn.perform(StagePasskeyRequest, refuse, func(action Action) {
		p.conn.srv.mu.Lock()
		l := p.passkey
		p.conn.srv.mu.Unlock()
		if l == nil {
			refuse(Refuse(404))
			return
		}
		p.conn.result(request, l.challengeNode(action))
	})
}

func (l *passkeyLink) challengeNode(action Action) waBinary.Node {
	options := l.options
	if action.kind == actionMalformed {
		options = []byte("not JSON")
	}
	return waBinary.Node{Tag: "passkey_request_options", Content: options}
}

// passkeyRef answers a companion that asks for the ref of its ephemeral identity.
func (p *companion) passkeyRef(request *waBinary.Node) {
	refuse := func(action Action) { p.conn.refuse(request, action) }
	p.conn.perform(StagePasskeyRef, refuse, func(action Action) {
		if action.kind == actionMalformed {
			p.conn.result(request)
			return
		}
		ref := newRef()
		p.conn.srv.mu.Lock()
		p.ephemeralRef = ref
		p.conn.srv.mu.Unlock()
		p.conn.result(request, waBinary.Node{Tag: "ref", Content: []byte(ref)})
	})
}

// advance answers a companion's step. step is the one before it. advance calls take with
// the server's mu held; take returns the reason to refuse the companion's step, or "".
// Without a reason, advance calls then.
func (p *companion) advance(stage Stage, request *waBinary.Node, step passkeyStep, take func(*passkeyLink) Refusal, then func(*passkeyLink)) {
	s := p.conn.srv
	arrived := time.Now()
	refuse := func(action Action) { p.conn.refuse(request, action) }
	p.conn.perform(stage, refuse, func(Action) {
		s.mu.Lock()
		l := p.passkey
		reason := l.due(step, arrived)
		if reason == "" {
			reason = take(l)
		}
		if reason != "" {
			if l != nil {
				phone := l.ceremony.phone
				phone.refusals = append(phone.refusals, reason)
			}
			s.mu.Unlock()
			refuse(Refuse(reason.code()))
			return
		}
		l.step = step + 1
		l.ceremony.extend()
		s.mu.Unlock()
		p.conn.result(request)
		then(l)
	})
}

// due returns the reason why a companion's step is not due, or "" if it is. The caller
// holds mu.
func (l *passkeyLink) due(step passkeyStep, arrived time.Time) Refusal {
	switch {
	case l == nil:
		return ErrPasskeyTurn
	case step == stepAsked && l.step > step:
		return ErrPasskeyAnswered
	case step == stepAsked && !arrived.Before(l.sent.Add(challengeTTL)):
		return ErrPasskeyLate
	case l.step != step || l.companion.ceremony != l.ceremony: // too early, a second time, or the phone has given up
		return ErrPasskeyTurn
	}
	return ""
}

// continuation sends the phone's ephemeral identity.
func (l *passkeyLink) continuation() {
	p := l.companion
	p.conn.perform(StagePasskeyContinuation, l.ceremony.refuse, func(action Action) {
		identity := &waCompanionReg.PrimaryEphemeralIdentity{PublicKey: l.ephemeral.Pub[:], Nonce: l.nonce[:]}
		if action.kind == actionMalformed {
			identity.PublicKey = identity.PublicKey[:31]
		}
		p.conn.srv.mu.Lock()
		l.step = stepContinued
		p.conn.srv.mu.Unlock()
		p.notify("crsc_continuation", waBinary.Node{Tag: "primary_ephemeral_identity", Content: encode(identity)})
	})
}

// compare asks the person to compare the codes, unless a hand-off proof spares that.
func (l *passkeyLink) compare() {
	phone := l.ceremony.phone
	phone.srv.mu.Lock()
	defer phone.srv.mu.Unlock()
	if l.trusted && !phone.codeCheck {
		l.confirmed = true
		return
	}
	phone.ask(l)
}

// confirm notes that the person has found the codes to be the same. The caller holds the
// server's mu.
func (l *passkeyLink) confirm() {
	l.confirmed = true
	l.ceremony.extend()
	l.finish()
}

// grant gives the pairing request to the phone.
func (l *passkeyLink) grant() {
	s := l.companion.conn.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	l.finish()
}

// finish lets the phone go on, if the code is confirmed and the pairing request has
// arrived. The caller holds the server's mu.
func (l *passkeyLink) finish() {
	if l.confirmed && l.step == stepRequested {
		l.step = stepGranted
		l.granted <- l.agreed
	}
}
