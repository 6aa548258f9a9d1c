package passkey_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/walink/walink/internal/seal"
	"github.com/walink/walink/passkey"
)

// rogue is a program that listens where the extension expects a Broker.
type rogue struct {
	server *httptest.Server
	reply  http.HandlerFunc

	mu    sync.Mutex
	heard []string // every request, as a whole
}

// newRogue starts a rogue on a port of 127.0.0.1, such as "127.0.0.1:0".
func newRogue(t *testing.T, address string, reply http.HandlerFunc) *rogue {
	t.Helper()
	listener, err := net.Listen("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	g := &rogue{reply: reply}
	g.server = httptest.NewUnstartedServer(g)
	_ = g.server.Listener.Close()
	g.server.Listener = listener
	g.server.Start()
	t.Cleanup(g.server.Close)
	return g
}

func (g *rogue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if dump, err := httputil.DumpRequest(r, true); err == nil {
		g.mu.Lock()
		g.heard = append(g.heard, string(dump))
		g.mu.Unlock()
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	g.reply(w, r)
}

// requests returns the requests that the rogue has got.
func (g *rogue) requests() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.heard)
}

// rogueToken is the token of the rogue's own line, which a person has pasted.
const rogueToken = "AAAAAAAAAAAAAAAAAAAAAA"

func (g *rogue) line() string { return g.server.URL + "/#" + rogueToken }

// saying returns a rogue that answers to its own line with a text under the seal.
func saying(t *testing.T, text string) *rogue {
	t.Helper()
	return newRogue(t, "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
		nonce, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/html") // a tab may open it
		_, _ = w.Write(seal.Seal(rogueToken, "challenge", []byte(text), nonce))
	})
}

// offered lets the Broker offer the challenge until the test ends.
func offered(t *testing.T, b *passkey.Broker, challenge string) <-chan asked {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	done, result := make(chan struct{}), make(chan asked, 1)
	go func() {
		defer close(done)
		answer, err := b.Ask(ctx, json.RawMessage(challenge))
		result <- asked{answer, err}
	}()
	t.Cleanup(func() { cancel(); <-done })
	token := tokenOf(b, challenge)
	for serve(b, request("challenge", token, "")).Code != http.StatusOK { // until Ask has begun
		if ctx.Err() != nil {
			t.Fatal("the Broker does not offer the challenge")
		}
	}
	return result
}

// text returns the text of an element of the extension's page.
func (b *browser) text(page context.Context, id string) string {
	b.t.Helper()
	text, err := chromedp.Run(page, chromedp.Evaluate[string](`document.getElementById("`+id+`").textContent`))
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

// off reports whether the button of the extension's page is off and nobody is shown.
func (b *browser) off(page context.Context) bool {
	b.t.Helper()
	off, err := chromedp.Run(page, chromedp.Evaluate[bool](
		`document.getElementById("go").disabled && document.getElementById("who").hidden`))
	if err != nil {
		b.t.Fatal(err)
	}
	return off
}

// watch notes in a tab of WhatsApp what its authenticator is asked. If fake is true, a
// fake answers.
func (b *browser) watch(tab context.Context, fake bool) {
	b.t.Helper()
	b.do(tab, chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`
		const real = navigator.credentials.get.bind(navigator.credentials);
		const some = new Uint8Array([123, 125]).buffer;
		const credential = { id: "aWQ", rawId: some, type: "public-key", getClientExtensionResults: () => ({}),
			response: { clientDataJSON: some, authenticatorData: some, signature: some } };
		window.askedFor = [];
		navigator.credentials.get = async (options) => {
			askedFor.push(Object.keys(options).concat(Object.keys(options.publicKey)).sort().join(" "));
			return %t ? credential : real(options);
		}; undefined`, fake)))
}

// askedFor returns what the authenticator of a watched tab was asked: the names of the options.
func (b *browser) askedFor(tab context.Context) []string {
	b.t.Helper()
	names, err := chromedp.Run(tab, chromedp.Evaluate[[]string](`askedFor`))
	if err != nil {
		b.t.Fatal(err)
	}
	return names
}

// untouched fails the test if the authenticator of a watched tab was asked for anything.
func (b *browser) untouched(tab context.Context) {
	b.t.Helper()
	if got := b.askedFor(tab); len(got) != 0 {
		b.t.Errorf("the authenticator is asked for %q", got)
	}
}

// watched starts a browser with a watched tab of WhatsApp, in which the extension's button
// was pressed: page is the extension's.
func watched(t *testing.T) (b *browser, tab, page context.Context) {
	t.Helper()
	b = newBrowser(t)
	close(b.site.serve)
	tab = b.open(whatsApp)
	b.watch(tab, true)
	page = b.press(tab)
	return b, tab, page
}
