// Package leasetest tests that two programs are never connected for one
// session. It kills programs, stops them, and cuts them off from their Store.
package leasetest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"

	"github.com/walink/walink"
	"github.com/walink/walink/store"
	"github.com/walink/walink/walinktest"
)

// The environment variables of a child.
const (
	envAddress  = "WALINK_LEASE_ADDRESS"
	envRoot     = "WALINK_LEASE_ROOT"
	envStore    = "WALINK_LEASE_STORE"
	envSessions = "WALINK_LEASE_SESSIONS"
	envFleet    = "WALINK_LEASE_FLEET" // the Holder of a Fleet; without it the child supervises each session
)

// report is the parent's end of the standard output. Nothing else writes there: libsignal's
// logger, which does, gets the standard error.
var report = os.Stdout

// tell writes a line to the parent.
func tell(words ...any) { _, _ = fmt.Fprintln(report, words...) }

// Opener opens a Store by the name that it has in the test.
type Opener func(ctx context.Context, name string) (store.Store, error)

// Child is for TestMain. In a process that [Run] or [RunFleets] has started, Child
// supervises all sessions, or has a Fleet, until standard input ends, and returns true.
func Child(open Opener) bool {
	address := os.Getenv(envAddress)
	if address == "" {
		return false
	}
	os.Stdout = os.Stderr
	serve := supervise
	if os.Getenv(envFleet) != "" {
		serve = runFleet
	}
	if err := serve(open, address); err != nil {
		tell("error", err)
	}
	return true
}

func supervise(open Opener, address string) error {
	key, err := hex.DecodeString(os.Getenv(envRoot))
	if err != nil {
		return err
	}
	sessions, err := strconv.Atoi(os.Getenv(envSessions))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	st, err := open(ctx, os.Getenv(envStore))
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	for i := range sessions {
		linker, err := walink.New(st, walink.Settings{
			Session: sessionName(i), HTTPClient: walinktest.RemoteClient(address, [32]byte(key)),
		})
		if err != nil {
			return err
		}
		events, err := linker.Supervise(ctx)
		if err != nil {
			return err
		}
		group.Go(func() {
			for event := range events {
				say(i, event)
			}
			_ = linker.Close()
		})
	}
	_, err = io.Copy(io.Discard, os.Stdin) // until the parent closes it, or ends
	cancel()
	group.Wait()
	return errors.Join(err, st.Close())
}

func sessionName(i int) string { return "session " + strconv.Itoa(i) }

// say prints one line for an event, for the parent.
func say(session int, event walink.Event) {
	switch e := event.(type) {
	case walink.Linked:
		tell("linked", session)
	case walink.Reconnected:
		tell("back", session)
	case walink.Disconnected:
		tell("lost", session, e.Err.Reason, e.Err)
	case walink.Failed:
		if e.Err.Reason != walink.ErrCanceled { // as at the end
			tell("failed", session, e.Err)
		}
	default:
	}
}
