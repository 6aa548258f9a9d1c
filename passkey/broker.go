package passkey

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Broker offers challenges to the extension, and hands its answers back. It is
// an [http.Handler] for a loopback address; Listen serves it on one. All
// methods may be called at the same time.
type Broker struct {
	key    []byte // makes the tokens
	server server

	mu   sync.Mutex
	open []*offer
}

// offer is a challenge that waits for its answer.
type offer struct {
	token     string
	challenge json.RawMessage
	answer    chan json.RawMessage // holds one
}

// NewBroker returns a Broker that offers nothing yet and serves nowhere.
func NewBroker() *Broker {
	b := &Broker{key: make([]byte, sha256.Size)}
	_, _ = rand.Read(b.key) // never fails
	b.server.init(b)
	return b
}

// Ask offers a challenge until the extension has answered it, or ctx ends, and
// returns the answer: the JSON of PublicKeyCredential.toJSON(). It fits
// walink's Settings.Passkey. It shows nothing: the person needs the Line, which
// is good from now on and not after Ask has returned.
//
// The errors are ctx's, and that of a challenge that is not JSON, which no
// browser could answer.
func (b *Broker) Ask(ctx context.Context, challenge json.RawMessage) (json.RawMessage, error) {
	if !json.Valid(challenge) {
		return nil, errors.New("passkey: ask: the challenge is not JSON")
	}
	o := &offer{b.token(challenge), bytes.Clone(challenge), make(chan json.RawMessage, 1)}
	b.mu.Lock()
	b.open = append(b.open, o)
	b.mu.Unlock()
	defer b.take(o)
	select {
	case answer := <-o.answer:
		return answer, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("passkey: ask: %w", ctx.Err())
	}
}

// Line returns what the person pastes into the extension, or opens in the
// browser before pressing the extension's button: where the Broker is served,
// such as Listen returned it, and the token of the challenge. The token is a
// secret until the challenge is answered. It stands behind a #, which browsers
// keep to themselves.
func (b *Broker) Line(base string, challenge json.RawMessage) string {
	return strings.TrimSuffix(base, "/") + "/#" + b.token(challenge)
}

// token follows from the challenge, so that a program can show the Line
// without waiting for Ask, and only a program with the Broker can know it.
func (b *Broker) token(challenge json.RawMessage) string {
	mac := hmac.New(sha256.New, b.key)
	mac.Write(challenge)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// find returns the offer with the token; nil if there is none.
func (b *Broker) find(token string) *offer {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range b.open {
		if subtle.ConstantTimeCompare([]byte(o.token), []byte(token)) == 1 {
			return o
		}
	}
	return nil
}

// take ends an offer, and reports whether this call did.
func (b *Broker) take(o *offer) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.open, o)
	if i < 0 {
		return false
	}
	b.open = slices.Delete(b.open, i, i+1)
	return true
}

const (
	extensionOrigin = "chrome-extension://" + ExtensionID
	// maxAnswer is far above the 1 to 2 KB of an assertion.
	maxAnswer = 16 << 10
)

// ServeHTTP answers the extension, whose requests are POST challenge and POST
// answer with the token as the bearer. Whatever else asks gets 403: another
// page by its Origin, and a name that somebody has let point to this computer
// by its Host. To serve on a path of an own server use [http.StripPrefix].
func (b *Broker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Vary", "Origin")
	switch origins := r.Header.Values("Origin"); {
	case !isLoopback(r.Host):
		http.Error(w, "This is served to 127.0.0.1 only.", http.StatusForbidden)
		return
	case len(origins) != 1 || origins[0] != extensionOrigin:
		http.Error(w, "This address is for walink's browser extension: leave the tab open and press the extension's button.", http.StatusForbidden)
		return
	}
	header.Set("Access-Control-Allow-Origin", extensionOrigin)
	switch {
	case r.Method == http.MethodOptions:
		preflight(w, r)
	case r.Method != http.MethodPost:
		header.Set("Allow", "POST, OPTIONS")
		http.Error(w, "Only POST is answered.", http.StatusMethodNotAllowed)
	case r.URL.Path == "/challenge":
		b.serveChallenge(w, r)
	case r.URL.Path == "/answer":
		b.serveAnswer(w, r)
	default:
		http.Error(w, "There is nothing here.", http.StatusNotFound)
	}
}

// preflight tells a browser what the extension may send. Those that do not
// take the manifest's word for it ask, and some ask for private networks
// besides (Chromium's Private Network Access).
func preflight(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Access-Control-Allow-Methods", http.MethodPost)
	header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
		header.Set("Access-Control-Allow-Private-Network", "true")
	}
	w.WriteHeader(http.StatusNoContent)
}

func (b *Broker) serveChallenge(w http.ResponseWriter, r *http.Request) {
	o := b.find(bearer(r))
	if o == nil {
		gone(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(o.challenge)
}

func (b *Broker) serveAnswer(w http.ResponseWriter, r *http.Request) {
	o := b.find(bearer(r))
	if o == nil {
		gone(w)
		return
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxAnswer)); err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			http.Error(w, "The answer is too large for one.", http.StatusRequestEntityTooLarge)
			return
		}
		http.Error(w, "The answer did not arrive whole.", http.StatusBadRequest)
		return
	}
	if !isAssertion(body.Bytes()) {
		http.Error(w, "The answer is not the JSON of PublicKeyCredential.toJSON().", http.StatusBadRequest)
		return
	}
	if !b.take(o) {
		gone(w)
		return
	}
	// The reply goes first: with the answer in its hands the program may end.
	w.WriteHeader(http.StatusNoContent)
	_ = http.NewResponseController(w).Flush()
	o.answer <- body.Bytes()
}

// gone is said of a token that was used, has expired or never was.
func gone(w http.ResponseWriter) {
	http.Error(w, "This line is not good any more, or not complete. Take the newest one that the program shows.", http.StatusGone)
}

func bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}
