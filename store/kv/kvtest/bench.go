package kvtest

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/storetest"
)

// Benchmark measures what a [store.Store] does for incoming messages, with 1,
// 8 and 64 sessions at once, each with a goroutine of its own. A message is
// what it takes to decrypt one: in one DoDecryptionTxn it reads the Signal
// session, checks the identity and writes the session; then it stores the
// secret of the message.
func Benchmark(b *testing.B, open func(b *testing.B) store.Store) {
	b.Helper()
	for _, count := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("%d sessions", count), func(b *testing.B) {
			st := open(b)
			b.Cleanup(func() {
				if err := st.Close(); err != nil {
					b.Errorf("Close: %v", err)
				}
			})
			devices := make([]*wastore.Device, count)
			for i := range devices {
				devices[i] = storetest.Link(b, st, strconv.Itoa(i), storetest.JID(strconv.Itoa(5511900000000+i), 1))
				if err := devices[i].Sessions.PutSession(b.Context(), peer, bytes.Repeat([]byte("s"), 1500)); err != nil {
					b.Fatal(err)
				}
				if err := devices[i].Identities.PutIdentity(b.Context(), peer, [32]byte{1}); err != nil {
					b.Fatal(err)
				}
			}
			b.ResetTimer()
			var number atomic.Int64
			var group sync.WaitGroup
			for _, device := range devices {
				group.Go(func() {
					for n := number.Add(1); n <= int64(b.N); n = number.Add(1) {
						if err := message(b.Context(), device, strconv.FormatInt(n, 10)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			b.StopTimer()
		})
	}
}

const peer = "4915112345678:0"

// message is the store's part of a message that comes in.
func message(ctx context.Context, device *wastore.Device, id string) error {
	err := device.EventBuffer.DoDecryptionTxn(ctx, func(ctx context.Context) error {
		session, err := device.Sessions.GetSession(ctx, peer)
		if err != nil {
			return err
		}
		if trusted, err := device.Identities.IsTrustedIdentity(ctx, peer, [32]byte{1}); err != nil || !trusted {
			return fmt.Errorf("trusted %t, %w", trusted, err)
		}
		return device.Sessions.PutSession(ctx, peer, session)
	})
	if err != nil {
		return err
	}
	chat := storetest.JID("4915112345678", 0)
	return device.MsgSecrets.PutMessageSecret(ctx, chat, chat, id, make([]byte, 32))
}
