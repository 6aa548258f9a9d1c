package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/walink/walink/walinktest"
)

const (
	bodyLimit   = 64 << 10         // bytes; a QR payload has about 300
	sendTimeout = 10 * time.Second // how long a client may take to send a header, and a body
	waitLimit   = 10 * time.Minute // how long a request may wait for what it asks for
)

// problem is an answer that is not a success.
type problem struct {
	status int
	Reason string `json:"reason"`
	Text   string `json:"error,omitempty"`
	Said   string `json:"said,omitempty"`
}

func (p problem) Error() string { return p.Text }

func badRequest(format string, args ...any) error {
	return problem{status: http.StatusBadRequest, Reason: "bad_request", Text: fmt.Sprintf(format, args...)}
}

// control is the control interface of a server.
type control struct {
	srv  *walinktest.Server
	line line

	mu     sync.Mutex
	phones map[string]*walinktest.Phone // by digits
}

// handler returns the routes. It also answers 404 and 405 as JSON.
func (c *control) handler() http.Handler {
	mux := http.NewServeMux()
	allow := make(map[string]string)
	for _, route := range []struct {
		method, path string
		status       int
		answer       func(r *http.Request, body []byte) (any, error)
	}{
		{"GET", "/{$}", http.StatusOK, func(*http.Request, []byte) (any, error) { return c.line, nil }},
		{"POST", "/phones", http.StatusCreated, c.newPhone},
		{"POST", "/phones/{digits}/code", http.StatusOK, c.link("code", (*walinktest.Phone).EnterCode)},
		{"POST", "/phones/{digits}/qr", http.StatusOK, c.link("payload", (*walinktest.Phone).ScanQR)},
		{"GET", "/phones/{digits}/devices", http.StatusOK, c.listDevices},
		{"DELETE", "/phones/{digits}/devices", http.StatusOK, c.removeDevices},
		{"POST", "/phones/{digits}/messages", http.StatusCreated, c.send},
		{"GET", "/phones/{digits}/messages", http.StatusOK, c.receive},
		{"POST", "/phones/{digits}/history", http.StatusOK, c.setHistory},
		{"POST", "/groups", http.StatusCreated, c.newGroup},
		{"POST", "/phones/{digits}/passkey", http.StatusOK, c.assert},
		{"GET", "/phones/{digits}/passkey", http.StatusOK, c.passkeyCode},
		{"POST", "/phones/{digits}/passkey/confirm", http.StatusOK, c.confirmPasskey},
		{"POST", "/script", http.StatusOK, c.script},
		{"POST", "/restart", http.StatusOK, func(*http.Request, []byte) (any, error) { c.srv.Restart(); return struct{}{}, nil }},
		{"GET", "/stats", http.StatusOK, func(*http.Request, []byte) (any, error) { return c.srv.Stats(), nil }},
	} {
		allow[route.path] = strings.TrimPrefix(allow[route.path]+", "+route.method, ", ")
		mux.HandleFunc(route.method+" "+route.path, func(w http.ResponseWriter, r *http.Request) {
			connection := http.NewResponseController(w)
			_ = connection.SetReadDeadline(time.Now().Add(sendTimeout))
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit)) // to its end: then net/http sees a client go
			_ = connection.SetReadDeadline(time.Time{})
			var result any
			if err == nil {
				result, err = route.answer(r, body)
			}
			answer(w, route.status, result, err)
		})
	}
	for path, methods := range allow {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Allow", methods)
			answer(w, 0, nil, problem{http.StatusMethodNotAllowed, "method_not_allowed", "the path takes " + methods, ""})
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 0, nil, problem{http.StatusNotFound, "not_found", "there is no such path", ""})
	})
	return mux
}

// answer writes result with status, or err.
func answer(w http.ResponseWriter, status int, result any, err error) {
	var known problem
	var refusal walinktest.Refusal
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil, errors.As(err, &known):
	case errors.As(err, &refusal):
		known = problem{status: http.StatusConflict, Reason: "refused", Said: refusal.Error()}
	case errors.As(err, &tooLarge):
		known = problem{http.StatusRequestEntityTooLarge, "too_large", fmt.Sprintf("a body has at most %d bytes", bodyLimit), ""}
	case errors.Is(err, context.Canceled):
		known = problem{http.StatusServiceUnavailable, "stopped", "fakewa ends", ""}
	default:
		known = problem{http.StatusInternalServerError, "internal", err.Error(), ""}
	}
	if err != nil {
		status, result = known.status, known
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(result)
}

// decode takes one JSON value, and refuses fields that value does not have.
func decode(body []byte, value any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(value); err != nil {
		return badRequest("the body is not the JSON that this path takes: %v", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return badRequest("the body goes on after its JSON")
	}
	return nil
}

// phone returns the phone with a number, and makes it if there is none, or if it has options.
func (c *control) phone(number string, options ...walinktest.PhoneOption) (*walinktest.Phone, error) {
	digits, err := digitsOf(number)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phones[digits] == nil || len(options) > 0 {
		c.phones[digits] = c.srv.NewPhone(digits, options...)
	}
	return c.phones[digits], nil
}

// digitsOf returns a number without what people write between its digits.
func digitsOf(number string) (string, error) {
	digits := strings.NewReplacer("+", "", " ", "", "-", "", "(", "", ")", "", ".", "").Replace(number)
	if !regexp.MustCompile(`^[1-9][0-9]{6,14}$`).MatchString(digits) {
		return "", badRequest("a number has its country code, and 7 to 15 digits")
	}
	return digits, nil
}

func (c *control) newPhone(_ *http.Request, body []byte) (any, error) {
	var wanted struct {
		Number, Business, PushName string
		Passkey, Hosted            bool
		CodeCheck                  bool
	}
	if err := decode(body, &wanted); err != nil {
		return nil, err
	}
	options := []walinktest.PhoneOption{walinktest.WithBusinessName(wanted.Business)}
	if wanted.PushName != "" {
		options = append(options, walinktest.WithPushName(wanted.PushName))
	}
	if wanted.Passkey {
		options = append(options, walinktest.WithPasskey())
	}
	if wanted.CodeCheck {
		options = append(options, walinktest.WithCodeCheck())
	}
	if wanted.Hosted {
		options = append(options, walinktest.WithHosted(false))
	}
	phone, err := c.phone(wanted.Number, options...)
	if err != nil {
		return nil, err
	}
	return map[string]any{"number": phone.JID().User, "jid": phone.JID(), "lid": phone.LID()}, nil
}

// link has a phone take the body's only field. The phone has its own deadline, and gives up when the request ends.
func (c *control) link(field string, take func(*walinktest.Phone, context.Context, string) error) func(*http.Request, []byte) (any, error) {
	return func(r *http.Request, body []byte) (any, error) {
		var shown map[string]string
		if err := decode(body, &shown); err != nil {
			return nil, err
		}
		if len(shown) != 1 || shown[field] == "" {
			return nil, badRequest("the body has to have %q, and nothing else", field)
		}
		phone, err := c.phone(r.PathValue("digits"))
		if err != nil {
			return nil, err
		}
		if err := take(phone, r.Context(), shown[field]); err != nil {
			return nil, err
		}
		return c.listDevices(r, nil)
	}
}

// assert answers a challenge with the account's passkey.
func (c *control) assert(r *http.Request, body []byte) (any, error) {
	var asked struct{ Challenge json.RawMessage }
	if err := decode(body, &asked); err != nil {
		return nil, err
	}
	phone, err := c.phone(r.PathValue("digits"))
	if err != nil {
		return nil, err
	}
	assertion, err := phone.Assert(asked.Challenge)
	if err != nil {
		return nil, problem{status: http.StatusConflict, Reason: "refused", Text: err.Error()}
	}
	return map[string]any{"assertion": json.RawMessage(assertion)}, nil
}

// passkeyCode waits for the code that the phone shows to be compared.
func (c *control) passkeyCode(r *http.Request, _ []byte) (any, error) {
	_, code, err := c.compared(r)
	return map[string]any{"code": code}, err
}

// confirmPasskey says on the phone that both codes are the same.
func (c *control) confirmPasskey(r *http.Request, _ []byte) (any, error) {
	phone, _, err := c.compared(r)
	if err != nil {
		return nil, err
	}
	return struct{}{}, phone.ConfirmPasskey(r.Context())
}

// compared returns a phone that shows a code to be compared, and the code.
func (c *control) compared(r *http.Request) (phone *walinktest.Phone, code string, err error) {
	phone, ctx, cancel, err := c.waiting(r)
	if err != nil {
		return nil, "", err
	}
	defer cancel()
	if code, err = phone.PasskeyCode(ctx); err != nil && r.Context().Err() == nil {
		err = problem{http.StatusNotFound, "nothing_to_compare", "the phone shows no code", ""}
	}
	return phone, code, err
}

// waiting returns the phone of a request, and a context that ends when the request has waited.
func (c *control) waiting(r *http.Request) (*walinktest.Phone, context.Context, context.CancelFunc, error) {
	phone, err := c.phone(r.PathValue("digits"))
	if err != nil {
		return nil, nil, nil, err
	}
	wait, err := waitOf(r)
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	return phone, ctx, cancel, nil
}

// waitOf returns how long a request waits for what it asks for: the wait of its query, 0 without one.
func waitOf(r *http.Request) (time.Duration, error) {
	text := r.URL.Query().Get("wait")
	if text == "" {
		return 0, nil
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 || wait > waitLimit {
		return 0, badRequest("wait is a time such as 5s, and at most %v", waitLimit)
	}
	return wait, nil
}

func (c *control) listDevices(r *http.Request, _ []byte) (any, error) {
	phone, err := c.phone(r.PathValue("digits"))
	if err != nil {
		return nil, err
	}
	return map[string]any{"devices": append([]walinktest.Device{}, phone.LinkedDevices()...)}, nil
}

// removeDevices removes the device that the query names, or all, and returns those that it has removed.
func (c *control) removeDevices(r *http.Request, _ []byte) (any, error) {
	phone, err := c.phone(r.PathValue("digits"))
	if err != nil {
		return nil, err
	}
	wanted, removed := r.URL.Query().Get("device"), []walinktest.Device{}
	for _, device := range phone.LinkedDevices() {
		if (wanted == "" || wanted == device.JID.String()) && phone.Remove(device.JID) {
			removed = append(removed, device)
		}
	}
	if wanted != "" && len(removed) == 0 {
		return nil, problem{http.StatusNotFound, "unknown_device", "the phone lists no device with this jid", ""}
	}
	return map[string]any{"devices": removed}, nil
}
