package storetest

import (
	"database/sql"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/store"
)

// WithBubble adds the cases for what depends on time. The Store is opened in a
// bubble of [testing/synctest], so it must not have a goroutine that waits for
// anything outside the bubble, such as an answer from the network.
func WithBubble() Option {
	return func(o *options) { o.bubble = true }
}

// runBubble tests how long whatsmeow's events are kept: 14 days in case the
// server sends a message again, and 7 days in case a recipient asks for one
// again.
func runBubble(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	t.Run("stores: only old events are deleted", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			const day = 24 * time.Hour
			device := Link(t, open(t), "default", JID(number, 1))
			events, chat, start := device.EventBuffer, JID(peer, 0), time.Now()
			if err := errors.Join(
				events.PutBufferedEvent(t.Context(), [32]byte{1}, []byte("event"), start.Add(-100*day)),
				events.AddOutgoingEvent(t.Context(), chat, "message", "format", []byte("event")),
				events.AddOutgoingEvent(t.Context(), chat, "again", "format", []byte("event")),
			); err != nil {
				t.Fatal(err)
			}
			for _, step := range []struct {
				after                     time.Duration
				buffered, outgoing, again bool
			}{
				{0, true, true, true},
				{6 * day, true, true, true},
				{8 * day, true, false, true},
				{13*day + time.Hour, true, false, false},
				{15 * day, false, false, false},
			} {
				<-time.After(time.Until(start.Add(step.after)))
				if err := errors.Join(events.DeleteOldBufferedHashes(t.Context()), events.DeleteOldOutgoingEvents(t.Context())); err != nil {
					t.Fatal(err)
				}
				event, err := events.GetBufferedEvent(t.Context(), [32]byte{1})
				if err != nil || (event != nil) != step.buffered || event != nil && !event.InsertTime.Equal(start) {
					t.Errorf("after %v the buffered event is %v, %v, want it: %t", step.after, event, err, step.buffered)
				}
				for id, want := range map[types.MessageID]bool{"message": step.outgoing, "again": step.again} {
					_, _, err := events.GetOutgoingEvent(t.Context(), chat, types.JID{}, id)
					if want && err != nil || !want && !errors.Is(err, sql.ErrNoRows) {
						t.Errorf("after %v the outgoing event %s: %v, want it: %t", step.after, id, err, want)
					}
				}
				if step.after == 6*day { // an event that is added again is new
					if err := events.AddOutgoingEvent(t.Context(), chat, "again", "format", []byte("event")); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	})
}
