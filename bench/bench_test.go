// Package bench_test measures walink next to plain whatsmeow, which is written
// by hand as its documentation says. docs/performance.md has the commands and
// the numbers, and README.md the method and more numbers.
//
// Every benchmark has three parts. The parts client=walink and client=whatsmeow
// are for benchstat -col /client, and for the profile of one client. The part
// ratio takes samples of both clients in turns and reports both medians, and
// walink's divided by whatsmeow's: a machine that slows down slows down both.
package bench_test

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkCode is the time from New, or NewClient, to a pairing code.
func BenchmarkCode(b *testing.B) { compare(b, show(code), "ns/op") }

// BenchmarkFirstQR is the time from New, or NewClient, to the first QR code.
func BenchmarkFirstQR(b *testing.B) { compare(b, show(qr), "ns/op") }

// BenchmarkLinkByCode is the time from the entry of the code to the login. The
// phone and the device derive a key from the code meanwhile, three times in all.
func BenchmarkLinkByCode(b *testing.B) { compare(b, link(code), "ns/op") }

// BenchmarkLinkByQR is the time from the scan to the login.
func BenchmarkLinkByQR(b *testing.B) { compare(b, link(qr), "ns/op") }

// BenchmarkLinkTogether is the time in which 10 sessions link into one file. All
// begin at once, and a phone scans each QR code as soon as it is shown.
func BenchmarkLinkTogether(b *testing.B) { compare(b, together(10), "ns/op") }

// BenchmarkResume is the time from New, or NewClient, to the login of a stored
// session.
func BenchmarkResume(b *testing.B) { compare(b, resume, "ns/op") }

// BenchmarkWaiting is the memory of a session that shows a QR code.
func BenchmarkWaiting(b *testing.B) { compare(b, memory(100, false), memoryUnits...) }

// BenchmarkLinked is the memory of a session that is logged in.
func BenchmarkLinked(b *testing.B) { compare(b, memory(20, true), memoryUnits...) }

// measurement prepares a client and returns a function that takes one sample: a
// value for each unit.
type measurement func(b *testing.B, c client) (sample func() []float64)

// compare runs the three parts of a benchmark. The ratio is that of the first
// unit.
func compare(b *testing.B, prepare measurement, units ...string) {
	b.Helper()
	for _, c := range clients {
		b.Run("client="+c.name, func(b *testing.B) {
			samples := inTurns(b, prepare, c)[0]
			b.ReportMetric(0, "ns/op") // no time of the loop, which is more than the sample
			for i, unit := range units {
				b.ReportMetric(median(samples, i), unit)
			}
		})
	}
	b.Run("ratio", func(b *testing.B) {
		samples := inTurns(b, prepare, clients...)
		walink, whatsmeow := median(samples[0], 0), median(samples[1], 0)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(walink, "walink-"+units[0])
		b.ReportMetric(whatsmeow, "whatsmeow-"+units[0])
		b.ReportMetric(walink/whatsmeow, "ratio")
	})
}

// inTurns takes samples of the clients in the order A B B A, and returns those of
// each.
func inTurns(b *testing.B, prepare measurement, clients ...client) [][][]float64 {
	b.Helper()
	var order []int
	var sample []func() []float64
	for i, c := range clients {
		order, sample = append(order, i), append(sample, prepare(b, c))
	}
	samples := make([][][]float64, len(clients))
	for b.Loop() {
		for _, i := range order {
			samples[i] = append(samples[i], sample[i]())
		}
		slices.Reverse(order)
	}
	return samples
}

// median returns the median of a unit.
func median(samples [][]float64, unit int) float64 {
	slices.SortFunc(samples, func(x, y []float64) int { return cmp.Compare(x[unit], y[unit]) })
	return samples[len(samples)/2][unit]
}

// show measures from New to the first code. The database is already open.
func show(by method) measurement {
	return func(b *testing.B, c client) func() []float64 {
		b.Helper()
		db := open(b, c, false)
		b.Cleanup(func() { _ = db.Close() })
		return func() []float64 {
			d := newDevice(db, by)
			defer d.stop()
			return timed(b, d.show)
		}
	}
}

// link measures from what the person does at the phone to the login. Each sample
// has its own database.
func link(by method) measurement {
	return func(b *testing.B, c client) func() []float64 {
		b.Helper()
		return func() []float64 {
			db := open(b, c, false)
			defer func() { _ = db.Close() }()
			d := newDevice(db, by)
			defer d.stop()
			if err := d.show(b.Context()); err != nil {
				b.Fatal(err)
			}
			return timed(b, d.answer)
		}
	}
}

// together measures from New to the last login of n sessions.
func together(n int) measurement {
	return func(b *testing.B, c client) func() []float64 {
		b.Helper()
		return func() []float64 {
			db := open(b, c, true)
			defer func() { _ = db.Close() }()
			devices := make([]*device, n)
			for i := range devices {
				devices[i] = newDevice(db, qr)
			}
			took := timed(b, func(ctx context.Context) error {
				errs := make([]error, n)
				var all sync.WaitGroup
				for i, d := range devices {
					all.Go(func() { errs[i] = d.link(ctx) })
				}
				all.Wait()
				return errors.Join(errs...)
			})
			for _, d := range devices {
				d.stop()
			}
			return took
		}
	}
}

// resume measures from New to the login of a stored session.
func resume(b *testing.B, c client) func() []float64 {
	b.Helper()
	db := open(b, c, false)
	b.Cleanup(func() { _ = db.Close() })
	d := newDevice(db, qr)
	err := d.link(b.Context())
	d.stop()
	if err != nil {
		b.Fatal(err)
	}
	return func() []float64 {
		defer d.stop()
		return timed(b, func(ctx context.Context) error {
			if err := d.connect(ctx); err != nil {
				return err
			}
			return d.linked()
		})
	}
}

// timed returns how long do takes, in nanoseconds. It first collects the garbage
// of the sample before. do runs in a new goroutine, whose stack has not grown
// yet: walink's goroutines are new too.
func timed(b *testing.B, do func(context.Context) error) []float64 {
	b.Helper()
	runtime.GC()
	var took time.Duration
	var err error
	var done sync.WaitGroup
	done.Go(func() {
		began := time.Now()
		err = do(b.Context())
		took = time.Since(began)
	})
	done.Wait()
	if err != nil {
		b.Fatal(err)
	}
	return []float64{float64(took)}
}
