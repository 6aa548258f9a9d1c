package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/walink/walink"
	"github.com/walink/walink/fleet"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/walinktest"
)

const body = `{"phone":"+55 11 98765-4321","metadata":{"customer":"4711"}}`

// service is one process of a service, as far as the leases are concerned.
type service struct {
	*testing.T

	fleet *fleet.Fleet
	url   string
}

func start(t *testing.T, srv *walinktest.Server, path, holder string) service {
	t.Helper()
	st, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fleet.New(st, fleet.Settings{Defaults: walink.Settings{HTTPClient: srv.HTTPClient()}, Holder: holder})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler(f, "secret"))
	t.Cleanup(func() {
		server.Close()
		if err := errors.Join(f.Close(), st.Close()); err != nil {
			t.Error(err)
		}
	})
	return service{t, f, server.URL}
}

// call sends a request with the key, and reads the answer into to. It returns the status.
func (s service) call(to any, method, path, body string) int {
	s.Helper()
	return request(s.T, "secret", to, method, s.url+path, body)
}

func request(t *testing.T, key string, to any, method, url, body string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	if err = errors.Join(err, json.Unmarshal(data, to)); err != nil {
		t.Fatalf("%s %s: %s: %v", method, url, data, err)
	}
	kind := "application/json"
	if response.StatusCode >= http.StatusBadRequest {
		kind = "application/problem+json"
	}
	if h := response.Header; h.Get("Content-Type") != kind || h.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %s: %v", method, url, h)
	}
	return response.StatusCode
}

func TestOneProcessLinksAndTheOtherNamesIt(t *testing.T) {
	t.Parallel()
	srv, path := walinktest.NewServer(t), filepath.Join(t.TempDir(), "service.db")
	a, b := start(t, srv, path, "10.0.0.1:80"), start(t, srv, path, "10.0.0.2:80")

	var list []fleet.Session
	if status := a.call(&list, "GET", "/sessions", ""); status != http.StatusOK || list == nil || len(list) != 0 {
		t.Errorf("no session: %d, %v", status, list)
	}
	var session struct { // fleet.Session has the code, too, but its JSON cannot be read into one
		Status struct {
			State       walink.State
			PairingCode struct{ Code string }
		}
		Metadata map[string]string
		Wanted   bool
	}
	status := a.call(&session, "POST", "/sessions/a%2Fb/link?wait=25s", body)
	code := session.Status.PairingCode.Code
	if status != http.StatusOK || session.Status.State != walink.StateAwaitingPhone ||
		session.Metadata["customer"] != "4711" {
		t.Fatalf("link: %d, %+v", status, session)
	}
	if status := a.call(&session, "POST", "/sessions/a%2Fb/link?wait=25s", `{"phone":"+55 11 98765-4321"}`); status !=
		http.StatusOK || session.Status.PairingCode.Code != code || session.Metadata["customer"] != "4711" {
		t.Errorf("link again: %d, %+v", status, session)
	}
	if err := srv.NewPhone("5511987654321").EnterCode(t.Context(), code); err != nil {
		t.Fatal(err)
	}
	for u := range a.fleet.Watch(t.Context(), "a/b") {
		if u.Status.State == walink.StateLinked {
			break
		}
	}
	if status := a.call(&session, "GET", "/sessions/a%2Fb", ""); status != http.StatusOK ||
		session.Status.State != walink.StateLinked || session.Metadata["customer"] != "4711" {
		t.Errorf("linked: %d, %+v", status, session)
	}

	for _, call := range [][2]string{{"POST", "/link"}, {"POST", "/stop"}, {"DELETE", ""}} {
		var p problem
		status := b.call(&p, call[0], "/sessions/a%2Fb"+call[1], "{}")
		if status != http.StatusMisdirectedRequest || p.Reason != walink.ErrSessionBusy || p.Holder != "10.0.0.1:80" ||
			p.Remedy != "Send the request to the holder." {
			t.Errorf("%s at the other process: %d, %+v", call, status, p)
		}
	}
	if status := b.call(&session, "GET", "/sessions/a%2Fb", ""); status != http.StatusOK ||
		session.Status.State != walink.StateStandby {
		t.Errorf("at the other process: %d, %+v", status, session)
	}
	if status := a.call(&session, "POST", "/sessions/a%2Fb/stop", ""); status != http.StatusOK || session.Wanted {
		t.Errorf("stopped: %d, %+v", status, session)
	}
	var out fleet.Unlinked
	if status := b.call(&out, "DELETE", "/sessions/a%2Fb", ""); status != http.StatusOK || !out.Told || !out.Forgotten {
		t.Errorf("unlinked at the other process: %d, %+v", status, out)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	srv := walinktest.NewServer(t)
	s := start(t, srv, ":memory:", "")
	srv.Script(walinktest.StageCompanionHello, walinktest.RateLimit(90e9).Always())
	for _, test := range []struct {
		method, path, body string
		status             int
		reason             walink.Reason
	}{
		{"GET", "/sessions/unknown", "", http.StatusNotFound, "not_found"},
		{"POST", "/sessions/unknown/stop", "", http.StatusNotFound, "not_found"},
		{"DELETE", "/sessions/unknown", "", http.StatusNotFound, "not_found"},
		{"GET", "/elsewhere", "", http.StatusNotFound, "not_found"},
		{"POST", "/sessions/a/link", `{"phone":"12"}`, http.StatusBadRequest, walink.ErrInvalidSettings},
		{"POST", "/sessions/a/link", `{"proxy":"socks5://10.0.0.9"}`, http.StatusBadRequest, walink.ErrInvalidSettings},
		{"POST", "/sessions/a/link", `{"linkingMode":"both"}`, http.StatusBadRequest, walink.ErrInvalidSettings},
		{"POST", "/sessions/a/link", strings.Repeat(" ", 1<<20) + "{}", http.StatusBadRequest, walink.ErrInvalidSettings},
		{
			"POST", "/sessions/a/link?wait=25s", `{"phone":"+55 11 98765-4321","linkingMode":"pairing"}`,
			http.StatusTooManyRequests, walink.ErrRateLimited,
		},
	} {
		var p problem
		status := s.call(&p, test.method, test.path, test.body)
		if status != test.status || p.Status != status || p.Reason != test.reason || p.Remedy == "" {
			t.Errorf("%s %s %.50s: %d, %+v", test.method, test.path, test.body, status, p)
		}
		if test.reason == walink.ErrRateLimited && p.RetryAfter < 1 {
			t.Errorf("retryAfter is missing: %+v", p)
		}
	}
	for _, path := range []string{"/sessions", "/sessions/unknown", "/elsewhere"} {
		var p problem
		status := request(t, "wrong", &p, "GET", s.url+path, "")
		if status != http.StatusUnauthorized || p.Reason != "unauthorized" || p.Remedy == "" {
			t.Errorf("%s with a wrong key: %d, %+v", path, status, p)
		}
	}
}

func TestTheSandboxLinksAndEndsCleanly(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"-sandbox", "-addr", "127.0.0.1:0", "-key", "secret"}, in)
		_ = in.Close()
		ended <- err
	}()
	var ready, url string
	if _, err := fmt.Fscan(bufio.NewReader(out), &ready, &url); err != nil {
		t.Fatal(err)
	}
	if status := request(t, "secret", &struct{}{}, "POST", url+"/sessions/demo/link?wait=25s", body); status != http.StatusOK {
		t.Errorf("link: %d", status)
	}
	interrupt()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
