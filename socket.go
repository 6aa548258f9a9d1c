package walink

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
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
	post    func(input)
	phone   Phone // the account that is expected; zero for any
	linked  bool  // the device was linked before this socket
	device  *wastore.Device
	tracker *tracker

	reconnects bool // what EnableAutoReconnect is to be after the login

	mu       sync.Mutex
	client   *whatsmeow.Client // nil until it is made
	isShut   bool
	life     context.Context //nolint:containedctx // whatsmeow takes the life of a connection from its context
	cancel   context.CancelFunc
	isOpen   bool
	pairing  chan struct{} // not nil once whatsmeow stores a pair-success; closed when it is through
	rejected *Error        // why checkAccount said no
	finishID string        // of the companion_finish under way
}

// setClient gives the socket its client, before it connects.
func (s *socket) setClient(client *whatsmeow.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client = client
}

// whatsmeow returns the client.
func (s *socket) whatsmeow() *whatsmeow.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

// stands reports whether the socket is connected and logged in.
func (s *socket) stands() bool {
	client := s.whatsmeow()
	return client.IsLoggedIn() && client.IsConnected()
}

// connect opens the socket and posts how that went.
func (s *socket) connect(fail func(error) inLost) {
	s.mu.Lock()
	ctx, client, isShut := s.life, s.client, s.isShut
	s.mu.Unlock()
	if isShut {
		return
	}
	err := s.tracker.open(func() error { return client.ConnectContext(ctx) })
	if err != nil && !errors.Is(err, whatsmeow.ErrAlreadyConnected) {
		s.post(fail(err))
		return
	}
	s.mu.Lock()
	s.isOpen = true
	s.mu.Unlock()
	s.post(inOpened{s.epoch})
}

// reconnect closes the connection and opens another with the same client.
func (s *socket) reconnect(parent context.Context, fail func(error) inLost) {
	s.mu.Lock()
	client, cancel := s.client, s.cancel
	s.life, s.cancel = context.WithCancel(parent)
	s.isOpen = false
	isShut := s.isShut
	s.mu.Unlock()
	s.disconnect(client, cancel)
	cancel()
	if !isShut {
		s.connect(fail)
	}
}

// shut closes the socket, and returns when whatsmeow has let go of it. A
// pairing that is being stored is given the time to end one way or the other.
func (s *socket) shut() {
	s.mu.Lock()
	s.isShut = true
	client, cancel, isOpen, pairing := s.client, s.cancel, s.isOpen, s.pairing
	s.mu.Unlock()
	defer cancel()
	if client == nil {
		return // not made yet: connect will see that it must not
	}
	// ConnectContext holds the lock that Disconnect needs: end it first.
	if !isOpen && !s.tracker.kill() {
		cancel() // it is dialing
	}
	s.disconnect(client, cancel)
	if pairing != nil {
		timer := time.NewTimer(storeGrace)
		defer timer.Stop()
		select {
		case <-pairing:
		case <-timer.C:
		}
	}
}

// disconnect closes the connection, politely for a moment and then at once.
// Disconnect itself may be kept waiting by a reconnect of whatsmeow's own.
func (s *socket) disconnect(client *whatsmeow.Client, cancel context.CancelFunc) {
	s.tracker.hush(closeGrace)
	hurry := time.AfterFunc(closeGrace, func() {
		s.tracker.kill()
		cancel()
	})
	defer hurry.Stop()
	client.Disconnect()
	s.tracker.kill()
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
	if err != nil {
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
		return &Error{Reason: ErrTimeout, Op: op, Err: errors.New("WhatsApp does not answer")}
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
func (s *socket) checkAccount(next func(types.JID, string, string) bool) func(types.JID, string, string) bool {
	return func(jid types.JID, platform, business string) bool {
		rejected := s.reject(phoneFromDigits(jid.User))
		s.mu.Lock()
		s.rejected = rejected
		if rejected == nil && s.pairing == nil {
			s.pairing = make(chan struct{})
		}
		s.mu.Unlock()
		return rejected == nil && (next == nil || next(jid, platform, business))
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

// paired notes that whatsmeow is through with a pair-success, and returns why
// checkAccount said no, if it did.
func (s *socket) paired() (rejected *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pairing != nil {
		select {
		case <-s.pairing:
		default:
			close(s.pairing)
		}
	}
	return s.rejected
}

// handle is whatsmeow's event handler. Failures that have a node of their own
// are told by recv, which sees them earlier and always.
func (s *socket) handle(evt any) {
	switch e := evt.(type) {
	case *events.QR:
		s.post(inRefs{s.epoch, slices.Clone(e.Codes)})
	case *events.RotateADVSecret:
		s.post(inSecret{s.epoch, e.NewSecret})
	case *events.PairPasskeyConfirmation:
		s.post(inPasskeyCode{s.epoch, e.Code, e.SkipHandoffUX})
	case *events.PairPasskeyError:
		s.lost(&Error{Reason: ErrPasskey, Op: "passkey", Err: errors.New(mask(e.Error.Error()))}, fewTries)
	case *events.PairSuccess:
		_ = s.paired()
		s.post(inPaired{s.epoch, accountOf(e.ID, e.LID, e.BusinessName, e.Platform)})
	case *events.PairError:
		err, tries := pairFailed(e.Error, s.paired())
		s.lost(err, tries)
	case *events.QRScannedWithoutMultidevice:
		s.lost(&Error{Reason: ErrMultideviceOff, Op: "scan"}, fewTries)
	case *events.ManualLoginReconnect:
		s.post(inReconnect{s.epoch})
	case *events.Connected:
		// From here on reconnects are whatsmeow's own; if the connection has ended
		// already, Disconnected follows.
		client := s.whatsmeow()
		if s.tracker.whileUp(func() { client.EnableAutoReconnect = s.reconnects }) {
			s.post(inLoggedIn{s.epoch, deviceAccount(s.device)})
		}
	case *events.Disconnected:
		s.lost(&Error{Reason: ErrNetwork, Op: "connection", Err: errConnectionClosed}, 0)
	}
}

func (s *socket) lost(err *Error, tries int) { s.post(inLost{s.epoch, err, tries}) }

// recv sees every node that arrives, before whatsmeow handles it, in the
// goroutine that reads the connection. It must not block and not change it.
func (s *socket) recv(node *waBinary.Node) {
	switch node.Tag {
	case "failure":
		err, tries := failureNode(node, s.isLinked())
		s.lost(err, tries)
	case "stream:error":
		if err, tries := streamError(node, s.isLinked()); err != nil {
			s.lost(err, tries)
		}
	case "iq":
		// The answer to companion_finish, which whatsmeow only logs.
		s.mu.Lock()
		refused := s.finishID != "" && node.Attrs["id"] == s.finishID && node.Attrs["type"] == "error"
		s.mu.Unlock()
		if refused {
			s.post(inRefused{s.epoch})
		}
	case "notification":
		switch node.Attrs["type"] {
		case "link_code_companion_reg":
			// whatsmeow does not read the stage; the values are WhatsApp Web's.
			reg := node.GetChildByTag("link_code_companion_reg")
			switch reg.Attrs["stage"] {
			case "primary_hello":
				s.post(inAnswered{s.epoch})
			case "refresh_code":
				s.post(inRefused{s.epoch})
			}
		case "passkey_prologue_request":
			content, _ := node.GetChildByTag("passkey_request_options").Content.([]byte)
			s.post(inPasskey{s.epoch, asJSON(content)})
		}
	}
}

// send sees every node that goes out, in the goroutine that sends it. Before
// companion_finish whatsmeow replaces the ADV secret, which is in the QR code
// on the screen too (handleCodePairNotification in its pair-code.go).
func (s *socket) send(node *waBinary.Node) {
	if node.Tag == "iq" && node.Attrs["type"] == "error" && !s.linked {
		// A pair-success is refused. whatsmeow sends this and disconnects
		// (handlePairSuccess in its pair.go), perhaps while the server does so too.
		s.tracker.hush(closeGrace)
		return
	}
	reg, ok := node.GetOptionalChildByTag("link_code_companion_reg")
	if !ok || reg.Attrs["stage"] != "companion_finish" {
		return
	}
	id, _ := node.Attrs["id"].(string)
	s.mu.Lock()
	s.finishID = id
	s.mu.Unlock()
	s.post(inSecret{s.epoch, base64.StdEncoding.EncodeToString(s.device.AdvSecretKey)})
}

// isLinked reports whether the connection is one of a linked device.
func (s *socket) isLinked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.linked || s.pairing != nil
}

var (
	errConnectionClosed = errors.New("WhatsApp closed the connection")
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
