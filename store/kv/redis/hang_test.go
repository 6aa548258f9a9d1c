//go:build unix

package redis_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/walink/walink/store/kv"
)

func TestAServerThatHangs(t *testing.T) {
	t.Parallel()
	s := start(t)
	db := s.open(t, "walink")
	t.Cleanup(func() { _ = db.Close() })
	set(t, db, "a", "1")
	_ = s.Signal(syscall.SIGSTOP)
	defer func() { _ = s.Signal(syscall.SIGCONT) }()
	for _, write := range []bool{true, false} {
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(50*time.Millisecond, cancel)
		begun := time.Now()
		err := db.Txn(ctx, write, func(tx kv.Tx) error { _, err := tx.Get([]byte("a")); return err })
		timer.Stop()
		if !errors.Is(err, context.Canceled) || time.Since(begun) > 2*time.Second {
			t.Errorf("Txn, writing %t: %v after %v, want context.Canceled soon", write, err, time.Since(begun))
		}
	}
}
