package redis_test

import (
	"testing"

	"github.com/walink/walink/internal/copytest"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
)

func TestCopy(t *testing.T) {
	t.Parallel()
	s := start(t)
	copytest.Run(t, func(t *testing.T) store.Store {
		t.Helper()
		return kv.New(s.open(t, s.prefix()))
	})
}
