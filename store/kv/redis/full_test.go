package redis_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/walink/walink/internal/storecrash"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/storetest"
)

// TestFullDisk has a server that refuses to write what it cannot save. Once
// there is room, it saves what it has confirmed.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir, fill, free := storecrash.SmallDisk(t, 8)
	s := start(t, "--dir", dir, "--appendfsync", "everysec")
	st := kv.New(s.open(t, "walink"))
	storecrash.Full(t, st, "Free space on the disk of the server", fill, func() {
		free()
		s.accepting(t)
	})
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}

// accepting waits until the server takes writes, which it tries every second.
func (s *server) accepting(t *testing.T) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for range 1000 {
		<-ticker.C
		out, err := exec.Command("redis-cli", "-s", s.Socket, "set", "probe", "1").CombinedOutput()
		if err == nil && strings.HasPrefix(string(out), "OK") {
			return
		}
	}
	t.Fatal("redis-server takes no writes")
}

// TestFullDiskAlways has a server that must not confirm what is not on the
// disk, and stops if it cannot write.
func TestFullDiskAlways(t *testing.T) {
	t.Parallel()
	dir, fill, free := storecrash.SmallDisk(t, 8)
	s := start(t, "--dir", dir, "--appendfsync", "always")
	st := kv.New(s.open(t, "walink"))
	t.Cleanup(func() { _ = st.Close() })
	fill()
	linked := 0
	for {
		device, err := st.Device(t.Context(), fmt.Sprint(linked))
		if err == nil {
			storetest.Pair(device, storetest.JID("5511987654321", uint16(linked)+1))
			err = device.Save(t.Context())
		}
		if err != nil {
			if remedyOf(err) == "" {
				t.Errorf("Save on a full disk: %v, without a remedy", err)
			}
			break
		}
		if linked++; linked > 5000 {
			t.Fatal("Save does not fail")
		}
	}
	free()
	s.crash(t)
	sessions, err := st.Sessions(t.Context())
	for range 10 { // calls on old connections fail
		if err == nil {
			break
		}
		sessions, err = st.Sessions(t.Context())
	}
	if err != nil || len(sessions) < linked {
		t.Errorf("%d sessions are stored, %v, and %d were", len(sessions), err, linked)
	}
}
