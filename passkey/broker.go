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

	mu    sync.Mutex
	open  []*offer
	spent map[string]bool // tokens whose challenge is answered for good
}

// offer is a challenge that waits for its answer.
type offer struct {
	token     string
	challenge json.RawMessage
	tries     chan try
	done      chan struct{} // closed when no more tries are taken
}

// try is an answer that the extension has sent.
type try struct {
	answer  []byte
	verdict chan error    // holds one
	told    chan struct{} // closed when the extension has the verdict
}

// NewBroker returns a Broker that offers nothing yet and serves nowhere.
func NewBroker() *Broker {
	b := &Broker{key: make([]byte, sha256.Size), spent: map[string]bool{}}
	_, _ = rand.Read(b.key) // never fails
	b.server.init(b)
	return b
}

// Serve offers a challenge until an answer to it is accepted, or ctx ends. It
// shows nothing: the person needs the Line, which is good from now on and not
// after Serve has returned.
//
// accept decides on each answer, one after the other: the JSON of
// PublicKeyCredential.toJSON(). walink's AnswerPasskey fits it. Where it
// returns an error, the extension shows it to the person, who may try again;
// nil ends Serve, and the Line for good. accept is called with ctx, by the
// goroutine that has called Serve.
//
// The errors are ctx's, that of a challenge that is not a JSON object, which
// no browser could answer, and that of one which Serve has had answered before.
func (b *Broker) Serve(ctx context.Context, challenge json.RawMessage, accept func(ctx context.Context, answer []byte) error) error {
	return b.offer(ctx, "serve", challenge, func(answer []byte) error {
		err := accept(ctx, answer)
		if err == nil {
			b.mu.Lock()
			b.spent[b.token(challenge)] = true
			b.mu.Unlock()
		}
		return err
	})
}

// Ask is Serve for whoever takes any answer, and returns the first. It fits
// walink's Settings.Passkey. The extension hears nothing of what becomes of the
// answer, and the Line is good again if Ask is called again with the
// same challenge, as walink does where the answer was refused.
//
// The errors are those of Serve.
func (b *Broker) Ask(ctx context.Context, challenge json.RawMessage) (json.RawMessage, error) {
	var first json.RawMessage
	err := b.offer(ctx, "ask", challenge, func(answer []byte) error {
		first = answer
		return nil
	})
	return first, err
}

// offer offers a challenge until take has accepted an answer, or ctx ends.
func (b *Broker) offer(ctx context.Context, op string, challenge json.RawMessage, take func(answer []byte) error) error {
	if !isObject(challenge) {
		return fmt.Errorf("passkey: %s: %w", op, errNoObject)
	}
	o := &offer{b.token(challenge), bytes.Clone(challenge), make(chan try), make(chan struct{})}
	b.mu.Lock()
	if b.spent[o.token] {
		b.mu.Unlock()
		return fmt.Errorf("passkey: %s: the challenge has been answered", op)
	}
	b.open = append(b.open, o)
	b.mu.Unlock()
	defer close(o.done)
	defer b.withdraw(o)
	for {
		select {
		case t := <-o.tries:
			err := take(t.answer)
			if err == nil {
				b.withdraw(o)
			}
			t.verdict <- err
			<-t.told // the program may end as soon as this returns
			if err == nil {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("passkey: %s: %w", op, ctx.Err())
		}
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
		if subtle.ConstantTimeCompare([]byte(o.token), []byte(token)) == 1 && !b.spent[o.token] {
			return o
		}
	}
	return nil
}

// withdraw takes an offer off the list, if it is there.
func (b *Broker) withdraw(o *offer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = slices.DeleteFunc(b.open, func(one *offer) bool { return one == o })
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
	t := try{body.Bytes(), make(chan error, 1), make(chan struct{})}
	select {
	case o.tries <- t:
	case <-o.done:
		gone(w)
		return
	case <-r.Context().Done(): // it waits behind another answer, and has gone
		return
	}
	defer close(t.told)
	select {
	case err := <-t.verdict:
		if err == nil {
			w.WriteHeader(http.StatusNoContent)
		} else {
			http.Error(w, "The program has not accepted the answer: "+strings.TrimRight(err.Error(), ". ")+".", http.StatusUnprocessableEntity)
		}
	case <-o.done: // take has panicked
		gone(w)
	}
	_ = http.NewResponseController(w).Flush()
}

// gone is said of a token that was used, has expired or never was.
func gone(w http.ResponseWriter) {
	http.Error(w, "This line is not good any more, or not complete. Take the newest one that the program shows.", http.StatusGone)
}

func bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}
