package sqlite_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/storetest"
	"github.com/walink/walink/store/transfer"
)

const number = "5511987654321"

func TestSaveIsOneTransaction(t *testing.T) {
	t.Parallel()
	st := open(t, filepath.Join(t.TempDir(), "walink.db"))
	second, err := st.Device(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	first := storetest.Link(t, st, "default", storetest.JID(number, 1))
	storetest.Pair(second, storetest.JID(number, 2))

	execSQL(t, st, "CREATE TRIGGER trap BEFORE INSERT ON walink_session BEGIN SELECT RAISE(ABORT, 'trap'); END")
	if err := second.Save(t.Context()); err == nil {
		t.Fatal("Save succeeded though the session could not be recorded")
	}
	if second.Initialized || second.Sessions != nil {
		t.Error("the device looks as if it were saved")
	}
	if second.ID == nil {
		t.Error("the device has lost its ID")
	}
	device, err := st.Device(t.Context(), "default")
	if err != nil || device.GetJID() != *first.ID {
		t.Errorf("the session has %v, %v, want the device from before", device.GetJID(), err)
	}
	if jids, err := st.Adoptable(t.Context()); err != nil || len(jids) != 0 {
		t.Errorf("devices without a session: %v, %v", jids, err)
	}

	execSQL(t, st, "DROP TRIGGER trap")
	if err := second.Save(t.Context()); err != nil {
		t.Fatalf("Save: %v", err)
	}
	if !second.Initialized {
		t.Error("the saved device is not initialized")
	}
}

func TestDeleteIsOneTransaction(t *testing.T) {
	t.Parallel()
	st := open(t, filepath.Join(t.TempDir(), "walink.db"))
	device := storetest.Link(t, st, "default", storetest.JID(number, 1))
	execSQL(t, st, "CREATE TRIGGER trap BEFORE DELETE ON whatsmeow_device BEGIN SELECT RAISE(ABORT, 'trap'); END")
	token := wastore.PrivacyToken{User: storetest.JID("1", 0), Token: []byte("token"), Timestamp: time.Now()}
	if err := device.PrivacyTokens.PutPrivacyTokens(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if err := device.Delete(t.Context()); err == nil || device.Deleted || device.ID == nil {
		t.Fatalf("Delete: %v, Deleted %t, want a failure", err, device.Deleted)
	}
	if err := st.Delete(t.Context(), "default"); err == nil {
		t.Error("Delete of the session succeeded")
	}
	if got, err := device.PrivacyTokens.GetPrivacyToken(t.Context(), token.User); err != nil || got == nil {
		t.Errorf("the privacy token is gone: %v, %v", got, err)
	}
	if sessions, err := st.Sessions(t.Context()); err != nil || len(sessions) != 1 {
		t.Errorf("sessions %v, %v, want the one", sessions, err)
	}
}

func TestSaveNeedsAnIdentity(t *testing.T) {
	t.Parallel()
	st := open(t, ":memory:")
	device, err := st.Device(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	device.ID = &types.JID{} // a pair-success without a device
	if err := device.Save(t.Context()); !errors.Is(err, sqlstore.ErrDeviceIDMustBeSet) {
		t.Errorf("Save without a JID: %v", err)
	}
	storetest.Pair(device, storetest.JID(number, 1))
	device.Account = nil
	if err := device.Save(t.Context()); err == nil {
		t.Error("Save without an account identity succeeded")
	}
}

func TestFirstLoginIsOneCommit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "walink.db")
	st := open(t, path)
	device := storetest.Link(t, st, "default", storetest.JID(number, 1))
	before := commits(t, path)
	if _, err := device.PreKeys.GetOrGenPreKeys(t.Context(), 812); err != nil {
		t.Fatal(err)
	}
	if got := commits(t, path) - before; got != 1 {
		t.Errorf("812 prekeys took %d commits, want 1", got)
	}
}

// commits counts the commits in the -wal file, by the frames that give the
// size of the database: https://www.sqlite.org/fileformat2.html#walformat
func commits(t *testing.T, path string) (count int) {
	t.Helper()
	wal, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	const header, frameHeader = 32, 24
	frame := frameHeader + int(binary.BigEndian.Uint32(wal[8:]))
	for at := header; at+frame <= len(wal); at += frame {
		if binary.BigEndian.Uint32(wal[at+4:]) != 0 {
			count++
		}
	}
	return count
}

func TestPains20ManyDevicesWriteAtOnce(t *testing.T) {
	t.Parallel()
	const devices = 200
	path := filepath.Join(t.TempDir(), "walink.db")
	st, err := sqlite.OpenBusy(t.Context(), path, 0) // a lock that is held is an error at once
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range devices {
		group.Go(func() {
			if err := firstLogin(t.Context(), st, i); err != nil {
				t.Errorf("device %d: %v", i, err)
			}
		})
	}
	group.Wait()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}

	st = open(t, path)
	sessions, err := st.Sessions(t.Context())
	if err != nil || len(sessions) != devices {
		t.Fatalf("%d sessions, %v, want %d", len(sessions), err, devices)
	}
	for i := range devices {
		device, err := st.Device(t.Context(), fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		if count, err := device.PreKeys.UploadedPreKeyCount(t.Context()); err != nil || count != 30 {
			t.Errorf("device %d has %d prekeys, %v, want 30", i, count, err)
		}
	}
}

func firstLogin(ctx context.Context, st *sqlite.Store, i int) error {
	device, err := st.Device(ctx, fmt.Sprint(i))
	if err != nil {
		return err
	}
	storetest.Pair(device, storetest.JID(fmt.Sprint(1000+i), 1))
	if err := device.Save(ctx); err != nil {
		return err
	}
	if err := device.LIDs.PutLIDMapping(ctx, device.LID, *device.ID); err != nil {
		return err
	}
	var once sync.WaitGroup
	var one, many error
	once.Go(func() { _, one = device.PreKeys.GenOnePreKey(ctx) })
	_, many = device.PreKeys.GetOrGenPreKeys(ctx, 29)
	once.Wait()
	return errors.Join(
		one,
		many,
		device.PreKeys.MarkPreKeysAsUploaded(ctx, 30),
		device.EventBuffer.DoDecryptionTxn(ctx, func(ctx context.Context) error {
			if _, err := device.Sessions.GetSession(context.WithoutCancel(ctx), "1:0"); err != nil {
				return err
			}
			return device.Sessions.PutSession(ctx, "1:0", []byte("session"))
		}),
	)
}

func TestReadingInATransactionWithoutItsContext(t *testing.T) {
	t.Parallel()
	st := open(t, filepath.Join(t.TempDir(), "walink.db"))
	device := storetest.Link(t, st, "default", storetest.JID(number, 1))
	err := device.EventBuffer.DoDecryptionTxn(t.Context(), func(ctx context.Context) error {
		if err := device.Sessions.PutSession(ctx, "1:0", []byte("session")); err != nil {
			return err
		}
		inside, err := device.Sessions.GetSession(ctx, "1:0")
		if err != nil {
			return err
		}
		outside, err := device.Sessions.GetSession(t.Context(), "1:0")
		if string(inside) != "session" || outside != nil {
			t.Errorf("inside %q, outside %q", inside, outside)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestPanicInATransactionBlocksNobody(t *testing.T) {
	t.Parallel()
	for _, path := range []string{":memory:", filepath.Join(t.TempDir(), "walink.db")} {
		st := open(t, path)
		device := storetest.Link(t, st, "default", storetest.JID(number, 1))
		func() {
			defer func() { _ = recover() }()
			_ = device.EventBuffer.DoDecryptionTxn(t.Context(), func(ctx context.Context) error {
				if err := device.Sessions.PutSession(ctx, "1:0", []byte("lost")); err != nil {
					t.Error(err)
				}
				panic("a broken message")
			})
		}()
		if err := device.Sessions.PutSession(t.Context(), "2:0", []byte("session")); err != nil {
			t.Errorf("PutSession: %v", err)
		}
		if got, err := device.Sessions.GetSession(t.Context(), "1:0"); err != nil || got != nil {
			t.Errorf("GetSession: %q, %v, want what was written before the panic to be undone", got, err)
		}
	}
}

func execSQL(t *testing.T, st *sqlite.Store, statement string) {
	t.Helper()
	if _, err := sqlite.Writer(st).ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// The Store has its own query for a device. It must read what sqlstore reads.
func TestDeviceIsWhatSqlstoreReads(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "walink.db")
	st := open(t, path)
	device, err := st.Device(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	storetest.Pair(device, storetest.JID(number, 1))
	device.PushName, device.CompanionMetaNonce, device.LIDMigrationTimestamp = "Ana", "nonce", 1_700_000_000
	device.FacebookUUID[0] = 7
	if err := device.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	container, db := plain(t, path)
	defer func() { _ = db.Close() }()
	want, err := container.GetDevice(t.Context(), *device.ID)
	if err != nil {
		t.Fatal(err)
	}
	got, err := st.Device(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	for field, value := range reflect.ValueOf(transfer.Bare(want)).Elem().Fields() {
		if value.Kind() != reflect.Interface && value.Kind() != reflect.Bool && value.IsZero() {
			t.Errorf("sqlstore reads a field %s, which this test does not set", field.Name)
		}
	}
	if diff := cmp.Diff(transfer.Bare(want), transfer.Bare(got), protocmp.Transform()); diff != "" {
		t.Errorf("device (-sqlstore +walink):\n%s", diff)
	}
	for field, value := range reflect.ValueOf(got).Elem().Fields() {
		if value.IsZero() != reflect.ValueOf(want).Elem().FieldByIndex(field.Index).IsZero() {
			t.Errorf("%s is set by one of the two only", field.Name)
		}
	}
}
