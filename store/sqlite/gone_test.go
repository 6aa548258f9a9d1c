package sqlite_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/storetest"
	"github.com/walink/walink/store/transfer"
)

// keysOf links a session, stores what changes while messages come in, and returns
// every secret that was ever stored.
func keysOf(t *testing.T, st *sqlite.Store) (device *wastore.Device, secrets map[string][]byte) {
	t.Helper()
	device = storetest.Link(t, st, "default", storetest.JID("5511987654321", 1))
	secrets = map[string][]byte{
		"noise key": device.NoiseKey.Priv[:], "identity key": device.IdentityKey.Priv[:],
		"signed prekey": device.SignedPreKey.Priv[:], "adv secret": device.AdvSecretKey,
	}
	keys, err := device.PreKeys.GetOrGenPreKeys(t.Context(), 40)
	for _, key := range keys {
		secrets[fmt.Sprint("prekey ", key.KeyID)] = key.Priv[:]
	}
	err = errors.Join(err, device.PreKeys.RemovePreKey(t.Context(), keys[1].KeyID))
	// Of different lengths, so that SQLite moves rows, and some do not fit in a page.
	err = errors.Join(err, device.EventBuffer.DoDecryptionTxn(t.Context(), func(ctx context.Context) (err error) {
		for i := range 200 {
			session, key := make([]byte, 50+i*37%5000), make([]byte, 50+i*23%300)
			_, _ = rand.Read(session)
			_, _ = rand.Read(key)
			secrets[fmt.Sprint("session ", i)], secrets[fmt.Sprint("sender key ", i)] = session, key
			err = errors.Join(err, device.Sessions.PutSession(ctx, fmt.Sprintf("%d:0", i*31%70), session),
				device.SenderKeys.PutSenderKey(ctx, fmt.Sprint(i*17%50), "1:0", key))
		}
		return err
	}))
	device.PushName = "a longer name, for which SQLite stores the row elsewhere"
	if err = errors.Join(err, device.Save(t.Context())); err != nil {
		t.Fatal(err)
	}
	return device, secrets
}

// left returns the names of the secrets that are in the file or in the files next to it.
func left(t *testing.T, path string, secrets map[string][]byte) (names []string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		content, err := os.ReadFile(path + suffix)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for name, secret := range secrets {
			if bytes.Contains(content, secret[:16]) || bytes.Contains(content, secret[len(secret)-16:]) {
				names = append(names, name+" in "+filepath.Base(path)+suffix)
			}
		}
	}
	return names
}

func TestKeysThatWereDeletedOrMovedAreGoneFromTheFiles(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(*testing.T, *sqlite.Store, *wastore.Device) error{
		"Delete": func(t *testing.T, st *sqlite.Store, _ *wastore.Device) error {
			t.Helper()
			return st.Delete(t.Context(), "default")
		},
		"Move": func(t *testing.T, st *sqlite.Store, _ *wastore.Device) error {
			t.Helper()
			return transfer.Move(t.Context(), kv.New(kv.Encrypt(memory.New(), kv.NewKey())), st)
		},
		"an end of the link": func(t *testing.T, _ *sqlite.Store, device *wastore.Device) error {
			t.Helper()
			return device.Delete(t.Context())
		},
	} {
		for how, opened := range map[string]func(t *testing.T, path string) *sqlite.Store{
			"Open":   func(t *testing.T, path string) *sqlite.Store { t.Helper(); return open(t, path) },
			"OpenDB": func(t *testing.T, path string) *sqlite.Store { t.Helper(); return openDB(t, pool(t, path, settings)) },
		} {
			t.Run(name+" after "+how, func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "walink.db")
				st := opened(t, path)
				device, secrets := keysOf(t, st)
				if found := left(t, path, secrets); len(found) < 100 {
					t.Fatalf("of %d secrets only these are found while they are stored: %q", len(secrets), found)
				}
				if err := remove(t, st, device); err != nil {
					t.Fatal(err)
				}
				if found := left(t, path, secrets); len(found) > 0 {
					t.Errorf("%d are left: %q", len(found), found[:min(5, len(found))])
				}
			})
		}
	}
}

func TestEntriesThatWereDeletedAreGoneFromTheFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "walink.db")
	st := open(t, path)
	secrets := map[string][]byte{}
	for i := range 20 { // of different lengths, as above
		value := make([]byte, 50+i*3700%20_000)
		_, _ = rand.Read(value)
		secrets[fmt.Sprint("value ", i)] = value
		if err := st.PutEntry(t.Context(), store.Entry{Session: "default", Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	if found := left(t, path, secrets); len(found) == 0 {
		t.Fatal("no value is found while it is stored")
	}
	if err := st.DeleteEntry(t.Context(), "default"); err != nil {
		t.Fatal(err)
	}
	if found := left(t, path, secrets); len(found) > 0 {
		t.Errorf("%d are left: %q", len(found), found[:min(5, len(found))])
	}
}

// Another process that reads an old state of the file, such as a backup, does not let
// the -wal file be emptied.
func TestKeysThatWereDeletedUnderAReaderAreGoneAfterIt(t *testing.T) {
	t.Parallel()
	crashed := filepath.Join(t.TempDir(), "crashed.db")
	for name, next := range map[string]func(t *testing.T, path string, st *sqlite.Store) string{
		"the next write": func(t *testing.T, path string, st *sqlite.Store) string {
			t.Helper()
			if _, err := st.TakeCode(t.Context(), "5511987654321", time.Now(), 1, time.Hour); err != nil {
				t.Fatal(err)
			}
			return path
		},
		"Close": func(t *testing.T, path string, st *sqlite.Store) string {
			t.Helper()
			if err := st.Close(); err != nil {
				t.Fatal(err)
			}
			return path
		},
		"Open after a crash": func(t *testing.T, path string, _ *sqlite.Store) string {
			t.Helper()
			for _, suffix := range []string{"", "-wal"} {
				content, err := os.ReadFile(path + suffix)
				if err == nil {
					err = os.WriteFile(crashed+suffix, content, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			open(t, crashed)
			return crashed
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "walink.db")
			st := open(t, path)
			_, secrets := keysOf(t, st)
			other := raw(t, path) // stays open, so that Close is not what removes the -wal file
			t.Cleanup(func() { _ = other.Close() })
			reader, err := other.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
			var n int
			if err == nil {
				err = reader.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM whatsmeow_device").Scan(&n)
			}
			if err = errors.Join(err, st.Delete(t.Context(), "default")); err != nil || n != 1 {
				t.Fatalf("Delete under a reader, who sees %d devices: %v", n, err)
			}
			if found := left(t, path, secrets); len(found) == 0 {
				t.Fatal("the reader did not keep the -wal file")
			}
			if err := reader.Rollback(); err != nil {
				t.Fatal(err)
			}
			path = next(t, path, st)
			if found := left(t, path, secrets); len(found) > 0 {
				t.Errorf("%d are left: %q", len(found), found[:min(5, len(found))])
			}
		})
	}
}
