package walinktest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"regexp"
	"strconv"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// The alphabet and length of a pairing code, and the rounds of PBKDF2 that derive its
// key (pair-code.go of whatsmeow).
const (
	codeAlphabet = "123456789ABCDEFGHJKLMNPQRSTVWXYZ"
	codeLength   = 8
	codeRounds   = 2 << 16
)

const (
	// codeTTL is how long a pairing code is good.
	codeTTL = 180 * time.Second
	// codeHellos is how many primary_hellos a companion answers for one code. WhatsApp Web
	// counts them (PAIR_CODE_MAX_PRIMARY_HELLO_ATTEMPTS in wacore/src/pair_code.rs of
	// whatsapp-rust).
	codeHellos = 3
)

// The values by which companion_hello may describe the companion. The ids are those of whatsmeow's
// PairClientType but two: the server refuses 0, and e, like the other letters of Android,
// wants an attestation (wacore/src/companion_reg.rs of whatsapp-rust). The names are made of
// a browser and a system, as WhatsApp Web makes them; WhatsApp does not publish its list.
// whatsapp-rust 979 found that the server takes Ubuntu, Fedora and Mac, too, and no name
// that is not a system's.
var (
	platformID   = regexp.MustCompile(`^[1-9c]$`)
	platformName = regexp.MustCompile(`^(Chrome|Edge|Firefox|IE|Opera|Safari) \((Windows|Mac OS|Mac|Linux|Ubuntu|Fedora|Android|iOS)\)$`)
	phoneDigits  = regexp.MustCompile(`^[1-9][0-9]{6,14}$`)
)

// linkCode is a pairing code that a companion has requested. The server does not know
// the code itself. It knows the number, and the companion's key wrapped with the code.
type linkCode struct {
	companion  *companion
	number     string
	ref        string
	wrapped    []byte // salt 32, IV 16, key 32
	platformID string
	display    string
	push       bool
	expires    time.Time
	hellos     int  // how many primary_hellos phones have sent
	spent      bool // the code was used, withdrawn or replaced
}

// good reports whether a phone may still enter the code. The caller holds the server's mu.
func (l *linkCode) good() bool {
	return l != nil && !l.spent && l.hellos < codeHellos && time.Now().Before(l.expires) && !l.companion.gone()
}

// gone reports whether the companion's connection has ended.
func (p *companion) gone() bool {
	select {
	case <-p.conn.done:
		return true
	default:
		return false
	}
}

// SetCodeLimit allows n pairing codes for a number in each period. The server answers
// further requests with 429 and the time to wait. Zero, the default, is no limit.
// Refused requests do not count.
func (s *Server) SetCodeLimit(n int, per time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits.codes, s.limits.per = n, per
}

// companionHello answers a request for a pairing code (PairPhone of whatsmeow).
func (p *companion) companionHello(request, registration *waBinary.Node) {
	s := p.conn.srv
	jid, _ := registration.Attrs["jid"].(types.JID)
	code := &linkCode{
		companion:  p,
		number:     jid.User,
		ref:        newRef(),
		wrapped:    content(registration, "link_code_pairing_wrapped_companion_ephemeral_pub"),
		platformID: string(content(registration, "companion_platform_id")),
		display:    string(content(registration, "companion_platform_display")),
		push:       text(registration.Attrs["should_show_push_notification"]) == "true",
	}
	s.mu.Lock()
	s.stats.CodeRequests++
	s.requests[code.number]++
	s.mu.Unlock()
	refuse := func(action Action) { p.conn.refuse(request, action) }
	p.conn.perform(StageCompanionHello, refuse, func(action Action) {
		switch {
		case jid.Server != types.DefaultUserServer || jid.Device != 0 || !phoneDigits.MatchString(code.number),
			len(code.wrapped) != 80,
			string(content(registration, "companion_server_auth_key_pub")) != string(p.noise[:]),
			!platformID.MatchString(code.platformID),
			!platformName.MatchString(code.display):
			refuse(Refuse(400))
			return
		case action.kind == actionMalformed:
			p.conn.result(request, waBinary.Node{Tag: "link_code_companion_reg"})
			return
		}
		s.mu.Lock()
		if over := s.overLimit(code.number); over > 0 {
			s.mu.Unlock()
			refuse(RateLimit(over))
			return
		}
		s.granted[code.number] = append(s.granted[code.number], time.Now())
		code.expires = time.Now().Add(codeTTL)
		if p.code != nil {
			p.code.spent = true
		}
		if older := s.codes[code.number]; older != nil {
			older.spent = true
		}
		p.code = code
		s.codes[code.number] = code
		s.mu.Unlock()
		p.conn.result(request, waBinary.Node{
			Tag:     "link_code_companion_reg",
			Attrs:   waBinary.Attrs{"stage": "companion_hello"},
			Content: []waBinary.Node{{Tag: "link_code_pairing_ref", Content: []byte(code.ref)}},
		})
	})
}

// overLimit returns how long the number has to wait for its next code, or zero if it
// may have one now. The caller holds mu.
func (s *Server) overLimit(number string) time.Duration {
	granted := s.granted[number]
	if s.limits.codes <= 0 || len(granted) < s.limits.codes {
		return 0
	}
	left := s.limits.per - time.Since(granted[len(granted)-s.limits.codes])
	if left <= 0 {
		return 0
	}
	return max(left, time.Second)
}

// primaryHello sends the phone's first message to the companion.
func (l *linkCode) primaryHello(action Action, wrapped, identity []byte) {
	l.companion.conn.srv.mu.Lock()
	l.hellos++
	l.companion.conn.srv.mu.Unlock()
	children := []waBinary.Node{{Tag: "link_code_pairing_ref", Content: []byte(l.ref)}}
	if action.kind != actionMalformed {
		children = append(children,
			waBinary.Node{Tag: "link_code_pairing_wrapped_primary_ephemeral_pub", Content: wrapped},
			waBinary.Node{Tag: "primary_identity_pub", Content: identity},
		)
	}
	l.companion.notify("link_code_companion_reg", waBinary.Node{
		Tag:     "link_code_companion_reg",
		Attrs:   waBinary.Attrs{"stage": "primary_hello"},
		Content: children,
	})
}

// RefreshCodes spends every good pairing code, and tells the companions so: the
// notification with stage="refresh_code". With manual, the person has to ask for the next
// code (force_manual_refresh="true"). It returns the number of these companions.
func (s *Server) RefreshCodes(manual bool) int {
	s.mu.Lock()
	var good []*linkCode
	for _, code := range s.codes {
		if code.good() {
			good = append(good, code)
		}
	}
	s.mu.Unlock()
	for _, code := range good {
		code.refreshCode(manual)
	}
	return len(good)
}

// refreshCode spends a code, and asks the companion to request another. WhatsApp Web
// reads the stage, the ref and force_manual_refresh.
func (l *linkCode) refreshCode(manual bool) {
	s := l.companion.conn.srv
	s.mu.Lock()
	l.spent = true
	s.mu.Unlock()
	l.companion.notify("link_code_companion_reg", waBinary.Node{
		Tag:     "link_code_companion_reg",
		Attrs:   waBinary.Attrs{"stage": "refresh_code", "force_manual_refresh": strconv.FormatBool(manual)},
		Content: []waBinary.Node{{Tag: "link_code_pairing_ref", Content: []byte(l.ref)}},
	})
}

// companionFinish gives the companion's key bundle to the phone.
func (p *companion) companionFinish(request, registration *waBinary.Node) {
	s := p.conn.srv
	s.mu.Lock()
	code, ceremony := p.code, p.ceremony
	s.mu.Unlock()
	if code == nil || ceremony == nil || string(content(registration, "link_code_pairing_ref")) != code.ref {
		p.conn.refuse(request, Refuse(400))
		return
	}
	refuse := func(action Action) {
		p.conn.refuse(request, action)
		ceremony.end(ErrLinkFailed)
	}
	p.conn.perform(StageCompanionFinish, refuse, func(action Action) {
		p.conn.result(request)
		if action.kind == actionRefreshCode {
			code.refreshCode(action.manual)
			ceremony.end(ErrWrongCode)
			return
		}
		finish := finish{
			bundle:   content(registration, "link_code_pairing_wrapped_key_bundle"),
			identity: content(registration, "companion_identity_public"),
		}
		select {
		case ceremony.finished <- finish:
		default: // the companion has sent a second bundle
		}
	})
}

// cryptWithCode encrypts or decrypts a key under a pairing code. The lengths are right, and
// nothing else could be an error.
func cryptWithCode(code string, salt, iv, data []byte) []byte {
	key, _ := pbkdf2.Key(sha256.New, code, salt, codeRounds, 32)
	block, _ := aes.NewCipher(key)
	out := make([]byte, len(data))
	cipher.NewCTR(block, iv).XORKeyStream(out, data)
	return out
}
