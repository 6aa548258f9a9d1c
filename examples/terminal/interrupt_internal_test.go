package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/storetest"
)

func TestInterrupt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		seen, want string // Ctrl-C comes when this is seen on the screen
	}{
		"before anything":       {"", "Stopped. Nothing new was linked."},
		"while connecting":      {"Connecting", "Stopped. Nothing new was linked."},
		"with a code shown":     {"Code 1 is good until", "Stopped. Nothing new was linked."},
		"after the phone's yes": {"The phone has accepted", "Stopped. Start again to connect without a code: the phone has accepted already"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.seen == "" {
					cancel()
				}
				var stderr bytes.Buffer
				stdout := writerFunc(func(text string) {
					if strings.Contains(text, test.seen) {
						cancel()
					}
				})
				p := program{stdout: stdout, stderr: &stderr, transport: noNetwork{}}
				exit := p.run(ctx, []string{"-sandbox", "-db", filepath.Join(t.TempDir(), "sessions.db")})
				result{exit, "", stderr.String()}.wants(t, exitFailed, stderr.String(), test.want)
			})
		})
	}
}

type writerFunc func(text string)

func (f writerFunc) Write(text []byte) (int, error) {
	f(string(text))
	return len(text), nil
}

// TestInterruptWhileThePhoneAccepts stores the device at the moment of Ctrl-C,
// as whatsmeow does that is in the middle of pairing.
func TestInterruptWhileThePhoneAccepts(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		path := filepath.Join(t.TempDir(), "sessions.db")
		pairing, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		stdout := writerFunc(func(text string) {
			if strings.Contains(text, "Code 1 is good until") {
				storetest.Link(t, pairing, "default", storetest.JID("5511987654321", 1))
				cancel()
			}
		})
		p := program{stdout: stdout, stderr: &stderr}
		exit := p.run(ctx, []string{"-sandbox", "-db", path})
		result{exit, "", stderr.String()}.wants(t, exitFailed, stderr.String(), "Stopped. Start again to connect without a code: the phone has accepted already")
		if err := pairing.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestInterruptInMemory(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var stderr bytes.Buffer
		stdout := writerFunc(func(text string) {
			if strings.Contains(text, "The phone has accepted") {
				cancel()
			}
		})
		p := program{stdout: stdout, stderr: &stderr}
		exit := p.run(ctx, []string{"-sandbox", "-db", ":memory:"})
		result{exit, "", stderr.String()}.wants(t, exitFailed, stderr.String(), "the phone has accepted already, and nothing is kept")
	})
}

// TestInterruptWhileResuming does not call a stored session a new one.
func TestInterruptWhileResuming(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		dir := t.TempDir()
		r := runIn(t.Context(), t, dir, "-sandbox")
		r.wants(t, exitLinked, r.stdout)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var stderr bytes.Buffer
		stdout := writerFunc(func(text string) {
			if strings.Contains(text, "Sandbox") { // a moment later the session may be resumed already
				cancel()
			}
		})
		p := program{stdout: stdout, stderr: &stderr}
		exit := p.run(ctx, []string{"-sandbox", "-db", filepath.Join(dir, "sessions.db")})
		result{exit, "", stderr.String()}.wants(t, exitFailed, stderr.String(), "Stopped. Nothing new was linked.")
	})
}
