package passkey_test

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/walink/walink/passkey"
)

func TestListen(t *testing.T) {
	t.Parallel()
	b := passkey.NewBroker(passkey.Claim{})
	base, err := b.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(base, "http://127.0.0.1:") || !strings.HasSuffix(base, "/") {
		t.Errorf("the base is %s", base)
	}
	// Without the extension's origin even the token is of no use.
	line := b.Line(base, json.RawMessage(challenge))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, line, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("%s for a page", response.Status)
	}
	for range 2 {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := b.Listen(t.Context(), "127.0.0.1:0"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Listen after Close: %v", err)
	}
}

func TestListenOnlyOnLoopback(t *testing.T) {
	t.Parallel()
	b := passkey.NewBroker(passkey.Claim{})
	for _, address := range []string{
		"", ":0", "0.0.0.0:0", "192.0.2.1:0", "[::]:0", "[::1]:0", "localhost:0", "127.0.0.1", "127.0.0.1:" + strings.Repeat("9\n", 300),
	} {
		base, err := b.Listen(t.Context(), address)
		if err == nil || base != "" {
			t.Errorf("%q gives %q, %v", address, base, err)
			continue
		}
		if text := err.Error(); len(text) > 500 || strings.Contains(text, "\n") {
			t.Errorf("%q gives %q, want one line", address, text)
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
