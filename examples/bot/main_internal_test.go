package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/walinktest"
)

const number = "+5511987654321"

// linked returns the path of a database with a session that phone has linked on srv.
func linked(t *testing.T, srv *walinktest.Server, phone *walinktest.Phone) string {
	t.Helper()
	db := filepath.Join(t.TempDir(), "bot.db")
	st, err := sqlite.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	linker, err := walink.New(st, walink.Settings{HTTPClient: srv.HTTPClient()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = linker.Close() }()
	updates, err := linker.Link(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for update := range updates {
		switch e := update.(type) {
		case walink.QRCode:
			if err := phone.ScanQR(t.Context(), e.Payload); err != nil {
				t.Fatal(err)
			}
		case walink.Failed:
			t.Fatal(e.Err)
		case walink.Connecting, walink.PairingCode, walink.Withdrawn, walink.PasskeyRequired, walink.PasskeyConfirmation,
			walink.Paired, walink.Retrying, walink.Linked:
		}
	}
	return db
}

func TestBotRunsUntilSomebodyHasToLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		phone := srv.NewPhone(number)
		db := linked(t, srv, phone)
		start := func(ctx context.Context) <-chan error {
			done := make(chan error, 1)
			go func() { done <- run(ctx, db, walink.Settings{Phone: number, HTTPClient: srv.HTTPClient()}) }()
			synctest.Wait() // until the bot waits for messages
			if devices := phone.LinkedDevices(); len(devices) != 1 || !devices[0].Online {
				t.Fatalf("the bot is not online: %+v", devices)
			}
			return done
		}

		ctx, interrupt := context.WithCancel(t.Context())
		done := start(ctx)
		interrupt()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted: %v", err)
		}

		ctx, interrupt = context.WithCancel(t.Context())
		done = start(ctx)
		online := func(want bool, when string) {
			if devices := phone.LinkedDevices(); len(devices) != 1 || devices[0].Online != want {
				t.Errorf("%s: %+v", when, devices)
			}
		}
		srv.Restart()
		time.Sleep(time.Minute)
		online(true, "after a restart of the server")
		if err := os.Rename(db, db+".away"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		online(false, "without its database")
		if err := os.Rename(db+".away", db); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		online(true, "with its database again")
		phone.Remove(phone.LinkedDevices()[0].JID)
		requests := srv.Stats().Connections
		time.Sleep(time.Minute)
		if srv.Stats().Connections == requests {
			t.Error("after a removal on the phone nobody is asked to link again")
		}
		interrupt()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted while it asks: %v", err)
		}
	})
}
