package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/walink/walink/internal/bound"
	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/store"
)

var errURL = errors.New("the URL is not a valid redis://, rediss:// or unix:// URL")

const remedyURL = "Write it like rediss://user:password@host:6379/0, with special characters percent-encoded." //nolint:gosec // no password

const remedyNotYet = "Wait until the server has started, then try again."

// explain returns err with a text of one line, because the server has chosen the text, and
// with the remedy if it is known.
func explain(err error) error {
	if err == nil {
		return nil
	}
	err = redact.Errorf("%w", err)
	if hint.Known(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	remedy := ""
	var answer redis.Error
	var network net.Error
	switch {
	case errors.As(err, &answer):
		remedy = remedyOf(answer.Error())
		if remedy == remedyNotYet {
			err = bound.Slow(err)
		}
	case errors.Is(err, redis.ErrPoolTimeout):
		return bound.Slow(err)
	case errors.Is(err, redis.ErrClosed):
		return fmt.Errorf("%w: %w", store.ErrClosed, err)
	case strings.Contains(err.Error(), "tls"), strings.Contains(err.Error(), "certificate"):
		remedy = "Write rediss:// for a server with TLS and redis:// for one without, and check the certificate of the server."
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		remedy = "Check the host and the port in the URL, that Redis runs there, and that it listens to this machine."
	}
	if remedy == "" {
		return err
	}
	return hint.New(err, remedy)
}

// remedyOf looks at the first word of an answer, which is its code, except for
// missing permissions.
func remedyOf(answer string) string {
	if denied(answer) {
		return remedyDenied
	}
	code, _, _ := strings.Cut(answer, " ")
	switch code {
	case "NOAUTH", "WRONGPASS":
		return "Check the user and the password in the URL, and requirepass or the users of the server."
	case "OOM":
		return "Raise maxmemory of the server, or delete data from it."
	case "MISCONF":
		return "Free space on the disk of the server, and look at its log: it cannot save its data."
	case "READONLY":
		return "Name the primary server in the URL: this one is a replica."
	case "LOADING", "MASTERDOWN", "CLUSTERDOWN":
		return remedyNotYet
	}
	return ""
}
