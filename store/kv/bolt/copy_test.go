package bolt_test

import (
	"testing"

	"github.com/walink/walink/internal/copytest"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
)

func TestCopy(t *testing.T) {
	t.Parallel()
	copytest.Run(t, func(t *testing.T) store.Store {
		t.Helper()
		return kv.New(open(t, temp(t)))
	})
}
