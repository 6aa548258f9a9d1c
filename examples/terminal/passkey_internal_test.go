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

	"github.com/walink/walink/walinktest"
)

// watched is an output that somebody looks at while it is written.
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

// find waits for what the expression matches, and returns its first group.
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

// A person answers the passkey by pasting, and compares the codes where the
// phone asks for it. The broker is on a real socket, so this is in real time.
func TestPasskeyIsPasted(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]walinktest.PhoneOption{
		"with the hand-off":   {walinktest.WithPasskey()},
		"comparing the codes": {walinktest.WithPasskey(), walinktest.WithCodeCheck()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			srv := walinktest.NewServer(t)
			phone := srv.NewPhone("+5511987654321", options...)
			dir := t.TempDir()
			settings := filepath.Join(dir, "settings.json")
			if err := os.WriteFile(settings, []byte(`{"phone": "+55 11 98765-4321", "linkingMode": "pairing", "comparePasskeyCode": true}`), 0o600); err != nil {
				t.Fatal(err)
			}
			stdin, typed := io.Pipe()
			defer func() { _ = typed.Close() }()
			stdout, stderr := &watched{news: make(chan struct{}, 1)}, &watched{}
			p := program{stdin: stdin, stdout: stdout, stderr: stderr, transport: srv.HTTPClient().Transport}
			exit := make(chan int, 1)
			go func() { exit <- p.run(ctx, []string{"-db", filepath.Join(dir, "sessions.db"), "-settings", settings}) }()

			code := stdout.find(ctx, t, `\s([A-Z0-9]{4}-[A-Z0-9]{4})\s`)
			go func() { _ = phone.EnterCode(ctx, code) }()
			file := stdout.find(ctx, t, `paste into the console what is in\s+(\S+snippet.js)`)
			snippet, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			challenge := regexp.MustCompile(`(?s)askForPasskey\((\{.*?\n\})\)`).FindSubmatch(snippet)
			if challenge == nil {
				t.Fatalf("no challenge in the snippet:\n%s", snippet)
			}
			assertion, err := phone.Assert(challenge[1])
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range []string{"what?", "> '" + string(assertion) + "'"} {
				if _, err := io.WriteString(typed, line+"\n"); err != nil {
					t.Fatal(err)
				}
			}
			shown := stdout.find(ctx, t, `If it is (\S{4}-\S{4}), type yes`)
			if len(options) > 1 {
				if asked, err := phone.PasskeyCode(ctx); err != nil || asked != shown {
					t.Errorf("the phone shows %q (%v), the program %q", asked, err, shown)
				}
				go func() { _ = phone.ConfirmPasskey(ctx) }()
			}
			if _, err := io.WriteString(typed, "maybe\nyes\n"); err != nil {
				t.Fatal(err)
			}
			if got := <-exit; got != exitLinked {
				t.Errorf("exit code %d:\n%s\n%s", got, stdout, stderr)
			}
			for _, line := range []string{"there is no answer in it", "WhatsApp has accepted the passkey.", "Type yes if", "The codes are the same"} {
				if !strings.Contains(stdout.String(), line) {
					t.Errorf("nothing says %q:\n%s", line, stdout)
				}
			}
			if _, err := os.Stat(filepath.Dir(file)); !os.IsNotExist(err) {
				t.Errorf("the snippet is left behind: %v", err)
			}
		})
	}
}

func TestSandboxShowsThePasskeyCeremony(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := runIn(t.Context(), t, t.TempDir(), "-sandbox", "-passkey", "-qr")
		r.wants(t, exitLinked, r.stdout, "wants the account's passkey", "in the browser", "The passkey is accepted", "Linked: ")
		checkPlain(t, r.stdout)
	})
}

func TestPasskeyFlagIsForTheSandbox(t *testing.T) {
	t.Parallel()
	r := runIn(t.Context(), t, t.TempDir(), "-passkey")
	r.wants(t, exitUsage, r.stderr, "-sandbox")
}
