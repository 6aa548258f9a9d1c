package passkey_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/walink/walink/passkey"
)

// After an answer that the program refuses, the extension gets the reason, and the
// challenge can be answered again. An answer that the program accepts ends the line
// for good.
func TestServe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := passkey.NewBroker(passkey.Claim{})
		verdicts := []error{
			errors.New("it is for another challenge"), errors.New("WhatsApp answered 401"),
			errors.Join(errors.New(strings.Repeat("a", 500)), errors.New("WhatsApp answered 503")), nil,
		}
		var heard []string
		accept := func(_ context.Context, answer []byte) error {
			heard = append(heard, string(answer))
			verdict := verdicts[0]
			verdicts = verdicts[1:]
			return verdict
		}
		done := make(chan error, 1)
		go func() { done <- b.Serve(t.Context(), json.RawMessage(challenge), accept) }()
		synctest.Wait()
		token := tokenOf(b, challenge)
		for _, want := range []struct {
			code int
			body string
		}{
			{http.StatusUnprocessableEntity, "The program has not accepted the answer: it is for another challenge.\n"},
			{http.StatusUnprocessableEntity, "The program has not accepted the answer: WhatsApp answered 401.\n"},
			{
				http.StatusUnprocessableEntity,
				"The program has not accepted the answer: " + strings.Repeat("a", 254) + " … " + strings.Repeat("a", 177) + " WhatsApp answered 503.\n",
			},
			{http.StatusNoContent, ""},
		} {
			if w := serve(b, request("challenge", token, "")); w.Code != http.StatusOK {
				t.Errorf("the challenge: %d %s", w.Code, w.Body)
			}
			w := serve(b, request("answer", token, assertion))
			if w.Code != want.code || w.Body.String() != want.body {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, want.code, want.body)
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(heard) != 4 || heard[0] != assertion {
			t.Errorf("heard %q", heard)
		}
		again := func() error { return b.Serve(t.Context(), json.RawMessage(challenge), accept) }
		if err := again(); err == nil {
			t.Error("Serve offers a challenge that was answered")
		}
		if _, err := b.Ask(t.Context(), json.RawMessage(challenge)); err == nil {
			t.Error("Ask offers a challenge that was answered")
		}
		if w := serve(b, request("answer", token, assertion)); w.Code != http.StatusGone {
			t.Errorf("after the end: %d %s", w.Code, w.Body)
		}
	})
}

// The program accepts one answer with one token, however often the token is used
// and the challenge served.
func TestServeAcceptsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := passkey.NewBroker(passkey.Claim{})
		ctx, cancel := context.WithCancel(t.Context())
		accepted := 0
		stopped := make(chan struct{})
		for range 2 {
			go func() {
				for b.Serve(ctx, json.RawMessage(challenge), func(context.Context, []byte) error {
					accepted++
					return nil
				}) == nil {
				}
				stopped <- struct{}{}
			}()
		}
		synctest.Wait()
		codes := map[int]int{}
		results := make(chan int)
		for range 5 {
			go func() { results <- serve(b, request("answer", tokenOf(b, challenge), assertion)).Code }()
		}
		for range 5 {
			codes[<-results]++
		}
		if codes[http.StatusNoContent] != 1 || codes[http.StatusGone] != 4 || accepted != 1 {
			t.Errorf("codes %v, %d accepted", codes, accepted)
		}
		cancel()
		<-stopped
		<-stopped
	})
}

// If the extension learns that its answer has arrived, then Ask returns that answer,
// even if the context ends at that moment.
func TestAnswerIsNotLostToTheContext(t *testing.T) {
	t.Parallel()
	for range 500 {
		synctest.Test(t, func(t *testing.T) {
			b := passkey.NewBroker(passkey.Claim{})
			ctx, cancel := context.WithCancel(t.Context())
			token, result := ask(ctx, b)
			w := &cancelling{httptest.NewRecorder(), cancel}
			go cancel()
			b.ServeHTTP(w, request("answer", token, assertion))
			got := <-result
			if (w.Code == http.StatusNoContent) != (got.err == nil) {
				t.Fatalf("the extension gets %d, and Ask returns %v", w.Code, got.err)
			}
		})
	}
}

// cancelling calls cancel as soon as the handler writes.
type cancelling struct {
	*httptest.ResponseRecorder
	cancel context.CancelFunc
}

func (c *cancelling) WriteHeader(code int) {
	c.ResponseRecorder.WriteHeader(code)
	c.cancel()
}

// The program may exit once it has an answer, so the extension has to get its
// response before that.
func TestExtensionGetsItsResponseBeforeServeReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := passkey.NewBroker(passkey.Claim{})
		token, result := ask(t.Context(), b)
		written := make(chan struct{})
		w := &cancelling{httptest.NewRecorder(), func() {
			synctest.Wait()
			select {
			case <-result:
				t.Error("Ask has returned")
			default:
			}
			close(written)
		}}
		b.ServeHTTP(w, request("answer", token, assertion))
		<-written
		if got := <-result; got.err != nil || !strings.Contains(string(got.answer), "aWQ") {
			t.Errorf("%s, %v", got.answer, got.err)
		}
	})
}
