package walink

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink/internal/hint"
)

const (
	// closeGrace is how long a websocket may take to say goodbye.
	closeGrace = time.Second
	// storeGrace is how long a pairing that whatsmeow is storing may take to end.
	storeGrace = 5 * time.Second
	// logoutLimit is how long WhatsApp may take to answer that a device is unlinked.
	logoutLimit = 30 * time.Second
)

// socket is one whatsmeow client and its connection. Its handlers run in
// whatsmeow's goroutines; they only post inputs.
type socket struct {
	epoch   int
	phone   Phone // the account that is expected; zero for any
	linked  bool  // the device was linked before this socket
	device  *wastore.Device
	tracker *tracker

	answering chan struct{} // holds one while an assertion is on its way

	reconnects, manual bool // what EnableAutoReconnect and DisableLoginAutoReconnect are to be after the login

	mu        sync.Mutex
	inbox     *inbox            // of whoever watches the socket
	client    *whatsmeow.Client // nil until it is made
	isShut    bool
	life      context.Context //nolint:containedctx // whatsmeow takes the life of a connection from its context
	cancel    context.CancelFunc
	isFree    bool            // see letGo
	pairing   chan struct{}   // not nil once a pair-success has come; closed when whatsmeow is through with it
	isPaired  bool            // pairing is closed
	isAgreed  bool            // checkAccount has said yes
	isRefused bool            // the pair-success was not good, which is why the connection ends
	late      []input         // what came meanwhile
	rejected  *Error          // why checkAccount said no
	account   Account         // that the device is linked to
	challenge json.RawMessage // of the passkey, as it arrived last
	helloID   string          // of the last companion_hello
	codeRef   string          // of the code that it brought
	finishID  string          // of the companion_finish under way
}

// setClient gives the socket its client, before it connects.
func (s *socket) setClient(client *whatsmeow.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client = client
}

// post hands an input to whoever watches the socket.
func (s *socket) post(in input) {
	s.mu.Lock()
	box := s.inbox
	s.mu.Unlock()
	box.post(in)
}

// redirect gives the socket another watcher, or none, together with what the
// present one has not taken yet.
func (s *socket) redirect(to, from *inbox, rest []input) {
	if to == nil {
		to = closedInbox()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inbox = to
	for _, in := range slices.Concat(rest, from.take()) {
		if in.socket() == s.epoch {
			to.post(in)
		}
	}
}

// whatsmeow returns the client.
func (s *socket) whatsmeow() *whatsmeow.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

// linkedTo returns the account. whatsmeow may be deleting the device meanwhile.
func (s *socket) linkedTo() Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.account
}

// stands reports whether the socket is connected and logged in.
func (s *socket) stands() bool {
	return s.whatsmeow().IsLoggedIn() && s.tracker.up()
}

// connect opens the socket and posts how that went.
func (s *socket) connect(fail func(error) inLost) {
	s.mu.Lock()
	ctx, client, isShut := s.life, s.client, s.isShut
	if !isShut {
		s.tracker.begin()
	}
	s.mu.Unlock()
	if isShut {
		return
	}
	err := client.ConnectContext(ctx)
	s.tracker.opened()
	if err != nil && !errors.Is(err, whatsmeow.ErrAlreadyConnected) {
		s.post(fail(err))
		return
	}
	s.post(inOpened{s.epoch})
}

// reconnect closes the connection and opens another with the same client.
func (s *socket) reconnect(parent context.Context, fail func(error) inLost) {
	s.mu.Lock()
	client, cancel := s.client, s.cancel
	s.life, s.cancel = context.WithCancel(parent)
	s.mu.Unlock()
	s.disconnect(client, cancel)
	cancel()
	s.connect(fail)
}

// shut closes the socket, and returns when whatsmeow has let go of it. A
// pairing that is being stored is given the time to end one way or the other.
func (s *socket) shut() {
	s.mu.Lock()
	s.isShut = true
	client, cancel := s.client, s.cancel
	s.mu.Unlock()
	defer cancel()
	if client == nil {
		return // not made yet: connect will see that it must not
	}
	s.disconnect(client, cancel)
	s.awaitPairing() // checkAccount lets none begin any more
}

// disconnect closes the connection, politely for a moment and then at once.
// Disconnect itself may be kept waiting by a reconnect of whatsmeow's own.
func (s *socket) disconnect(client *whatsmeow.Client, cancel context.CancelFunc) {
	c, dialing := s.tracker.quieten()
	// A connect, ours or one of whatsmeow's own, holds the lock that Disconnect needs.
	if dialing {
		cancel()
	}
	end := cancel
	if c != nil {
		c.calm(closeGrace)
		end = func() {
			c.kill()
			cancel()
		}
		defer c.kill()
	}
	hurry := time.AfterFunc(closeGrace, end)
	defer hurry.Stop()
	client.Disconnect()
}

// logout tells WhatsApp to forget the device, and returns once it has. It is
// whatsmeow's Logout without the Disconnect in it, which is not safe while the
// server closes the connection (see tracker).
func (s *socket) logout(ctx context.Context) error {
	const op = "unlink"
	client := s.whatsmeow()
	internals := client.DangerousInternals() //nolint:staticcheck // "deprecated" there stands for "dangerous"; nothing public sends an IQ
	id := internals.GenerateRequestID()
	answer := internals.WaitResponse(id)
	err := internals.SendNode(ctx, waBinary.Node{
		Tag:   "iq",
		Attrs: waBinary.Attrs{"id": id, "xmlns": "md", "type": "set", "to": types.ServerJID},
		Content: []waBinary.Node{{
			Tag:   "remove-companion-device",
			Attrs: waBinary.Attrs{"jid": s.device.GetJID(), "reason": "user_initiated"},
		}},
	})
	if err != nil && ctx.Err() == nil {
		return &Error{Reason: ErrNetwork, Op: op, Err: errors.New(mask(err.Error()))}
	}
	timer := time.NewTimer(logoutLimit)
	defer timer.Stop()
	select {
	case node := <-answer:
		if failure := logoutFailed(op, node); failure != nil {
			return failure
		}
		return nil
	case <-timer.C:
		return &Error{Reason: ErrStalled, Op: op, Err: hint.New(
			errors.New("WhatsApp does not answer"), "Try again, or remove the device on the phone, under Linked devices.",
		)}
	case <-ctx.Done():
		failure := stopped(ctx)
		failure.Op = op
		return failure
	}
}

// requestCode asks the server for a pairing code. It blocks until the answer.
func (s *socket) requestCode(push bool, kind whatsmeow.PairClientType, display string) (string, error) {
	s.mu.Lock()
	ctx, client := s.life, s.client
	s.mu.Unlock()
	return client.PairPhone(ctx, s.phone.Digits(), push, kind, display)
}

// checkAccount returns the client's PrePairCallback: the last moment before
// anything is stored. next is the one that the program has set, if any.
//
// whatsmeow handles each pair-success in a goroutine of its own. One that comes
// a second time would be stored at the same time as the first, and whatever
// came of it would end the connection, so its goroutine ends here.
func (s *socket) checkAccount(next func(types.JID, string, string) bool) func(types.JID, string, string) bool {
	return func(jid types.JID, platform, business string) bool {
		rejected := s.reject(phoneFromDigits(jid.User))
		s.mu.Lock()
		agreed, good := s.isAgreed, !s.isShut && rejected == nil
		if !agreed {
			s.isAgreed, s.rejected = good, rejected
		}
		s.mu.Unlock()
		if agreed {
			runtime.Goexit()
		}
		return good && (next == nil || next(jid, platform, business))
	}
}

// reject says why a device of this account must not be linked, or nil.
func (s *socket) reject(account Phone) *Error {
	switch {
	case account.IsZero():
		return &Error{Reason: ErrPairing, Op: "pair", Err: errNoDevice}
	case !s.phone.IsZero() && !s.phone.SameAccount(account):
		return &Error{Reason: ErrWrongAccount, Op: "pair", Err: &wrongPhone{want: s.phone, have: account}}
	}
	return nil
}

// handle is whatsmeow's event handler. Failures that have a node of their own
// are told by recv, which sees them earlier and always.
func (s *socket) handle(evt any) {
	switch e := evt.(type) {
	case *events.QR:
		s.post(inRefs{s.epoch, slices.Clone(e.Codes)})
	case *events.RotateADVSecret:
		s.post(inSecret{s.epoch, e.NewSecret})
	case *events.PairPasskeyRequest:
		s.post(inPasskey{s.epoch, s.passkeyChallenge(), nil})
	case *events.PairPasskeyConfirmation:
		s.post(inPasskeyCode{s.epoch, e.Code, e.SkipHandoffUX})
	case *events.PairPasskeyError:
		challenge := s.passkeyChallenge()
		switch {
		case e.Continuation && challenge == nil:
			return // nobody was asked for a passkey
		case !e.Continuation && challenge != nil:
			s.post(inPasskey{s.epoch, challenge, &Error{Reason: ErrPasskey, Op: "read challenge", Err: errBadChallenge}})
			return
		}
		err := passkeyRefusal("passkey", e.Error)
		s.lost(err, passkeyTries(err))
	case *events.PairSuccess:
		account := accountOf(e.ID, e.LID, e.BusinessName, e.Platform)
		s.mu.Lock()
		s.account = account
		s.mu.Unlock()
		s.paired(inPaired{s.epoch, account})
	case *events.PairError:
		err, tries := pairFailed(e.Error, s.refuse())
		s.post(inLost{s.epoch, err, tries})
	case *events.QRScannedWithoutMultidevice:
		s.lost(&Error{Reason: ErrMultideviceOff, Op: "scan"}, fewTries)
	case *events.ManualLoginReconnect:
		s.afterPairing(inReconnect{s.epoch})
	case *events.Connected:
		// If the connection has ended already, Disconnected follows.
		if s.tracker.whileUp(s.letGo) {
			s.post(inLoggedIn{s.epoch, s.linkedTo()})
		}
	case *events.KeepAliveTimeout:
		// whatsmeow reconnects then, and does not tell (keepAliveLoop in its keepalive.go).
		if time.Since(e.LastSuccess) > whatsmeow.KeepAliveMaxFailTime {
			s.lost(&Error{Reason: ErrNetwork, Op: "connection", Err: errSilent}, 0)
		}
	case *events.Disconnected:
		s.lost(&Error{Reason: ErrNetwork, Op: "connection", Err: errConnectionClosed}, 0)
	}
}

// letGo leaves reconnects to whatsmeow, once: from then on they are the program's.
func (s *socket) letGo() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isFree {
		s.isFree = true
		s.client.EnableAutoReconnect, s.client.DisableLoginAutoReconnect = s.reconnects, s.manual
	}
}

// guard puts a guard before the stores of the device, until the login is over.
func (s *socket) guard(limit time.Duration) {
	g := &guard{limit: limit, free: s.loggedIn, stalled: func(err *Error) { s.lost(err, noTries) }}
	g.put(s.device)
}

// loggedIn reports whether the client is the program's.
func (s *socket) loggedIn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isFree
}

// isLeftAlone reports whether a 515 is whatsmeow's own.
func (s *socket) isLeftAlone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isFree && !s.manual
}

func (s *socket) lost(err *Error, tries int) { s.afterPairing(inLost{s.epoch, err, tries}) }

// isLinked reports whether the connection is one of a linked device.
func (s *socket) isLinked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.linked || s.pairing != nil
}

var (
	errSilent           = errors.New("WhatsApp has been silent for minutes")
	errConnectionClosed = errors.New("WhatsApp closed the connection")
	errBadChallenge     = errors.New("the passkey challenge cannot be parsed")
	errNoDevice         = errors.New("pair-success names no device")
)

// asJSON returns data if it is JSON, and otherwise as a JSON string: what
// cannot be parsed is handed on as it is.
func asJSON(data []byte) json.RawMessage {
	if json.Valid(data) {
		return data
	}
	quoted, _ := json.Marshal(string(data)) //nolint:errchkjson // a string always marshals
	return quoted
}

func deviceAccount(d *wastore.Device) Account {
	return accountOf(d.GetJID(), d.GetLID(), d.BusinessName, d.Platform)
}

func accountOf(jid, lid types.JID, business, platform string) Account {
	return Account{JID: jid, LID: lid, Phone: phoneFromDigits(jid.User), BusinessName: business, Platform: platform}
}

// wrongPhone is the cause of an ErrWrongAccount during linking.
type wrongPhone struct{ want, have Phone }

func (e *wrongPhone) Error() string {
	return e.have.Redacted() + " answered, and " + e.want.Redacted() + " was expected"
}

// Remedy tells what to do about it.
func (e *wrongPhone) Remedy() string {
	return "Enter the code on the phone that holds " + e.want.Redacted() + "."
}
