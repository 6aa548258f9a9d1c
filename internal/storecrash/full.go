package storecrash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/storetest"
)

// SmallDisk mounts a disk of a few megabytes for a test, or skips the test if
// that is not allowed. It returns the folder, and functions that fill the disk
// and free it again.
func SmallDisk(t *testing.T, megabytes int) (dir string, fill, free func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "walink") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", megabytes), "tmpfs", dir).CombinedOutput()
	if err != nil {
		_ = os.Remove(dir)
		t.Skipf("no small disk can be mounted here, which needs root: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	filler := filepath.Join(dir, "filler")
	fill = func() {
		file, err := os.Create(filler)
		if err != nil {
			t.Fatal(err)
		}
		chunk := make([]byte, 4096)
		for err == nil {
			_, err = file.Write(chunk)
		}
		_ = file.Close()
	}
	free = func() {
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	}
	return dir, fill, free
}

// Full tests a Store whose disk is filled and freed again. A link and the
// changes of a message must fail completely, with an error whose remedy begins
// with remedy. What was stored must stay readable meanwhile, and once there is
// room everything must work again.
func Full(t *testing.T, st store.Store, remedy string, fill, free func()) {
	t.Helper()
	old := storetest.Link(t, st, "old", storetest.JID("5511987654321", 1))
	message := func(round int) error {
		return old.EventBuffer.DoDecryptionTxn(t.Context(), func(ctx context.Context) error {
			if err := old.Sessions.PutSession(ctx, "1:0", sessionOf(round)); err != nil {
				return err
			}
			return old.Sessions.PutSession(ctx, fmt.Sprintf("%d:0", round+1), sessionOf(round))
		})
	}
	stored := 2999 // the round
	if err := message(stored); err != nil {
		t.Fatal(err)
	}
	fill()
	var linked []string
	var failed error
	for i := 0; failed == nil && i < 5000; i++ { // what fits into existing pages still succeeds
		name := fmt.Sprintf("new %d", i)
		device, err := st.Device(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		storetest.Pair(device, storetest.JID("5511976543210", uint16(i)+1))
		if failed = device.Save(t.Context()); failed == nil {
			linked = append(linked, name)
		}
		if failed != nil && device.Initialized {
			t.Error("the device is initialized though Save failed")
		}
	}
	hasRemedy(t, "Save", failed, remedy)
	failed = nil
	for round := 5999; failed == nil && round < 3000*3000; round += 3000 { // each of the largest size
		if failed = message(round); failed == nil {
			stored = round
		}
	}
	hasRemedy(t, "PutSession", failed, remedy)

	check := func(when string, device *wastore.Device) {
		t.Helper()
		if device.ID == nil {
			t.Fatalf("%s the session is gone", when)
		}
		got, err := device.Sessions.GetSession(t.Context(), "1:0")
		if err != nil || string(got) != string(sessionOf(stored)) {
			t.Errorf("%s the session is of round %d, %v, want %d", when, roundOf(got), err, stored)
		}
		sessions, err := st.Sessions(t.Context())
		if err != nil || len(sessions) != len(linked)+1 {
			t.Errorf("%s there are %d sessions, %v, want %d", when, len(sessions), err, len(linked)+1)
		}
	}
	device, err := st.Device(t.Context(), "old")
	if err != nil {
		t.Fatal(err)
	}
	check("while the disk is full,", device)
	free()
	check("with room again,", device)
	fresh := storetest.Link(t, st, "fresh", storetest.JID("5511965432109", 1))
	linked = append(linked, "fresh")
	if batch, err := fresh.PreKeys.GetOrGenPreKeys(t.Context(), preKeys); err != nil || len(batch) != preKeys {
		t.Errorf("with room again, %d prekeys, %v", len(batch), err)
	}
	stored = 42
	if err := message(stored); err != nil {
		t.Errorf("with room again: %v", err)
	}
	check("in the end,", device)
}

func hasRemedy(t *testing.T, what string, err error, remedy string) {
	t.Helper()
	var hint interface{ Remedy() string }
	if err == nil || !errors.As(err, &hint) || !strings.HasPrefix(hint.Remedy(), remedy) {
		t.Fatalf("%s on a full disk: %v, want an error with the remedy %q", what, err, remedy)
	}
}
