//go:build unix

// Package stores_test measures every store of walink next to whatsmeow's
// sqlstore, which is store=sqlstore on SQLite and store=sqlstore-postgres on
// PostgreSQL. docs/performance.md has the commands and the numbers. The
// benchmarks start the servers that they need. They skip a store whose server is
// not installed, and -v shows why.
package stores_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/store/kv/kvtest"
	"github.com/walink/walink/store/storetest"
)

// each measures every backend.
func each(b *testing.B, measure func(b *testing.B, s backend)) {
	b.Helper()
	for _, s := range backends {
		b.Run("store="+s.name, func(b *testing.B) { measure(b, s.backend) })
	}
}

// BenchmarkOpen is the time in which a new store makes its tables and answers that
// it has no session.
func BenchmarkOpen(b *testing.B) {
	each(b, func(b *testing.B, s backend) {
		b.Helper()
		for b.Loop() {
			b.StopTimer()
			p := s(b)
			b.StartTimer()
			st := open(b, p)
			if _, err := st.load(b.Context(), name(0), number(0)); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			_ = st.Close()
			b.StartTimer()
		}
	})
}

// BenchmarkLink is the time in which a store takes what whatsmeow stores while a
// device links, with 812 prekeys. All devices go into one store.
func BenchmarkLink(b *testing.B) {
	each(b, func(b *testing.B, s backend) {
		b.Helper()
		p := s(b)
		st, before := reopen(b, p, open(b, p))
		n := 0
		for b.Loop() {
			if err := link(b.Context(), st, n); err != nil {
				b.Fatal(err)
			}
			n++
		}
		st, after := reopen(b, p, st)
		_ = st.Close()
		if after > 0 {
			b.ReportMetric(float64(after-before)/float64(n), "disk-B/session")
		}
	})
}

// BenchmarkOf1000 is the time to load one of 1000 sessions, and to list all of
// them.
func BenchmarkOf1000(b *testing.B) {
	const sessions = 1000
	each(b, func(b *testing.B, s backend) {
		b.Helper()
		p := s(b)
		st := open(b, p)
		fill(b, st, sessions)
		st, _ = reopen(b, p, st) // nothing comes from a cache of what was written
		defer func() { _ = st.Close() }()
		b.Run("load", func(b *testing.B) {
			n := 0
			for b.Loop() {
				n = (n + 7919) % sessions // a prime, so that all have their turn
				device, err := st.load(b.Context(), name(n), number(n))
				if err != nil || device == nil || device.ID == nil {
					b.Fatalf("%s is not there: %v", name(n), err)
				}
			}
		})
		b.Run("list", func(b *testing.B) {
			for b.Loop() {
				if n, err := st.list(b.Context()); err != nil || n != sessions {
					b.Fatalf("%d of %d sessions: %v", n, sessions, err)
				}
			}
		})
	})
}

// BenchmarkMessage is the time in which a store takes what whatsmeow stores for
// one incoming message, while messages come in for several devices at once.
// buffered is with whatsmeow's EnableDecryptedEventBuffer.
func BenchmarkMessage(b *testing.B) {
	for _, buffered := range []bool{false, true} {
		for _, devices := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("buffered=%t/devices=%d", buffered, devices), func(b *testing.B) {
				each(b, func(b *testing.B, s backend) {
					b.Helper()
					st := open(b, s(b))
					defer func() { _ = st.Close() }()
					traffic := make([]*kvtest.Traffic, devices)
					for i := range traffic {
						device, err := pair(b.Context(), st, i)
						if err != nil {
							b.Fatal(err)
						}
						if traffic[i], err = kvtest.NewTraffic(b.Context(), device, b.N/devices+1, buffered); err != nil {
							b.Fatal(err)
						}
					}
					var begun atomic.Int64
					var all sync.WaitGroup
					b.ResetTimer()
					for _, t := range traffic {
						all.Go(func() {
							for begun.Add(1) <= int64(b.N) {
								if err := t.Message(b.Context()); err != nil {
									b.Error(err)
									return
								}
							}
						})
					}
					all.Wait()
					b.StopTimer()
				})
			})
		}
	}
}

func name(i int) string { return "session " + strconv.Itoa(i) }

func number(i int) string { return strconv.FormatInt(5511900000000+int64(i), 10) }

// pair stores a device as pairing does.
func pair(ctx context.Context, st opened, i int) (*wastore.Device, error) {
	device, err := st.fresh(ctx, name(i))
	if err != nil {
		return nil, err
	}
	storetest.Pair(device, storetest.JID(number(i), 1))
	err = device.Save(ctx)
	return device, err
}

// link stores a device as pairing and the first login do.
func link(ctx context.Context, st opened, i int) error {
	device, err := pair(ctx, st, i)
	if err != nil {
		return err
	}
	primary := device.LID
	primary.Device = 0
	if err := device.Identities.PutIdentity(ctx, primary.SignalAddress().String(), [32]byte{1}); err != nil {
		return err
	}
	if err := device.LIDs.PutLIDMapping(ctx, device.LID.ToNonAD(), device.ID.ToNonAD()); err != nil {
		return err
	}
	made, err := device.PreKeys.GetOrGenPreKeys(ctx, 812)
	if err != nil {
		return err
	}
	if err := device.PreKeys.MarkPreKeysAsUploaded(ctx, made[len(made)-1].KeyID); err != nil {
		return err
	}
	device.PushName = "João"
	return device.Save(ctx)
}

// fill pairs devices in one commit.
func fill(b *testing.B, st opened, sessions int) {
	b.Helper()
	first, err := pair(b.Context(), st, 0)
	if err != nil {
		b.Fatal(err)
	}
	if err := first.EventBuffer.DoDecryptionTxn(b.Context(), func(ctx context.Context) error {
		for i := 1; i < sessions; i++ {
			if _, err := pair(ctx, st, i); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
}

func open(b *testing.B, p place) opened {
	b.Helper()
	st, err := p.open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return st
}

// reopen closes a store and opens it again. It returns the bytes on disk in
// between. A store in memory stays open, and has none.
func reopen(b *testing.B, p place, st opened) (opened, int64) {
	b.Helper()
	if p.size == nil {
		return st, 0
	}
	size := int64(0)
	err := st.Close()
	if err == nil {
		size, err = p.size(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
	return open(b, p), size
}
