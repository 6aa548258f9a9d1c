package walinktest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/gcmutil"
	"go.mau.fi/whatsmeow/util/hkdfutil"
	"go.mau.fi/whatsmeow/util/keys"
	"golang.org/x/crypto/curve25519"

	"github.com/walink/walink/internal/number"
)

// Phone is a person's phone, the primary device of an account. Its methods are safe
// for concurrent use.
type Phone struct {
	srv      *Server
	number   string
	jid, lid types.JID
	identity *keys.KeyPair
	rawID    uint32
	platform string
	business string
	pushName string
	signal   func() *signalStore // makes the store at its first use
	state    func() *appState    // likewise

	accountType, deviceType waAdv.ADVEncryptionType

	passkey   *Passkey // nil when the account has none
	codeCheck bool

	// The server's mu guards the fields below.

	privacy      []waBinary.Node            // nothing changes an element
	history      *waHistorySync.HistorySync // nil: SetHistory was not called
	lastDevice   uint16
	lastKeyIndex uint32 // no index is given out twice
	failures     int    // links in a row that came to nothing
	lockedUntil  time.Time
	refusals     []Refusal
	asking       []*passkeyLink // the links whose codes are on the screen
	asked        chan struct{}  // closed when asking grows
	inbox        []waBinary.Node
	reading      bool           // a goroutine reads the inbox
	retries      map[string]int // how often it has asked for each message; only that goroutine uses them
	received     []received
	arrived      chan struct{} // closed when received grows

	// sending orders the phone's own messages, and guards its Signal sessions and the field
	// below. Nobody takes it while holding the server's mu.
	sending sync.Mutex
	sent    []sentMessage
}

// PhoneOption changes a phone that NewPhone makes.
type PhoneOption func(*Phone)

// WithBusinessName makes the account a business of that name.
func WithBusinessName(name string) PhoneOption {
	return func(p *Phone) { p.business = name }
}

// WithPushName gives the account a name that others see with its messages, and that its linked
// devices learn. The default is "Phone" and the last four digits of the number.
func WithPushName(name string) PhoneOption {
	return func(p *Phone) { p.pushName = name }
}

// WithPlatform names the phone's platform, such as "iphone". The default is "android".
func WithPlatform(name string) PhoneOption {
	return func(p *Phone) { p.platform = name }
}

// NewPhone returns a phone with an account for a number. Write the number with its country
// code; NewPhone ignores everything but digits. A second phone for the same number is a
// new installation: it has another identity key, and the server removes the devices
// that were linked before.
func (s *Server) NewPhone(phoneNumber string, options ...PhoneOption) *Phone {
	digits := number.Digits(phoneNumber)
	sum := sha256.Sum256([]byte(digits))
	// LIDs have 15 digits that do not show the number.
	lid := strconv.FormatUint(1e14+binary.BigEndian.Uint64(sum[:])%9e14, 10)
	phone := &Phone{
		srv:      s,
		number:   digits,
		jid:      types.NewJID(digits, types.DefaultUserServer),
		lid:      types.NewJID(lid, types.HiddenUserServer),
		identity: keys.NewKeyPair(),
		rawID:    binary.BigEndian.Uint32(sum[8:]),
		platform: "android",
		pushName: "Phone " + digits[max(0, len(digits)-4):],
		privacy:  newPrivacy(),
		asked:    make(chan struct{}),
		arrived:  make(chan struct{}),
		retries:  make(map[string]int),

		lastKeyIndex: maxDevice, // so that no key index is a device number
	}
	phone.signal = sync.OnceValue(func() *signalStore { return newSignalStore(phone.identity, phone.rawID%16380+1) })
	phone.state = sync.OnceValue(func() *appState { return newAppState(phone) })
	for _, option := range options {
		option(phone)
	}
	s.mu.Lock()
	_, again := s.phones[digits]
	s.phones[digits], s.lids[lid] = phone, phone
	s.mu.Unlock()
	if again {
		for _, device := range phone.LinkedDevices() {
			s.remove(deviceID{digits, device.JID.Device})
		}
	}
	return phone
}

// JID returns the account's address.
func (p *Phone) JID() types.JID { return p.jid }

// LID returns the account's hidden address.
func (p *Phone) LID() types.JID { return p.lid }

// EnterCode types a pairing code, with or without dash, in upper or lower case. It
// returns nil once the companion is linked and its signature verified, a Refusal if the
// phone says no, and ctx's error if ctx ends first. A phone waits for at most a minute,
// and for the answer to a passkey challenge as long as the challenge is good.
func (p *Phone) EnterCode(ctx context.Context, code string) (said error) {
	defer func() { p.tally(said) }()
	code = strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(code))
	s := p.srv
	s.mu.Lock()
	link, err := s.lookUpCode(p)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	if len(code) != codeLength || strings.Trim(code, codeAlphabet) != "" {
		s.mu.Unlock()
		return ErrWrongCode // the phone needs no server to see that this is no code
	}
	companion := link.companion
	ceremony := companion.begin(p)
	s.mu.Unlock()
	if ceremony == nil {
		return ErrLinkFailed
	}
	secret, err := p.exchange(ctx, ceremony, link, code)
	if err != nil {
		companion.release(ceremony)
		return linger(ctx, err)
	}
	return linger(ctx, ceremony.link(ctx, companion, secret, false))
}

// ScanQR scans a QR code with the given payload. Its results are those of EnterCode.
func (p *Phone) ScanQR(ctx context.Context, payload string) (said error) {
	defer func() { p.tally(said) }()
	qr, err := ParseQR(payload)
	if err != nil {
		return ErrNotAQR
	}
	s := p.srv
	s.mu.Lock()
	companion, err := s.lookUpQR(p, qr)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	ceremony := companion.begin(p)
	s.mu.Unlock()
	if ceremony == nil {
		return ErrLinkFailed
	}
	return linger(ctx, ceremony.link(ctx, companion, qr.ADVSecret, true))
}

// LinkedDevices returns what the phone lists under "Linked devices".
func (p *Phone) LinkedDevices() []Device { return p.srv.linked(p.number) }

// Remove logs out a linked device, as a person does on the phone. A device that is
// connected gets the stream error device_removed: see StageRemoval. Its later logins fail
// with 401. Remove returns false if the device is not linked.
func (p *Phone) Remove(jid types.JID) bool {
	if jid.User != p.number {
		return false
	}
	return p.srv.remove(deviceID{p.number, jid.Device})
}

// linger waits a moment, in which the companion receives the nodes that are on their
// way, and returns said. A test may disconnect its client as soon as the phone has
// answered. If a frame arrives at that moment, whatsmeow's reader was seen to wait for
// ever: FrameSocket.frameComplete in socket/framesocket.go sends to a goroutine that has
// ended. Delete when frameComplete also ends with the socket.
func linger(ctx context.Context, said error) error {
	timer := time.NewTimer(closeDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return said
}

// SetLinkLock locks an account out of linking for a period after n links in a row that came
// to nothing: wrong codes, withdrawn QR codes, and companions that fail. The companions hear
// nothing of it. Zero, the default, is no lock.
func (s *Server) SetLinkLock(n int, period time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits.failures, s.limits.lockedFor = n, period
}

// tally counts the outcome of a link for SetLinkLock.
func (p *Phone) tally(said error) {
	p.srv.mu.Lock()
	defer p.srv.mu.Unlock()
	switch {
	case said == nil:
		p.failures = 0
	case errors.Is(said, ErrWrongCode), errors.Is(said, ErrWithdrawnQR), errors.Is(said, ErrLinkFailed):
		if p.failures++; p.srv.limits.failures > 0 && p.failures >= p.srv.limits.failures {
			p.failures, p.lockedUntil = 0, time.Now().Add(p.srv.limits.lockedFor)
		}
	}
}

// lookUpCode returns the good pairing code for the phone's number. The caller holds mu.
func (s *Server) lookUpCode(p *Phone) (*linkCode, error) {
	switch {
	case s.closed:
		return nil, ErrServerUnreachable
	case time.Now().Before(p.lockedUntil):
		return nil, ErrLinkLocked
	}
	link := s.codes[p.number]
	switch {
	case link.good() && s.full(p.number):
		return nil, ErrDeviceLimit
	case link.good():
		return link, nil
	}
	for _, other := range s.codes {
		if other.good() {
			return nil, ErrOtherNumber
		}
	}
	if link != nil {
		return nil, ErrCodeExpired
	}
	return nil, ErrNoCode
}

// lookUpQR returns the companion that shows a QR code. The caller holds mu.
func (s *Server) lookUpQR(p *Phone, qr QR) (*companion, error) {
	switch {
	case s.closed:
		return nil, ErrServerUnreachable
	case time.Now().Before(p.lockedUntil):
		return nil, ErrLinkLocked
	}
	companion := s.refs[qr.Ref]
	switch {
	case companion == nil || companion.gone() || !companion.refGood(qr.Ref):
		return nil, ErrStaleQR
	case companion.withdrawn[qr.ADVSecret]:
		return nil, ErrWithdrawnQR
	case companion.noise != qr.NoiseKey || companion.identity != qr.IdentityKey:
		return nil, ErrNotAQR
	case s.full(p.number):
		return nil, ErrDeviceLimit
	}
	return companion, nil
}

// exchange agrees with the companion on the ADV secret, by means of the code that both
// know (handleCodePairNotification of whatsmeow is the other side).
func (p *Phone) exchange(ctx context.Context, c *ceremony, link *linkCode, code string) (secret [32]byte, err error) {
	ephemeral := keys.NewKeyPair()
	wrapped := random(48)
	wrapped = append(wrapped, cryptWithCode(code, wrapped[:32], wrapped[32:48], ephemeral.Pub[:])...)
	link.companion.conn.perform(StagePrimaryHello, c.refuse, func(action Action) {
		link.primaryHello(action, wrapped, p.identity.Pub[:])
	})
	finish, err := wait(ctx, c, link.companion, c.finished)
	if err != nil {
		return secret, err
	}
	companionEphemeral := cryptWithCode(code, link.wrapped[:32], link.wrapped[32:48], link.wrapped[48:])
	secret, ok := p.openBundle(&finish, ephemeral, companionEphemeral)
	if !ok || string(finish.identity) != string(link.companion.identity[:]) {
		return secret, ErrWrongCode
	}
	return secret, nil
}

// openBundle decrypts the companion's key bundle and derives the ADV secret. After a
// wrong code the two sides share no secret, and openBundle returns false.
func (p *Phone) openBundle(finish *finish, ephemeral *keys.KeyPair, companionEphemeral []byte) (secret [32]byte, ok bool) {
	const saltSize, nonceSize, bundleSize = 32, 12, 96
	if len(finish.bundle) < saltSize+nonceSize || len(finish.identity) != 32 {
		return secret, false
	}
	salt, iv, sealed := finish.bundle[:saltSize], finish.bundle[saltSize:saltSize+nonceSize], finish.bundle[saltSize+nonceSize:]
	shared, err := curve25519.X25519(ephemeral.Priv[:], companionEphemeral)
	if err != nil {
		return secret, false
	}
	key := hkdfutil.SHA256(shared, salt, []byte("link_code_pairing_key_bundle_encryption_key"), 32)
	bundle, err := gcmutil.Decrypt(key, iv, sealed, nil)
	if err != nil || len(bundle) != bundleSize ||
		string(bundle[:32]) != string(finish.identity) || string(bundle[32:64]) != string(p.identity.Pub[:]) {
		return secret, false
	}
	identityShared, err := curve25519.X25519(p.identity.Priv[:], finish.identity)
	if err != nil {
		return secret, false
	}
	input := slices.Concat(shared, identityShared, bundle[64:])
	copy(secret[:], hkdfutil.SHA256(input, nil, []byte("adv_secret"), 32))
	return secret, true
}
