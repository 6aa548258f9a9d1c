package bolt_test

import (
	"testing"

	"github.com/walink/walink/internal/storecrash"
	"github.com/walink/walink/store/kv"
)

func TestTruncatedValues(t *testing.T) {
	t.Parallel()
	t.Run("in clear", func(t *testing.T) {
		t.Parallel()
		db := open(t, temp(t))
		storecrash.DamageKV(t, db, db)
	})
	t.Run("sealed", func(t *testing.T) {
		t.Parallel()
		db := open(t, temp(t))
		storecrash.DamageKV(t, db, kv.Encrypt(db, kv.NewKey()))
	})
}
