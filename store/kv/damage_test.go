package kv_test

import (
	"testing"

	"github.com/walink/walink/internal/storecrash"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
)

func TestTruncatedValues(t *testing.T) {
	t.Parallel()
	t.Run("in clear", func(t *testing.T) {
		t.Parallel()
		db := memory.New()
		storecrash.DamageKV(t, db, db)
	})
	t.Run("sealed", func(t *testing.T) {
		t.Parallel()
		db := memory.New()
		storecrash.DamageKV(t, db, kv.Encrypt(db, kv.NewKey()))
	})
}

func TestRemedies(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]string{
		kv.ErrKey: "Give the key with which this database was encrypted, and the same identity if it has one (Key.For), or open the right database: " +
			"without the key the data cannot be read.",
		kv.ErrZeroKey: "Give the key with which the database was encrypted, or a new one for an empty database.",
		kv.ErrPlain:   "Begin with an empty database, or use this one without Encrypt.",
		kv.ErrNewer:   "Update this program: a newer one has changed the database.",
		kv.ErrForeign: "Give walink its own database or prefix, or the key if this database is encrypted.",
		kv.ErrDamaged: "Restore the database from a backup, or delete the session and link it again: one of its values is damaged.",
	} {
		if hint, ok := err.(interface{ Remedy() string }); !ok || hint.Remedy() != want {
			t.Errorf("%v has no remedy, or another than %q", err, want)
		}
	}
	closed := kv.New(memory.New())
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := closed.Device(t.Context(), "default")
	if got := remedyOf(err); got != "Open the store again: this program has closed it." {
		t.Errorf("after Close: %v, with the remedy %q", err, got)
	}
}
