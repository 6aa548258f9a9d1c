package kv_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
)

// cutHead is a DB of which the first size bytes of the head are left.
type cutHead struct {
	*memory.DB
	size int
}

func (c cutHead) Txn(ctx context.Context, write bool, fn func(kv.Tx) error) error {
	return c.DB.Txn(ctx, write, func(tx kv.Tx) error { return fn(cutTx{tx, c.size}) })
}

type cutTx struct {
	kv.Tx
	size int
}

func (c cutTx) Get(key []byte) ([]byte, error) {
	value, err := c.Tx.Get(key)
	if err == nil && string(key) == "walink" {
		value = value[:c.size]
	}
	return value, err
}

// TestTruncatedHead cuts the head of an encrypted DB, which every transaction
// reads first, to every length.
func TestTruncatedHead(t *testing.T) {
	t.Parallel()
	db := memory.New()
	key := kv.NewKey()
	link(t, reopen(t, kv.Encrypt(keep{db}, key)))
	head := dump(t, db)["walink"]
	if head == "" {
		t.Fatal("no head")
	}
	for size := range len(head) {
		t.Run(fmt.Sprintf("%d of %d", size, len(head)), func(t *testing.T) {
			t.Parallel()
			encrypted := kv.Encrypt(cutHead{db, size}, key)
			st := kv.New(encrypted)
			_, device := st.Device(t.Context(), "one")
			_, sessions := st.Sessions(t.Context())
			_, _, lease := st.TakeLeases(t.Context(), []string{"one"}, holder("holder"), time.Minute)
			for what, err := range map[string]error{
				"Device": device, "Sessions": sessions, "TakeLeases": lease,
				"Check": st.Check(t.Context()), "Rotate": encrypted.Rotate(t.Context()),
			} {
				if !errors.Is(err, kv.ErrDamaged) || !strings.Contains(err.Error(), `"walink"`) {
					t.Errorf("%s: %v, want ErrDamaged and the key", what, err)
				}
			}
		})
	}
}

// TestRotatedByAnother reads with a program that began before another one made
// a new key the current one.
func TestRotatedByAnother(t *testing.T) {
	t.Parallel()
	db := keep{memory.New()}
	first, second := kv.NewKey(), kv.NewKey()
	st := reopen(t, kv.Encrypt(db, first))
	one, _ := link(t, st)
	long := strings.Repeat("5", 2*kv.MaxKey) + ":0" // which the key has a hash of
	if err := one.Sessions.PutSession(t.Context(), long, []byte("the session")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := st.TakeLeases(t.Context(), []string{"one"}, holder("holder"), time.Minute); err != nil {
		t.Fatal(err)
	}
	both := reopen(t, kv.Encrypt(db, first, second))
	if _, err := both.Sessions(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := kv.Encrypt(db, second, first).Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, device := st.Device(t.Context(), "one")
	_, sessions := st.Sessions(t.Context())
	_, get := one.Sessions.GetSession(t.Context(), "1:0")
	_, lease := st.PeekLease(t.Context(), "one")
	var export error
	for _, err := range st.Export(t.Context(), "one") {
		export = err
	}
	for what, err := range map[string]error{
		"Device": device, "Sessions": sessions, "GetSession": get, "PeekLease": lease, "Export": export,
		"Check": st.Check(t.Context()), "Delete": st.Delete(t.Context(), "one"),
	} {
		if !errors.Is(err, kv.ErrKey) || errors.Is(err, kv.ErrDamaged) || !strings.HasPrefix(remedyOf(err), "Give the key") {
			t.Errorf("%s: %v, with the remedy %q, want ErrKey", what, err, remedyOf(err))
		}
	}
	if _, err := both.Device(t.Context(), "one"); err != nil {
		t.Errorf("Device with both keys: %v", err)
	}

	// If the head can be decrypted, a value that another key has encrypted is
	// damaged.
	var entry string
	before := dump(t, db)
	update(t, kv.Encrypt(db, second), func(tx kv.Tx) error { return tx.Set([]byte("s\x00one\x00"), []byte("x")) })
	for name, value := range dump(t, db) {
		if before[name] != value {
			entry = name
		}
	}
	stranger := memory.New()
	update(t, kv.Encrypt(stranger, first), func(tx kv.Tx) error { return tx.Set([]byte("a"), []byte("b")) })
	head := dump(t, stranger)["walink"] // sealed by the first key, as good as any
	update(t, db, func(tx kv.Tx) error { return tx.Set([]byte(entry), []byte(head)) })
	if _, err := reopen(t, kv.Encrypt(db, second)).Device(t.Context(), "one"); !errors.Is(err, kv.ErrDamaged) || errors.Is(err, kv.ErrKey) {
		t.Errorf("Device: %v, want ErrDamaged", err)
	}
}

func TestZeroKey(t *testing.T) {
	t.Parallel()
	for name, encrypt := range map[string]func(kv.DB) *kv.Encrypted{
		"the first": func(db kv.DB) *kv.Encrypted { return kv.Encrypt(db, kv.Key{}) },
		"an older":  func(db kv.DB) *kv.Encrypted { return kv.Encrypt(db, kv.NewKey(), kv.Key{}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := memory.New()
			encrypted := encrypt(db)
			st := kv.New(encrypted)
			_, sessions := st.Sessions(t.Context())
			_, _, lease := st.TakeLeases(t.Context(), []string{"one"}, holder("holder"), time.Minute)
			for what, err := range map[string]error{
				"Sessions": sessions, "TakeLeases": lease, "Check": st.Check(t.Context()), "Rotate": encrypted.Rotate(t.Context()),
			} {
				if !errors.Is(err, kv.ErrZeroKey) || remedyOf(err) == "" {
					t.Errorf("%s: %v, with the remedy %q, want ErrZeroKey", what, err, remedyOf(err))
				}
			}
			if held := dump(t, db); len(held) > 0 {
				t.Errorf("%d keys are stored", len(held))
			}
		})
	}
}
