package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/seal"
	"github.com/walink/walink/passkey"
)

// Browse gives the line that the screen shows to the simulated browser, which has the
// passkey and the walink extension. If line is "", the browser uses its console, and
// Browse pastes what the console prints.
func (s *sandbox) Browse(line string, challenge []byte, linker *walink.Linker) {
	s.done.Go(func() {
		s.say(s.ctx, "says to go on in the browser")
		s.show(s.ctx, fmt.Sprintf("simulated browser: has this passkey, and does what A says by itself in %.0f s", s.pause.Seconds()))
		select {
		case <-time.After(s.pause):
		case <-s.ctx.Done():
			return
		}
		if err := s.answer(s.ctx, line, challenge, linker); err != nil && s.ctx.Err() == nil {
			s.show(s.ctx, fmt.Sprintf("simulated browser: %v", err))
		}
	})
}

// answer does what the extension does with the line.
func (s *sandbox) answer(ctx context.Context, line string, challenge []byte, linker *walink.Linker) error {
	if line == "" {
		answer, err := s.phone.Assert(challenge)
		if err != nil {
			return err
		}
		return linker.AnswerPasskey(ctx, answer)
	}
	base, token, _ := strings.Cut(line, "#")
	challenge, err := question(ctx, base, token)
	if err != nil {
		return err
	}
	answer, err := s.phone.Assert(challenge)
	if err != nil {
		return err
	}
	return reply(ctx, base, token, string(answer))
}

// question asks the broker for the challenge, as the extension does.
func question(ctx context.Context, base, token string) (json.RawMessage, error) {
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails
	sealed, err := post(ctx, base+"challenge", token, nonce)
	if err != nil {
		return nil, err
	}
	text, err := seal.Open(token, "challenge", sealed, nonce)
	if err != nil {
		return nil, fmt.Errorf("the program did not make this line: %w", err)
	}
	var said struct {
		Challenge json.RawMessage `json:"challenge"`
	}
	err = json.Unmarshal(text, &said)
	return said.Challenge, err
}

// reply sends the broker an answer, as the extension does.
func reply(ctx context.Context, base, token, answer string) error {
	_, err := post(ctx, base+"answer", token, seal.Seal(token, "answer", []byte(answer), nil))
	return err
}

// post sends a request to the broker.
func post(ctx context.Context, address, token string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Origin", "chrome-extension://"+passkey.ExtensionID)
	request.Header.Set("Authorization", "Bearer "+seal.ID(token))
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= http.StatusBadRequest {
		err = errors.New(strings.TrimSpace(string(text)))
	}
	return text, err
}
