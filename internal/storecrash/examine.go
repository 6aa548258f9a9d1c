package storecrash

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
)

// examine fails the test unless everything that was reported is in the Store,
// and each transaction completely or not at all.
func (b *book) examine(t *testing.T, st store.Store) {
	t.Helper()
	for _, wrong := range b.complaints() {
		t.Error(wrong)
	}
	sessions, err := st.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]types.JID{}
	for _, s := range sessions {
		listed[s.Name] = s.JID
	}
	// device loads a device, and compares it with the list of sessions.
	device := func(name string) *wastore.Device {
		device, err := st.Device(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		jid, known := listed[name]
		if (device.ID != nil) != known || known && jid != *device.ID {
			t.Errorf("%s: the name is listed %t, and its device is stored %t", name, known, device.ID != nil)
		}
		delete(listed, name)
		return device
	}
	for number := range writers {
		b.examineWriter(t, number, device(writerName(number)))
		if registry, ok := st.(store.Registry); ok {
			b.examineEntry(t, number, registry)
		}
	}
	for number := range linkers {
		b.examineLink(t, number, device(linkerName(number)))
	}
	for name := range listed {
		t.Errorf("there is a session %q", name)
	}
	if sql, ok := st.(interface {
		Adoptable(ctx context.Context) ([]types.JID, error)
	}); ok {
		if nameless, err := sql.Adoptable(t.Context()); err != nil || len(nameless) > 0 {
			t.Errorf("%d devices have no name, %v", len(nameless), err)
		}
	}
}

func (b *book) examineWriter(t *testing.T, number int, device *wastore.Device) {
	t.Helper()
	said := b.last[number]
	if device.ID == nil {
		if said > 0 {
			t.Errorf("%s: the session is gone after round %d", writerName(number), said)
		}
		return
	}
	ctx := t.Context()
	sessions, err := device.Sessions.GetManySessions(ctx, []string{"1:0", "2:0"})
	if err != nil {
		t.Fatal(err)
	}
	round := roundOf(sessions["1:0"])
	if round < said {
		t.Errorf("%s: round %d is stored, and it reported %d", writerName(number), round, said)
	}
	if !bytes.Equal(sessions["1:0"], sessions["2:0"]) {
		t.Errorf("%s: one session is of round %d and the other of round %d", writerName(number), round, roundOf(sessions["2:0"]))
	}
	for other, want := range map[int]bool{round: true, round + 1: round == 0} {
		trusted, err := device.Identities.IsTrustedIdentity(ctx, "1:0", identityOf(other))
		if err != nil || trusted != want {
			t.Errorf("%s at round %d: whether the identity is of round %d: %t, %v", writerName(number), round, other, trusted, err)
		}
	}
	for r := max(1, round-5); r <= round; r++ {
		stored := 0
		for i := range secrets {
			secret, _, err := device.MsgSecrets.GetMessageSecret(ctx, chat(), chat(), secretID(r, i))
			if err != nil {
				t.Fatal(err)
			}
			if want := identityOf(r); bytes.Equal(secret, want[:]) {
				stored++
			}
		}
		if stored != secrets && (stored != 0 || b.rounds[number][r]) {
			t.Errorf("%s: round %d has %d of %d message secrets", writerName(number), r, stored, secrets)
		}
	}
}

func (b *book) examineEntry(t *testing.T, number int, registry store.Registry) {
	t.Helper()
	entry, err := registry.Entry(t.Context(), writerName(number))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	round := roundOf(entry.Value)
	if round < b.last[number] || round > 0 && !bytes.Equal(entry.Value, sessionOf(round)) {
		t.Errorf("%s: the entry has %d bytes of round %d, and it reported %d", writerName(number), len(entry.Value), round, b.last[number])
	}
}

func (b *book) examineLink(t *testing.T, number int, device *wastore.Device) {
	t.Helper()
	said, name := b.links[number], linkerName(number)
	if device.ID == nil {
		if said.phase == "linked" || said.phase == "keys" {
			t.Errorf("%s: the session is gone after %+v", name, said)
		}
		return
	}
	count, hash := 0, sha256.New()
	for id := range uint32(preKeys + 1) {
		key, err := device.PreKeys.GetPreKey(t.Context(), id+1)
		if err != nil {
			t.Fatal(err)
		}
		if key != nil {
			count++
			_, _ = hash.Write(key.Priv[:])
		}
	}
	digest, same := hex.EncodeToString(hash.Sum(nil)), tokenOf(device) == said.token
	switch {
	case (said.phase == "" || said.phase == "deleted") == same:
		t.Errorf("%s: device %s is stored after %+v", name, tokenOf(device), said)
	case count != 0 && count != preKeys, !same && count != 0, said.digest != "" && digest != said.digest:
		t.Errorf("%s: %d prekeys are stored after %+v", name, count, said)
	}
}

// empty deletes all sessions.
func empty(t *testing.T, st store.Store) {
	t.Helper()
	sessions, err := st.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sessions {
		if err := st.Delete(t.Context(), s.Name); err != nil {
			t.Error(err)
		}
	}
}

// CheckEmpty fails the test if a key-value database still has data of a device
// after all sessions were deleted.
func CheckEmpty(t *testing.T, db kv.DB) {
	t.Helper()
	left := 0
	err := db.Txn(t.Context(), false, func(tx kv.Tx) error {
		left = 0
		return tx.Scan(nil, func(key, _ []byte) error {
			if bytes.IndexByte([]byte("dsjx"), key[0]) >= 0 { // the layout of package kv
				left++
			}
			return nil
		})
	})
	if err != nil || left > 0 {
		t.Errorf("%d keys are left of devices that were deleted, %v", left, err)
	}
}
