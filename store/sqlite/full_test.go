package sqlite_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/storecrash"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/walinktest"
)

const remedyRoom = "Free space on the disk of the database."

// TestFullDisk has SQLite itself say that there is no room: after so many pages.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	st := open(t, filepath.Join(t.TempDir(), "walink.db"))
	fill, free := pages(t, st)
	storecrash.Full(t, st, remedyRoom, fill, free)
}

// TestFullSmallDisk is of a real disk.
func TestFullSmallDisk(t *testing.T) {
	t.Parallel()
	dir, fill, free := storecrash.SmallDisk(t, 8)
	st, err := sqlite.Open(t.Context(), filepath.Join(dir, "walink.db"))
	if err != nil {
		t.Fatal(err)
	}
	storecrash.Full(t, st, remedyRoom, fill, free)
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}

// pages returns functions that let the database have no more pages, and any
// number of pages.
func pages(t *testing.T, st *sqlite.Store) (fill, free func()) {
	t.Helper()
	limit := func(count int) {
		if _, err := sqlite.Writer(st).ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count=%d", count)); err != nil {
			t.Fatal(err)
		}
	}
	return func() { limit(1) }, func() { limit(1 << 30) } // SQLite takes one for the current number
}

// TestLinkOnAFullDisk links a phone: the person is told to free space, the
// phone that the link failed, and the next Link succeeds.
func TestLinkOnAFullDisk(t *testing.T) {
	t.Parallel()
	srv := walinktest.NewServer(t)
	phone := srv.NewPhone("+5511987654321")
	st := open(t, filepath.Join(t.TempDir(), "walink.db"))
	fill, free := pages(t, st)
	link := func(session string) (failed *walink.Error) {
		linker, err := walink.New(st, walink.Settings{Session: session, HTTPClient: srv.HTTPClient()})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := linker.Close(); err != nil {
				t.Error(err)
			}
		}()
		events, err := linker.Link(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for event := range events {
			switch e := event.(type) {
			case walink.QRCode:
				go func() { _ = phone.ScanQR(t.Context(), e.Payload) }()
			case walink.Failed:
				failed = e.Err
			default:
			}
		}
		return failed
	}
	fill()
	var err *walink.Error
	for i := 0; err == nil && i < 50; i++ { // the pages that are there have some room
		err = link(fmt.Sprintf("%s %d", strings.Repeat("x", 100), i))
	}
	if !errors.Is(err, walink.ErrStore) || err.Remedy() != remedyRoom {
		t.Errorf("Link on a full disk: %v, want ErrStore and the disk", err)
	}
	free()
	if err := link("with room again"); err != nil {
		t.Errorf("Link with room again: %v", err)
	}
	sessions, listErr := st.Sessions(t.Context())
	if listed := len(phone.LinkedDevices()); listErr != nil || listed != len(sessions) {
		t.Errorf("the phone lists %d devices and %d sessions are stored, %v", listed, len(sessions), listErr)
	}
}
