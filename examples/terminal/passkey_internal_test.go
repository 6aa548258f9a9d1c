package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/walinktest"
)

// watched is an output that a test reads while the program writes it.
type watched struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{}
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
	return w.text.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// find waits until the output matches the expression, and returns its first group.
func (w *watched) find(ctx context.Context, t *testing.T, expression string) string {
	t.Helper()
	for {
		if m := regexp.MustCompile(expression).FindStringSubmatch(w.String()); m != nil {
			return m[1]
		}
		select {
		case <-w.news:
		case <-ctx.Done():
			t.Fatalf("nothing says %q:\n%s", expression, w)
		}
	}
}

// ceremony is a run with an account that wants a passkey. The broker has a real socket,
// so the run is in real time.
type ceremony struct {
	t              *testing.T
	ctx            context.Context // of the test
	phone          *walinktest.Phone
	stdout, stderr *watched
	typed          *io.PipeWriter
	extension      string
	exit           chan int
}

func newCeremony(t *testing.T, options ...walinktest.PhoneOption) *ceremony {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	srv := walinktest.NewServer(t)
	dir := t.TempDir()
	settings := filepath.Join(dir, "settings.json")
	if err := os.WriteFile(settings, []byte(`{"phone": "+55 11 98765-4321", "linkingMode": "pairing", "comparePasskeyCode": true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	stdin, typed := io.Pipe()
	t.Cleanup(func() { _ = typed.Close() })
	c := &ceremony{
		t: t, ctx: ctx, phone: srv.NewPhone("+5511987654321", append(options, walinktest.WithPasskey())...),
		stdout: &watched{news: make(chan struct{}, 1)}, stderr: &watched{},
		typed: typed, extension: filepath.Join(dir, "config", "extension"), exit: make(chan int, 1),
	}
	p := program{stdin: stdin, stdout: c.stdout, stderr: c.stderr, transport: srv.HTTPClient().Transport, extension: c.extension}
	go func() {
		c.exit <- p.run(ctx, []string{"-db", filepath.Join(dir, "sessions.db"), "-settings", settings})
	}()
	code := c.shows(`\s([A-Z0-9]{4}-[A-Z0-9]{4})\s`)
	go func() { _ = c.phone.EnterCode(ctx, code) }()
	return c
}

// shows waits until the screen matches the expression, and returns its first group.
func (c *ceremony) shows(expression string) string {
	c.t.Helper()
	return c.stdout.find(c.ctx, c.t, expression)
}

func (c *ceremony) types(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.typed, text); err != nil {
		c.t.Fatal(err)
	}
}

func (c *ceremony) assertion(challenge []byte, options ...walinktest.AssertOption) string {
	c.t.Helper()
	assertion, err := c.phone.Assert(challenge, options...)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(assertion)
}

// linked waits for the end of the run. It wants each of the words, and one attempt.
func (c *ceremony) linked(words ...string) {
	c.t.Helper()
	if got := <-c.exit; got != exitLinked {
		c.t.Errorf("exit code %d:\n%s\n%s", got, c.stdout, c.stderr)
	}
	for _, word := range words {
		if !strings.Contains(c.stdout.String(), word) {
			c.t.Errorf("nothing says %q:\n%s", word, c.stdout)
		}
	}
	if strings.Contains(c.stdout.String(), "Attempt 1 failed") {
		c.t.Errorf("the first attempt failed:\n%s", c.stdout)
	}
}

// A person pastes the answer to the passkey, and compares the codes if the phone asks
// for that.
func TestPasskeyIsPasted(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]walinktest.PhoneOption{
		"with the hand-off":   nil,
		"comparing the codes": {walinktest.WithCodeCheck()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCeremony(t, options...)
			file := c.shows(`into the console what is in\s+(\S+snippet.js)`)
			snippet, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			challenge := regexp.MustCompile(`(?s)askForPasskey\((\{.*?\n\})\)`).FindSubmatch(snippet)
			if challenge == nil {
				t.Fatalf("no challenge in the snippet:\n%s", snippet)
			}
			// WhatsApp refuses the first answer, which ends nothing.
			c.types("what?\n> '" + c.assertion(challenge[1], walinktest.WronglySigned()) + "'\n")
			c.shows("(Not accepted): answer passkey")
			// The second answer comes in several lines, as from a mail or a narrow window.
			good := c.assertion(challenge[1])
			c.types(good[:200] + "\n" + good[200:400] + "\r\n" + good[400:] + "\n")
			shown := c.shows(`If it is (\S{4}-\S{4}), type yes`)
			if options != nil {
				if asked, err := c.phone.PasskeyCode(c.ctx); err != nil || asked != shown {
					t.Errorf("the phone shows %q (%v), the program %q", asked, err, shown)
				}
				go func() { _ = c.phone.ConfirmPasskey(c.ctx) }()
			}
			c.types("maybe\nyes\n")
			c.linked("WhatsApp has accepted the passkey.", "Type yes if", "The codes are the same")
			if n := strings.Count(c.stdout.String(), "There is no answer"); n != 1 {
				t.Errorf("%d times no answer, want that of the first line alone:\n%s", n, c.stdout)
			}
			if _, err := os.Stat(filepath.Dir(file)); !os.IsNotExist(err) {
				t.Errorf("the snippet is left behind: %v", err)
			}
			if _, err := os.Stat(filepath.Join(c.extension, "manifest.json")); err != nil {
				t.Errorf("the extension does not stay: %v", err)
			}
		})
	}
}

// The extension learns that WhatsApp refuses its first answer, and sends another one.
func TestPasskeyByExtension(t *testing.T) {
	t.Parallel()
	c := newCeremony(t)
	if folder := c.shows(`press Load unpacked, choose\s+(\S+)`); folder != c.extension {
		t.Errorf("the folder is %s", folder)
	}
	base, token, _ := strings.Cut(c.shows(`(http://127\.0\.0\.1:\d+/#[\w-]+)`), "#")
	challenge, err := question(c.ctx, base, token)
	for err != nil && c.ctx.Err() == nil { // the broker serves a moment after the screen shows the line
		challenge, err = question(c.ctx, base, token)
	}
	if err != nil {
		t.Fatal(err)
	}
	err = reply(c.ctx, base, token, c.assertion(challenge, walinktest.WronglySigned()))
	if err == nil || !strings.Contains(err.Error(), "has not accepted the answer: answer passkey: passkey: WhatsApp answered 401") {
		t.Errorf("the extension hears %v", err)
	}
	if err := reply(c.ctx, base, token, c.assertion(challenge)); err != nil {
		t.Errorf("the extension hears %v", err)
	}
	c.shows(`(type yes here)`)
	if err := reply(c.ctx, base, token, c.assertion(challenge)); err == nil || !strings.Contains(err.Error(), "not good any more") {
		t.Errorf("the extension hears %v", err)
	}
	c.types("yes\n")
	c.linked("Not accepted: ", "WhatsApp has accepted the passkey.")
}

// If one way to answer fails, the other one works, and the desk tries both again for the
// next challenge.
func TestPasskeyWaysFailApart(t *testing.T) {
	t.Parallel()
	required := walink.PasskeyRequired{Challenge: []byte(`{"challenge":"YQ","rpId":"whatsapp.com"}`), Expires: time.Now().Add(time.Minute)}
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		extension string
		deaf      bool
		line      bool
		want      string
	}{
		"no folder for the extension": {extension: file, line: true, want: "It cannot be written"},
		"no port":                     {extension: dir, deaf: true, want: "not now"},
		"nothing":                     {extension: dir, line: true, want: "Load unpacked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var shown []string
			d := newDesk(func(line string) { shown = append(shown, line) }, "", test.extension)
			if test.deaf {
				if err := d.broker.Close(); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				shown = nil
				line := d.Ask(t.Context(), nil, required)
				text := strings.Join(shown, "\n")
				if (line != "") != test.line || strings.Contains(text, "http://127.0.0.1") != test.line {
					t.Errorf("the line is %q:\n%s", line, text)
				}
				if !strings.Contains(text, test.want) || !strings.Contains(text, "snippet.js") {
					t.Errorf("shown, without %q:\n%s", test.want, text)
				}
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPasskeyThatNoBrowserCanAnswer(t *testing.T) {
	t.Parallel()
	var shown []string
	d := newDesk(func(line string) { shown = append(shown, line) }, "", t.TempDir())
	if line := d.Ask(t.Context(), nil, walink.PasskeyRequired{Challenge: []byte(`[]`)}); line != "" || len(shown) != 1 || !strings.Contains(shown[0], "cannot be answered") {
		t.Errorf("%q, shown %q", line, shown)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// The desk says so if the rest of a paste is overdue.
func TestPasteThatIsNotWhole(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		var shown []string
		d := newDesk(func(line string) { shown = append(shown, line) }, "", t.TempDir())
		d.Typed(t.Context(), `{"id":"YQ",`)
		if len(shown) != 0 {
			t.Errorf("at once %q", shown)
		}
		<-d.late
		d.Late()
		if len(shown) != 1 || !strings.Contains(shown[0], "no answer") || d.late != nil {
			t.Errorf("then %q", shown)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}

// The sandbox shows what a person would do, and the simulated browser does that.
func TestSandboxShowsThePasskeyCeremony(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	p := program{stdout: &stdout, stderr: &stderr, extension: filepath.Join(dir, "extension"), thinking: time.Millisecond}
	exit := p.run(t.Context(), []string{"-sandbox", "-passkey", "-qr", "-db", filepath.Join(dir, "sessions.db")})
	r := result{exit, stdout.String(), stderr.String()}
	r.wants(t, exitLinked, r.stdout, "wants the account's passkey", p.extension, "http://127.0.0.1:", "/#", "snippet.js", "allow pasting",
		"does what A says by itself", "The passkey is accepted", "Linked: ")
	checkPlain(t, r.stdout)
}

// If the broker cannot listen, the simulated browser uses the console.
func TestSandboxBrowserWithoutAnExtension(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	st, err := sqlite.Open(ctx, ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	sb, err := startSandbox(ctx, st, sandboxPhone, true, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer sb.Close()
	p := program{opts: options{db: filepath.Join(dir, "x.db"), sandbox: true}, stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}
	p.screen = newScreen(p.stdout)
	p.desk = newDesk(p.screen.Note, "", dir)
	if err := p.desk.broker.Close(); err != nil {
		t.Fatal(err)
	}
	linker, err := walink.New(st, walink.Settings{HTTPClient: sb.server.HTTPClient()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = linker.Close() }()
	p.desk.linker = linker
	if exit := p.link(ctx, st, linker, sb); exit != exitLinked {
		t.Errorf("exit code %d:\n%s", exit, p.stdout)
	}
	if err := p.desk.Close(); err != nil {
		t.Error(err)
	}
}

func TestPasskeyFlagIsForTheSandbox(t *testing.T) {
	t.Parallel()
	r := runIn(t.Context(), t, t.TempDir(), "-passkey")
	r.wants(t, exitUsage, r.stderr, "-sandbox")
}
