package passkey

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/walink/walink/internal/number"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/internal/seal"
)

// Broker offers challenges to the extension, and returns the answers that the
// extension sends. A Broker is an [http.Handler] for a loopback address, and
// Listen serves it on one. Its methods are safe for concurrent use.
type Broker struct {
	claim  Claim
	key    []byte // token makes tokens with it
	server server

	mu    sync.Mutex
	open  []*offer
	spent map[string]bool // tokens of challenges with an accepted answer
	heard map[string]bool // nonces of answers that have arrived
}

// Claim is what a program says of itself to the person whose passkey it asks for. The
// extension shows a Claim before the person presses the button, marked as the
// program's own words: nothing proves them.
type Claim struct {
	// Program is the name of the program, such as "Shop desk".
	Program string
	// Number is the number of the account to be linked, as Settings.Phone takes it. It is
	// empty if the program does not know it. The Broker keeps the last four digits. A program
	// that links several accounts makes a Broker for each.
	Number string
}

// offer is a challenge that waits for an answer.
type offer struct {
	token string
	says  []byte // the challenge and the Claim, as the extension reads them
	tries chan try
	done  chan struct{} // closed when the offer takes no more tries
}

// try is an answer that the extension has sent.
type try struct {
	answer    []byte
	verdict   chan error    // buffered, for one value
	delivered chan struct{} // closed when the extension has the verdict
}

// NewBroker returns a Broker that offers no challenge yet. It starts nothing. The
// extension shows claim to the person; a field of claim may be empty.
func NewBroker(claim Claim) *Broker {
	digits, fault := number.Parse(claim.Number)
	if fault != nil { // it may be WhatsApp's address of the account
		user, _, _ := strings.Cut(claim.Number, "@")
		user, _, _ = strings.Cut(user, ":")
		digits = number.Digits(user)
	}
	claim = Claim{redact.Line(claim.Program), digits[max(0, len(digits)-4):]}
	b := &Broker{claim: claim, key: make([]byte, sha256.Size), spent: map[string]bool{}, heard: map[string]bool{}}
	_, _ = rand.Read(b.key) // never fails
	b.server.init(b)
	return b
}

// Serve offers challenge to the extension until accept takes an answer, or ctx
// ends. Serve shows nothing: show the person the Line, which is good until Serve
// returns.
//
// Serve calls accept with each answer and with ctx, one at a time, in the goroutine
// that called Serve. An answer is the JSON of PublicKeyCredential.toJSON(), without
// clientExtensionResults. If accept returns an error, the extension shows that error
// to the person, who may try again. If accept returns nil, Serve returns, and the Line
// is not good any more. walink's Linker.AnswerPasskey is such a function.
//
// Serve returns ctx's error if ctx ends. It returns an error if a Serve has accepted
// an answer to the same challenge before. It returns an error with a method Remedy if
// challenge is not a JSON object, or its rpId is not "whatsapp.com".
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

// Ask offers challenge like Serve, and returns the first answer. It fits walink's
// Settings.Passkey. The extension does not learn whether the answer was any good.
// The Line is good again if the program calls Ask with the same challenge again,
// as walink does when WhatsApp has refused the answer.
//
// Ask returns the errors of Serve.
func (b *Broker) Ask(ctx context.Context, challenge json.RawMessage) (json.RawMessage, error) {
	var first json.RawMessage
	err := b.offer(ctx, "ask", challenge, func(answer []byte) error {
		first = answer
		return nil
	})
	return first, err
}

// offer offers challenge until take returns nil for an answer, or ctx ends.
func (b *Broker) offer(ctx context.Context, op string, challenge json.RawMessage, take func(answer []byte) error) error {
	if err := check(challenge); err != nil {
		return fmt.Errorf("passkey: %s: %w", op, err)
	}
	says, err := json.Marshal(map[string]any{
		"challenge": challenge, "program": b.claim.Program, "number": b.claim.Number,
	})
	if err != nil {
		return fmt.Errorf("passkey: %s: %w", op, err)
	}
	o := &offer{b.token(challenge), says, make(chan try), make(chan struct{})}
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
			<-t.delivered // the program may exit as soon as offer returns
			if err == nil {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("passkey: %s: %w", op, ctx.Err())
		}
	}
}

// Line returns the line that the person pastes into the extension, or opens in
// the browser before pressing the extension's button. The line is base, which is
// the address that Listen returned, with the token of challenge after a #.
// Browsers do not send the part after the #, and the extension does not send the
// token. The token is a secret until the challenge is answered.
func (b *Broker) Line(base string, challenge json.RawMessage) string {
	return strings.TrimSuffix(base, "/") + "/#" + b.token(challenge)
}

// token derives the token of challenge from the key. A program can therefore show
// the Line before it calls Serve or Ask, and nobody without the key can make it.
func (b *Broker) token(challenge json.RawMessage) string {
	mac := hmac.New(sha256.New, b.key)
	mac.Write(challenge)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// find returns the open offer that a request asks for, or nil if there is none.
func (b *Broker) find(r *http.Request) *offer {
	id, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range b.open {
		if subtle.ConstantTimeCompare([]byte(seal.ID(o.token)), []byte(id)) == 1 && !b.spent[o.token] {
			return o
		}
	}
	return nil
}

// withdraw removes o from the open offers. It may be called twice.
func (b *Broker) withdraw(o *offer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = slices.DeleteFunc(b.open, func(one *offer) bool { return one == o })
}

const (
	extensionOrigin = "chrome-extension://" + ExtensionID
	// maxAnswer is the largest answer in bytes. An assertion has 1 to 2 KB.
	maxAnswer = 16 << 10
)

// ServeHTTP answers the extension, which sends POST /challenge and POST /answer. A
// request names the token by an id, and the bodies are sealed under the token. A
// request with another Origin gets 403, and so does one whose Host is a name that
// points to this computer, and an answer that was not sealed under the token or
// arrives for the second time. To serve the Broker on a path of another server use
// [http.StripPrefix].
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

// preflight says what the extension may send. A browser asks for that if the
// extension's manifest is not enough for it, and may ask for access to private
// networks as well (Chromium's Private Network Access).
func preflight(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Access-Control-Allow-Methods", http.MethodPost)
	header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
		header.Set("Access-Control-Allow-Private-Network", "true")
	}
	w.WriteHeader(http.StatusNoContent)
}

// serveChallenge proves to the extension that this program knows the token: the reply
// is sealed under the token, together with the random body of the request.
func (b *Broker) serveChallenge(w http.ResponseWriter, r *http.Request) {
	o := b.find(r)
	if o == nil {
		gone(w)
		return
	}
	if question, ok := read(w, r); ok {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(seal.Seal(o.token, "challenge", o.says, question))
	}
}

// read reads the body of a request. If it cannot, it answers the request.
func read(w http.ResponseWriter, r *http.Request) (body []byte, ok bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAnswer))
	if err == nil {
		return body, true
	}
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		http.Error(w, "The request is too large for the answer to a passkey challenge.", http.StatusRequestEntityTooLarge)
	} else {
		http.Error(w, "The request did not arrive in full.", http.StatusBadRequest)
	}
	return nil, false
}

func (b *Broker) serveAnswer(w http.ResponseWriter, r *http.Request) {
	o := b.find(r)
	if o == nil {
		gone(w)
		return
	}
	body, ok := read(w, r)
	if !ok {
		return
	}
	answer, err := seal.Open(o.token, "answer", body, nil)
	switch {
	case err != nil:
		http.Error(w, "Paste the line into the extension again: this answer is not sealed under the token of the line.",
			http.StatusForbidden)
		return
	case !b.hear(string(body[:seal.NonceSize])):
		http.Error(w, "Press the extension's button again: this answer has arrived before.", http.StatusForbidden)
		return
	case !isAssertion(answer):
		http.Error(w, "The answer is not the JSON of PublicKeyCredential.toJSON().", http.StatusBadRequest)
		return
	}
	t := try{answer, make(chan error, 1), make(chan struct{})}
	select {
	case o.tries <- t:
	case <-o.done:
		gone(w)
		return
	case <-r.Context().Done(): // the extension left while another answer was being handled
		return
	}
	defer close(t.delivered)
	select {
	case err := <-t.verdict:
		if err == nil {
			w.WriteHeader(http.StatusNoContent)
		} else {
			http.Error(w, redact.Line("The program has not accepted the answer: "+strings.TrimRight(err.Error(), ". \n")+"."), http.StatusUnprocessableEntity)
		}
	case <-o.done: // take panicked
		gone(w)
	}
	_ = http.NewResponseController(w).Flush()
}

// hear reports whether an answer with the nonce arrives for the first time.
func (b *Broker) hear(nonce string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := !b.heard[nonce]
	b.heard[nonce] = true
	return first
}

// gone answers a request whose token has been used, has expired or never existed.
func gone(w http.ResponseWriter) {
	http.Error(w, "Copy the newest line that the program shows, as a whole: this one is not good any more, or not complete.", http.StatusGone)
}
