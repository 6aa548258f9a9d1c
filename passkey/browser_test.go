package passkey_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/extensions"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/walink/walink/passkey"
	"github.com/walink/walink/walinktest"
)

const (
	whatsApp      = "https://web.whatsapp.com/"
	extensionPage = extension + "/page.html"
	// patience is for a slow machine. No test waits for time to pass.
	patience = time.Minute
)

// browser is a headless Chromium with the extension, for which
// web.whatsapp.com is a server of the test.
type browser struct {
	t       *testing.T
	ctx     context.Context // chromedp keeps the browser and its first tab in it
	site    *site
	changed chan struct{} // gets a value when a tab opens, closes or goes to another page
}

// site is the server of web.whatsapp.com.
type site struct {
	server *httptest.Server
	spki   string
	opened chan struct{} // gets a value when a browser requests the page
	serve  chan struct{} // the requests for the page wait until this is closed
}

// chromium returns the path of Chromium. It skips the test unless passkey/run
// asks for the browser.
func chromium(t *testing.T) string {
	t.Helper()
	if os.Getenv("WALINK_CHROMIUM") != "1" {
		t.Skip("make browser runs this test in Chromium.")
	}
	for _, name := range []string{"chromium", "chromium-browser"} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	t.Fatal("WALINK_CHROMIUM=1 asks for Chromium, and there is none")
	return ""
}

func newSite(t *testing.T) *site {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"web.whatsapp.com"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(spki)
	s := &site{
		spki:   base64.StdEncoding.EncodeToString(sum[:]),
		opened: make(chan struct{}, 1),
		serve:  make(chan struct{}),
	}
	s.server = httptest.NewUnstartedServer(s)
	s.server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	return s
}

// ServeHTTP serves a page whose policy allows as little as possible.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	select {
	case s.opened <- struct{}{}:
	default:
	}
	select {
	case <-s.serve:
	case <-r.Context().Done():
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; require-trusted-types-for 'script'")
	_, _ = io.WriteString(w, "<!DOCTYPE html><title>WhatsApp Web</title><h1>Use WhatsApp on your computer</h1>")
}

// newBrowser starts Chromium, with one empty tab.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	path := chromium(t)
	b := &browser{t: t, site: newSite(t), changed: make(chan struct{}, 1)}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox,
		chromedp.Flag("headless", "new"),
		chromedp.Flag("disable-extensions", false),
		chromedp.Flag("enable-unsafe-extension-debugging", true),
		chromedp.Flag("host-resolver-rules", "MAP web.whatsapp.com "+b.site.server.Listener.Addr().String()),
		chromedp.Flag("ignore-certificate-errors-spki-list", b.site.spki),
	)...)
	t.Cleanup(cancel)
	b.ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {})) // chromedp logs errors about tabs that have no page yet
	t.Cleanup(cancel)
	if err := chromedp.ListenBrowser(b.ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	b.do(b.ctx)
	dir := t.TempDir()
	if err := passkey.WriteExtension(dir); err != nil {
		t.Fatal(err)
	}
	loaded, err := chromedp.CallBrowser(b.ctx, extensions.LoadUnpacked, extensions.LoadUnpackedParams{Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	if loaded.ID != passkey.ExtensionID {
		t.Fatalf("Chromium calls the extension %s", loaded.ID)
	}
	// The button does nothing until the worker has run.
	worker := b.tab("service_worker", extension)
	for ready := false; !ready; {
		ready, err = chromedp.Run(worker, chromedp.Evaluate[bool](`globalThis.chrome?.action?.onClicked.hasListeners() ?? false`))
		if err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func (b *browser) listen(event any) {
	switch event.(type) {
	case *target.EventTargetCreated, *target.EventTargetInfoChanged, *target.EventTargetDestroyed:
		select {
		case b.changed <- struct{}{}:
		default:
		}
	}
}

func (b *browser) do(ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// open opens a new tab.
func (b *browser) open(url string) context.Context {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	b.t.Cleanup(cancel)
	b.do(ctx, chromedp.Navigate(url))
	return ctx
}

// tab waits for a tab or worker whose address begins with prefix, and attaches to it.
func (b *browser) tab(kind, prefix string) context.Context {
	b.t.Helper()
	var found target.ID
	b.until("a "+kind+" on "+prefix, func(all []*target.Info) bool {
		i := slices.IndexFunc(all, func(one *target.Info) bool { return one.Type == kind && strings.HasPrefix(one.URL, prefix) })
		if i >= 0 {
			found = all[i].TargetID
		}
		return i >= 0
	})
	return b.attach(found)
}

// targets returns the tabs and workers of the browser.
func (b *browser) targets() []*target.Info {
	b.t.Helper()
	targets, err := chromedp.Targets(b.ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	return targets
}

// until waits until ready(targets) is true. The error names what.
func (b *browser) until(what string, ready func([]*target.Info) bool) {
	b.t.Helper()
	for !ready(b.targets()) {
		select {
		case <-b.changed:
		case <-b.ctx.Done():
			b.t.Fatalf("no sign of %s", what)
		}
	}
}

func (b *browser) attach(id target.ID) context.Context {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithTargetID(id))
	b.t.Cleanup(cancel)
	b.do(ctx)
	return ctx
}

// press presses the extension's button while a tab is in front, and returns
// the extension's page.
func (b *browser) press(tab context.Context) context.Context {
	b.t.Helper()
	url, err := chromedp.Run(tab, chromedp.Location())
	if err != nil {
		b.t.Fatal(err)
	}
	// A tab and the page in it are two targets.
	tabs, err := chromedp.CallBrowser(b.ctx, target.GetTargets, target.GetTargetsParams{
		Filter: target.Filter{{Type: "tab"}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	i := slices.IndexFunc(tabs.TargetInfos, func(tab *target.Info) bool { return tab.URL == url })
	if i < 0 {
		b.t.Fatalf("no tab on %s", url)
	}
	_, err = chromedp.CallBrowser(b.ctx, extensions.TriggerAction, extensions.TriggerActionParams{
		ID: passkey.ExtensionID, TargetID: string(tabs.TargetInfos[i].TargetID),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.tab("page", extensionPage)
}

// paste pastes a line into the extension's page in place of what is there.
func (b *browser) paste(page context.Context, line string) {
	b.t.Helper()
	b.do(page, chromedp.Evaluate[chromedp.Void](`document.getElementById("line").select(); document.getElementById("line").focus()`))
	if _, err := chromedp.Call(page, input.InsertText, input.InsertTextParams{Text: line}); err != nil {
		b.t.Fatal(err)
	}
}

// asked waits until the extension's page shows who asks.
func (b *browser) asked(page context.Context) {
	b.t.Helper()
	if _, err := chromedp.Run(page, chromedp.Poll[bool](`!document.getElementById("go").disabled`)); err != nil {
		b.t.Fatalf("the page shows nobody: %v", err)
	}
}

// confirm presses "Use the passkey" when the extension's page shows who asks.
func (b *browser) confirm(page context.Context) {
	b.t.Helper()
	b.asked(page)
	b.do(page, chromedp.Click(chromedp.CSS("#go")))
}

// use pastes a line into the extension's page and presses its button there.
func (b *browser) use(page context.Context, line string) {
	b.t.Helper()
	b.paste(page, line)
	b.confirm(page)
}

// authenticator gives a tab a virtual authenticator that holds the passkey, and
// whose user is always present.
func (b *browser) authenticator(tab context.Context, key walinktest.Passkey) webauthn.AuthenticatorID {
	b.t.Helper()
	if _, err := chromedp.Call(tab, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		b.t.Fatal(err)
	}
	added, err := chromedp.Call(tab, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
		Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol:                    webauthn.AuthenticatorProtocolCtap2,
			Transport:                   webauthn.AuthenticatorTransportInternal,
			HasResidentKey:              true,
			HasUserVerification:         true,
			IsUserVerified:              true,
			AutomaticPresenceSimulation: true,
		},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	// cdproto's AddCredentialParams has fields that Chromium refuses for this authenticator.
	type credential struct {
		CredentialID         []byte `json:"credentialId"`
		IsResidentCredential bool   `json:"isResidentCredential"`
		RPID                 string `json:"rpId"`
		PrivateKey           []byte `json:"privateKey"`
		UserHandle           []byte `json:"userHandle"`
		SignCount            uint32 `json:"signCount"`
	}
	type params struct {
		AuthenticatorID webauthn.AuthenticatorID `json:"authenticatorId"`
		Credential      credential               `json:"credential"`
	}
	add := cdp.Command[params, cdp.Empty]{Method: webauthn.CommandAddCredential}
	if _, err := chromedp.Call(tab, add, params{added.AuthenticatorID, credential{
		key.CredentialID, true, key.RPID, key.PrivateKey, key.UserHandle, key.SignCount,
	}}); err != nil {
		b.t.Fatal(err)
	}
	return added.AuthenticatorID
}

// console runs script in the console of a tab, and returns the first line that the
// script prints.
func (b *browser) console(tab context.Context, script string) string {
	b.t.Helper()
	printed := chromedp.Console(tab)
	userGesture := func(p *runtime.EvaluateParams) { p.UserGesture = new(true) }
	b.do(tab, chromedp.EvaluateAsDevTools[chromedp.Void](script, userGesture))
	for message, err := range printed {
		if err != nil {
			b.t.Fatal(err)
		}
		return message.Text
	}
	b.t.Fatal("the console says nothing")
	return ""
}
