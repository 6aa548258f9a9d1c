package passkey_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink/internal/seal"
	"github.com/walink/walink/passkey"
)

const (
	challenge = `{"challenge":"Y2hhbGxlbmdl","rpId":"whatsapp.com","allowCredentials":[{"type":"public-key","id":"aWQ"}]}`
	assertion = `{"id":"aWQ","rawId":"aWQ","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"YQ","signature":"cw"},"clientExtensionResults":{}}`
	base      = "http://127.0.0.1:4711/"
	extension = "chrome-extension://" + passkey.ExtensionID
)

// asked is the result of Ask.
type asked struct {
	answer json.RawMessage
	err    error
}

// ask calls Ask, and returns the challenge's token once the Broker offers the
// challenge. It works only in a synctest bubble.
func ask(ctx context.Context, b *passkey.Broker) (token string, result <-chan asked) {
	done := make(chan asked, 1)
	go func() {
		answer, err := b.Ask(ctx, json.RawMessage(challenge))
		done <- asked{answer, err}
	}()
	synctest.Wait()
	return tokenOf(b, challenge), done
}

// tokenOf returns a challenge's token.
func tokenOf(b *passkey.Broker, challenge string) string {
	_, token, _ := strings.Cut(b.Line(base, json.RawMessage(challenge)), "#")
	return token
}

// request returns a request of the extension, with changes. The body of an answer is
// sealed, and any other is the extension's nonce.
func request(path, token, body string, changes ...func(*http.Request)) *http.Request {
	if path == "answer" {
		body = string(seal.Seal(token, "answer", []byte(body), nil))
	}
	r := httptest.NewRequest(http.MethodPost, base+path, strings.NewReader(body))
	r.Header.Set("Origin", extension)
	r.Header.Set("Authorization", "Bearer "+seal.ID(token))
	for _, change := range changes {
		change(r)
	}
	return r
}

func serve(b *passkey.Broker, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := passkey.NewBroker(passkey.Claim{Program: "Shop\r\ndesk\u202e", Number: "+55 11 98765-4321"})
		token, result := ask(t.Context(), b)
		for range 2 { // a person may need to try again
			w := serve(b, request("challenge", token, "nonce"))
			said, err := seal.Open(token, "challenge", w.Body.Bytes(), []byte("nonce"))
			if want := `{"challenge":` + challenge + `,"number":"4321","program":"Shop desk"}`; err != nil || w.Code != http.StatusOK || string(said) != want {
				t.Errorf("the challenge: %d %s, %v, want %s", w.Code, said, err, want)
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q", got)
			}
			if got := w.Header().Get("Access-Control-Allow-Origin"); got != extension {
				t.Errorf("Access-Control-Allow-Origin %q", got)
			}
		}
		if w := serve(b, request("answer", token, assertion)); w.Code != http.StatusNoContent || w.Body.Len() != 0 {
			t.Errorf("the answer: %d %s", w.Code, w.Body)
		}
		if got := <-result; got.err != nil || string(got.answer) != assertion {
			t.Errorf("Ask returns %s, %v", got.answer, got.err)
		}
		for _, path := range []string{"challenge", "answer"} {
			if w := serve(b, request(path, token, assertion)); w.Code != http.StatusGone || !strings.Contains(w.Body.String(), "newest") {
				t.Errorf("%s after the answer: %d %s", path, w.Code, w.Body)
			}
		}
	})
}

// A page that is not the extension's gets 403, and every refusal is a sentence.
func TestRefusals(t *testing.T) {
	t.Parallel()
	origin := func(origin string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Origin", origin) }
	}
	host := func(host string) func(*http.Request) { return func(r *http.Request) { r.Host = host } }
	for name, test := range map[string]struct {
		path, body string
		change     func(*http.Request)
		want       int
	}{
		"page of WhatsApp":   {path: "challenge", change: origin("https://web.whatsapp.com"), want: 403},
		"another extension":  {path: "challenge", change: origin("chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), want: 403},
		"opaque origin":      {path: "challenge", change: origin("null"), want: 403},
		"no origin":          {path: "challenge", change: func(r *http.Request) { r.Header.Del("Origin") }, want: 403},
		"two origins":        {path: "challenge", change: func(r *http.Request) { r.Header.Add("Origin", "https://example.com") }, want: 403},
		"opened as a page":   {change: func(r *http.Request) { r.Method = http.MethodGet; r.Header.Del("Origin") }, want: 403},
		"rebound name":       {path: "challenge", change: host("evil.example:4711"), want: 403},
		"name like loopback": {path: "challenge", change: host("127.0.0.1.evil.example"), want: 403},
		"another address":    {path: "challenge", change: host("192.0.2.1:4711"), want: 403},
		"no host":            {path: "challenge", change: host(""), want: 403},
		"no id":              {path: "challenge", change: func(r *http.Request) { r.Header.Del("Authorization") }, want: 410},
		"wrong id":           {path: "challenge", change: func(r *http.Request) { r.Header.Set("Authorization", "Bearer AAAAAAAAAAAAAAAAAAAAAA") }, want: 410},
		"answer, wrong id":   {path: "answer", body: assertion, change: func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, want: 410},
		"GET":                {path: "challenge", change: func(r *http.Request) { r.Method = http.MethodGet }, want: 405},
		"another path":       {path: "else", want: 404},
		"not JSON":           {path: "answer", body: "passkey", want: 400},
		"no answer":          {path: "answer", want: 400},
		"not an assertion":   {path: "answer", body: `{"id":"aWQ","type":"public-key"}`, want: 400},
		"two assertions":     {path: "answer", body: assertion + assertion, want: 400},
		"broken off":         {path: "answer", change: func(r *http.Request) { r.Body = io.NopCloser(brokenReader{}) }, want: 400},
		"oversize":           {path: "answer", body: assertion + strings.Repeat(" ", 16<<10), want: 413},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := passkey.NewBroker(passkey.Claim{})
				token, result := ask(t.Context(), b)
				r := request(test.path, token, test.body)
				if test.change != nil {
					test.change(r)
				}
				w := serve(b, r)
				body := strings.TrimSpace(w.Body.String())
				if w.Code != test.want || !strings.HasSuffix(body, ".") || strings.Contains(body, token) {
					t.Errorf("%d %s, want %d and a sentence", w.Code, body, test.want)
				}
				if allowed := w.Header().Get("Access-Control-Allow-Origin"); (allowed == extension) == (test.want == 403) || w.Header().Get("Cache-Control") != "no-store" {
					t.Errorf("header %v", w.Header())
				}
				// The challenge can still be answered.
				if w := serve(b, request("answer", token, assertion)); w.Code != http.StatusNoContent {
					t.Errorf("the good answer: %d %s", w.Code, w.Body)
				}
				if got := <-result; got.err != nil {
					t.Error(got.err)
				}
			})
		})
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestLoopbackHosts(t *testing.T) {
	t.Parallel()
	b := passkey.NewBroker(passkey.Claim{})
	for _, host := range []string{"127.0.0.1", "127.0.0.1:4711", "localhost:22", "localhost", "[::1]:80", "[::1]"} {
		r := request("challenge", "", "")
		r.Host = host
		if w := serve(b, r); w.Code != http.StatusGone {
			t.Errorf("%s: %d %s", host, w.Code, w.Body)
		}
	}
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	b := passkey.NewBroker(passkey.Claim{})
	options := func(r *http.Request) {
		r.Method = http.MethodOptions
		r.Header.Del("Authorization")
		r.Header.Set("Access-Control-Request-Private-Network", "true")
	}
	w := serve(b, request("answer", "", "", options))
	want := http.Header{
		"Access-Control-Allow-Headers":         {"Authorization, Content-Type"},
		"Access-Control-Allow-Methods":         {"POST"},
		"Access-Control-Allow-Origin":          {extension},
		"Access-Control-Allow-Private-Network": {"true"},
		"Cache-Control":                        {"no-store"},
		"Referrer-Policy":                      {"no-referrer"},
		"Vary":                                 {"Origin"},
	}
	if w.Code != http.StatusNoContent {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if diff := cmp.Diff(want, w.Header()); diff != "" {
		t.Error(diff)
	}
	w = serve(b, request("answer", "", "", options, func(r *http.Request) { r.Header.Set("Origin", "https://web.whatsapp.com") }))
	if w.Code != http.StatusForbidden || w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a page: %d %v", w.Code, w.Header())
	}
}

func TestChallengeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := passkey.NewBroker(passkey.Claim{})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		token, result := ask(ctx, b)
		if got := <-result; !errors.Is(got.err, context.DeadlineExceeded) || got.answer != nil {
			t.Errorf("Ask returns %s, %v", got.answer, got.err)
		}
		for _, path := range []string{"challenge", "answer"} {
			if w := serve(b, request(path, token, assertion)); w.Code != http.StatusGone {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
	})
}

// unfit are challenges that are not WhatsApp's.
var unfit = []string{
	"", "[]", "null", "1", `"s3cret"`, `{s3cret`, `{} s3cret`,
	`{}`, `{"challenge":"s3cret","rpId":""}`, `{"challenge":"s3cret","rpId":"s3cret.example"}`, `{"rpId":"s3cret.whatsapp.com"}`,
	`{"rpId":"whatsapp.com."}`, `{"rpId":["whatsapp.com"]}`, `{"rpId":"whatsapp.com","rpId":"s3cret.example"}`,
}

// remedied reports whether err has a remedy and quotes nothing of the challenge.
func remedied(err error) bool {
	remedy, ok := errors.AsType[interface {
		error
		Remedy() string
	}](err)
	return ok && remedy.Remedy() != "" && !strings.Contains(err.Error()+remedy.Remedy(), "s3cret")
}

// Ask and Serve refuse a challenge that is not WhatsApp's.
func TestChallengeThatIsNotWhatsApps(t *testing.T) {
	t.Parallel()
	for _, challenge := range unfit {
		b := passkey.NewBroker(passkey.Claim{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // a challenge that is offered is withdrawn at once
		if answer, err := b.Ask(ctx, json.RawMessage(challenge)); !remedied(err) || answer != nil {
			t.Errorf("%s: %s, %v", challenge, answer, err)
		}
		if err := b.Serve(ctx, json.RawMessage(challenge), nil); !remedied(err) {
			t.Errorf("%s: %v", challenge, err)
		}
	}
}

// Of the token a request has to know more than the id, which a listener at the port
// has seen, and a sealed answer is good once.
func TestAnswerThatIsNotTheExtensions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := passkey.NewBroker(passkey.Claim{})
		done := make(chan error, 1)
		heard := 0
		go func() {
			done <- b.Serve(t.Context(), json.RawMessage(challenge), func(context.Context, []byte) error {
				if heard++; heard == 1 {
					return errors.New("not this one")
				}
				return nil
			})
		}()
		synctest.Wait()
		token := tokenOf(b, challenge)
		sealed := func(token, purpose string) []byte {
			return seal.Seal(token, purpose, []byte(assertion), nil)
		}
		send := func(body []byte) (int, string) {
			w := serve(b, request("answer", token, "", func(r *http.Request) { r.Body = io.NopCloser(bytes.NewReader(body)) }))
			return w.Code, strings.TrimSpace(w.Body.String())
		}
		good := sealed(token, "answer")
		for name, body := range map[string][]byte{
			"not sealed": []byte(assertion), "under the id": sealed(seal.ID(token), "answer"), "empty": nil, "short": good[:seal.NonceSize],
			"of another line": sealed(strings.Repeat("A", len(token)), "answer"), "of another purpose": sealed(token, "challenge"),
			"cut": good[:len(good)-1], "with another nonce": append([]byte("another nonce")[:seal.NonceSize], good[seal.NonceSize:]...),
		} {
			if code, text := send(body); code != http.StatusForbidden || !strings.HasSuffix(text, "the token of the line.") {
				t.Errorf("%s: %d %s", name, code, text)
			}
		}
		if code, text := send(good); code != http.StatusUnprocessableEntity || heard != 1 {
			t.Errorf("the good answer: %d %s, %d heard", code, text, heard)
		}
		if code, text := send(good); code != http.StatusForbidden || !strings.HasSuffix(text, "has arrived before.") || heard != 1 {
			t.Errorf("the same again: %d %s, %d heard", code, text, heard)
		}
		if code, text := send(sealed(token, "answer")); code != http.StatusNoContent {
			t.Errorf("a new one: %d %s", code, text)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// The token itself opens nothing: a browser that has the token need not send it.
func TestTokenIsNoID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := passkey.NewBroker(passkey.Claim{})
		ctx, cancel := context.WithCancel(t.Context())
		token, result := ask(ctx, b)
		w := serve(b, request("challenge", token, "", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }))
		if w.Code != http.StatusGone {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		cancel()
		<-result
	})
}

// The Broker gives the extension the last four digits of a number and nothing more.
func TestClaimHasTheLastDigits(t *testing.T) {
	t.Parallel()
	for number, want := range map[string]string{
		"": "", "+5511987654321": "4321", "55 (11) 98765-43 21": "4321", "21": "21", "unknown": "", "5511987654321@s.whatsapp.net": "4321",
		"5511987654321:12@s.whatsapp.net": "4321", "+٥٥١١٩٨٧٦٥٤٣٢١": "4321",
	} {
		synctest.Test(t, func(t *testing.T) {
			b := passkey.NewBroker(passkey.Claim{Number: number})
			ctx, cancel := context.WithCancel(t.Context())
			token, result := ask(ctx, b)
			said, err := seal.Open(token, "challenge", serve(b, request("challenge", token, "")).Body.Bytes(), nil)
			if !strings.Contains(string(said), `"number":"`+want+`"`) {
				t.Errorf("%q gives %s, %v", number, said, err)
			}
			cancel()
			<-result
		})
	}
}

// Each challenge has its own token, and no two programs have the same.
func TestTokens(t *testing.T) {
	t.Parallel()
	one, other := passkey.NewBroker(passkey.Claim{}), passkey.NewBroker(passkey.Claim{})
	lines := map[string]bool{}
	for i := range 3 {
		for _, b := range []*passkey.Broker{one, other} {
			another := fmt.Appendf(nil, `{"challenge":"%d"}`, i)
			line := b.Line("http://127.0.0.1:1/passkey", another)
			if !strings.HasPrefix(line, "http://127.0.0.1:1/passkey/#") || line != b.Line("http://127.0.0.1:1/passkey/", another) {
				t.Errorf("the line is %s", line)
			}
			lines[line] = true
		}
	}
	if len(lines) != 6 {
		t.Errorf("%d lines for 6 challenges", len(lines))
	}
}

// Of two answers at the same time Ask returns one.
func TestAnswersAtTheSameTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := passkey.NewBroker(passkey.Claim{})
		token, result := ask(t.Context(), b)
		codes := make(chan int)
		for range 2 {
			go func() { codes <- serve(b, request("answer", token, assertion)).Code }()
		}
		if sum := <-codes + <-codes; sum != http.StatusNoContent+http.StatusGone {
			t.Errorf("the codes add up to %d", sum)
		}
		if got := <-result; got.err != nil {
			t.Error(got.err)
		}
	})
}
