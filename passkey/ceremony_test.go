package passkey_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/seal"
	"github.com/walink/walink/passkey"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/walinktest"
)

// program is a program that links an account with a passkey.
type program struct {
	t      *testing.T
	phone  *walinktest.Phone
	linker *walink.Linker
	events <-chan walink.Event
	said   chan error // what the phone says at the end of its scan
}

func newProgram(t *testing.T, settings walink.Settings) *program {
	t.Helper()
	srv := walinktest.NewServer(t)
	st, err := sqlite.Open(t.Context(), ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	settings.HTTPClient = srv.HTTPClient()
	linker, err := walink.New(st, settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := linker.Close(); err != nil {
			t.Error(err)
		}
	})
	return &program{
		t: t, phone: srv.NewPhone("+5511987654321", walinktest.WithPasskey()), linker: linker, said: make(chan error, 1),
	}
}

// challenged begins a Link, scans its QR code, and returns the challenge.
func (p *program) challenged() walink.PasskeyRequired {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	p.t.Cleanup(cancel)
	events, err := p.linker.Link(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	p.events = events
	code := await[walink.QRCode](p)
	go func() { p.said <- p.phone.ScanQR(ctx, code.Payload) }()
	return await[walink.PasskeyRequired](p)
}

// linked waits until the account is linked.
func (p *program) linked() {
	p.t.Helper()
	linked := await[walink.Linked](p)
	if err := <-p.said; err != nil {
		p.t.Errorf("the phone says %v", err)
	}
	if refused := p.phone.PasskeyRefusals(); len(refused) != 0 {
		p.t.Errorf("WhatsApp refused %v", refused)
	}
	p.t.Logf("linked %s", linked.Account.Phone.Redacted())
}

func await[E walink.Event](p *program) E {
	p.t.Helper()
	var want E
	for event := range p.events {
		if failed, ok := event.(walink.Failed); ok {
			p.t.Fatalf("failed before %s: %v", want.Kind(), failed.Err)
		}
		if e, ok := event.(E); ok {
			return e
		}
	}
	p.t.Fatalf("the events ended before %s", want.Kind())
	return want
}

// listening returns a Broker on a free port, and the base of its Lines.
func listening(t *testing.T) (b *passkey.Broker, base string) {
	t.Helper()
	b = passkey.NewBroker(passkey.Claim{Program: "Shop desk", Number: "+5511987654321"})
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	base, err := b.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return b, base
}

// note waits until the note on the extension's page contains text.
func (b *browser) note(page context.Context, text string) {
	b.t.Helper()
	expression := `(document.getElementById("note").textContent.includes("` + text + `"))`
	if _, err := chromedp.Run(page, chromedp.Poll[bool](expression)); err != nil {
		said, _ := chromedp.Run(page, chromedp.Text(chromedp.CSS("#note")))
		b.t.Fatalf("the extension says %q, want %q: %v", said, text, err)
	}
}

// The person has WhatsApp Web open, presses the button of the extension, and
// pastes the line into the extension's page. Settings.Passkey does the rest.
func TestExtensionInAnOpenTab(t *testing.T) {
	t.Parallel()
	chromium := newBrowser(t)
	broker, base := listening(t)
	program := newProgram(t, walink.Settings{Passkey: broker.Ask})
	close(chromium.site.serve)
	whatsAppTab := chromium.open(whatsApp)
	chromium.authenticator(whatsAppTab, program.phone.Passkey())
	page := chromium.press(whatsAppTab)

	required := program.challenged()
	chromium.use(page, "  "+broker.Line(base, required.Challenge)+" ")
	chromium.note(page, "The program has the answer.")
	program.linked()

	// The line has had its answer.
	chromium.paste(page, broker.Line(base, required.Challenge))
	chromium.note(page, "not good any more")
}

// The person opens the line as an address and presses the button in that tab. The
// extension opens WhatsApp Web, and closes it. AnswerPasskey decides on the answer.
// Another program's line is open too, and the extension does not use it.
func TestExtensionOpensATab(t *testing.T) {
	t.Parallel()
	chromium := newBrowser(t)
	broker, base := listening(t)
	program := newProgram(t, walink.Settings{})
	required := program.challenged()
	answered := make(chan error, 1)
	go func() { answered <- broker.Serve(t.Context(), required.Challenge, program.linker.AnswerPasskey) }()

	opened := chromium.open(broker.Line(base, required.Challenge))
	text, err := chromedp.Run(opened, chromedp.Text(chromedp.CSS("body")))
	if err != nil || !strings.Contains(text, "press the extension's button") {
		t.Errorf("the address says %q, %v", text, err)
	}
	_, other := listening(t)
	chromium.open(broker.Line(other, []byte(challenge)))
	page := chromium.press(opened)
	filled, err := chromedp.Run(page, chromedp.Poll[string](`document.getElementById("line")?.value`))
	if want := broker.Line(base, required.Challenge); err != nil || filled != want {
		t.Fatalf("the line is %q, %v, want %q", filled, err, want)
	}
	before := chromium.targets()
	chromium.confirm(page)
	<-chromium.site.opened
	after := chromium.targets()
	i := slices.IndexFunc(after, func(tab *target.Info) bool {
		return tab.Type == "page" && !slices.ContainsFunc(before, func(old *target.Info) bool { return old.TargetID == tab.TargetID })
	})
	if i < 0 {
		t.Fatal("no tab was opened")
	}
	chromium.authenticator(chromium.attach(after[i].TargetID), program.phone.Passkey())
	close(chromium.site.serve)
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	program.linked()
	chromium.note(page, "The program has the answer.")
	chromium.until("WhatsApp's tab to close", func(tabs []*target.Info) bool {
		return !slices.ContainsFunc(tabs, func(tab *target.Info) bool { return tab.TargetID == after[i].TargetID })
	})
}

// The authenticator does not recognise the person at first. The person tries again
// with the same line.
func TestExtensionTriesAgain(t *testing.T) {
	t.Parallel()
	chromium := newBrowser(t)
	broker, base := listening(t)
	program := newProgram(t, walink.Settings{Passkey: broker.Ask})
	close(chromium.site.serve)
	whatsAppTab := chromium.open(whatsApp)
	page := chromium.press(whatsAppTab)
	required := program.challenged()
	authenticator := chromium.authenticator(whatsAppTab, program.phone.Passkey())
	verified := func(recognised bool) {
		_, err := chromedp.Call(whatsAppTab, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: authenticator, IsUserVerified: recognised})
		if err != nil {
			t.Fatal(err)
		}
	}
	verified(false)
	chromium.use(page, broker.Line(base, required.Challenge))
	chromium.note(page, "the browser gave no passkey")
	verified(true)
	chromium.confirm(page)
	program.linked()
}

// A page that has the id gets no challenge: only the extension's page does.
func TestPagesInTheBrowserAreRefused(t *testing.T) {
	t.Parallel()
	chromium := newBrowser(t)
	broker, base := listening(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := broker.Ask(ctx, []byte(challenge))
		done <- err
	}()
	line := broker.Line(base, []byte(challenge))
	address, token, _ := strings.Cut(line, "#")
	tab := chromium.open(address) // a page of the Broker's own origin
	got, err := chromedp.Run(tab, chromedp.Evaluate[int](
		`fetch("`+address+`challenge", {method: "POST", headers: {Authorization: "Bearer `+seal.ID(token)+`"}}).then((r) => r.status)`,
		chromedp.EvalAwaitPromise))
	if err != nil || got != 403 {
		t.Errorf("a page of the same origin gets %d, %v", got, err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// The person pastes the snippet into the console, and the output of the snippet
// into the terminal.
func TestSnippetInTheConsole(t *testing.T) {
	t.Parallel()
	chromium := newBrowser(t)
	program := newProgram(t, walink.Settings{})
	close(chromium.site.serve)
	tab := chromium.open(whatsApp)
	chromium.authenticator(tab, program.phone.Passkey())
	required := program.challenged()
	snippet, err := passkey.Snippet(required.Challenge)
	if err != nil {
		t.Fatal(err)
	}
	printed := chromium.console(tab, snippet)
	t.Logf("a line of %d bytes", len(printed))
	answer, err := passkey.ParsePasted("answer> '" + printed[:80] + "\n" + printed[80:] + "'\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := program.linker.AnswerPasskey(t.Context(), answer); err != nil {
		t.Fatal(err)
	}
	program.linked()
}

func TestSnippetOnAnotherPage(t *testing.T) {
	t.Parallel()
	chromium := newBrowser(t)
	snippet, err := passkey.Snippet([]byte(challenge))
	if err != nil {
		t.Fatal(err)
	}
	if said := chromium.console(chromium.open("about:blank"), snippet); !strings.Contains(said, "Open https://web.whatsapp.com and try again there: this is another page") {
		t.Errorf("the console says %q", said)
	}
}
