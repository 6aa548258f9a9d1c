package bench_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/walink/walink/bench/internal/measure"
)

var full = flag.Bool("full", false, "as many devices as in docs/performance.md")

func TestMain(m *testing.M) {
	measure.Child()
	os.Exit(m.Run())
}

// BenchmarkPairingCode is the time from New to a pairing code in hand.
func BenchmarkPairingCode(b *testing.B) { shown(b, measure.Code) }

// BenchmarkFirstQR is the time from New to the first QR code.
func BenchmarkFirstQR(b *testing.B) { shown(b, measure.QR) }

// BenchmarkLinkedByQR is the time from the scan to Linked.
func BenchmarkLinkedByQR(b *testing.B) { compare(b, newLab(b).Linked(measure.QR)) }

// BenchmarkLinkedByPairingCode is the time from the entry of the code to
// Linked, in which phone and device derive a key from the code three times.
func BenchmarkLinkedByPairingCode(b *testing.B) { compare(b, newLab(b).Linked(measure.Code)) }

// BenchmarkTogether is the time in which many devices link into one file.
func BenchmarkTogether(b *testing.B) {
	n := 10
	if *full {
		n = 200
	}
	b.Run(fmt.Sprint(n), func(b *testing.B) { compare(b, newLab(b).Together(n)) })
}

// BenchmarkMemory is what a device costs while it shows a QR code, and linked.
func BenchmarkMemory(b *testing.B) {
	sizes := []int{20}
	if *full {
		sizes = []int{200, 1000}
	}
	for _, linked := range []bool{false, true} {
		for _, n := range sizes {
			state := map[bool]string{false: "waiting", true: "linked"}[linked]
			b.Run(fmt.Sprintf("%s/%d", state, n), func(b *testing.B) { weigh(b, n, linked) })
		}
	}
}

func weigh(b *testing.B, n int, linked bool) {
	b.Helper()
	var walink, plain measure.Weight
	for b.Loop() {
		var err error
		if walink, err = measure.Weigh(b.Context(), b.TempDir(), measure.Walink, n, linked); err != nil {
			b.Fatal(err)
		}
		if plain, err = measure.Weigh(b.Context(), b.TempDir(), measure.Plain, n, linked); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(walink.Heap, "walink-heap-B")
	b.ReportMetric(plain.Heap, "whatsmeow-heap-B")
	b.ReportMetric(walink.Heap/plain.Heap, "heap-ratio")
	b.ReportMetric(walink.Goroutines, "walink-goroutines")
	b.ReportMetric(plain.Goroutines, "whatsmeow-goroutines")
}

func shown(b *testing.B, method measure.Method) {
	b.Helper()
	sample, closeAll, err := newLab(b).Shown(b.Context(), method)
	if err != nil {
		b.Fatal(err)
	}
	defer closeAll()
	compare(b, sample)
}

func newLab(b *testing.B) *measure.Lab {
	b.Helper()
	lab, err := measure.NewLab(context.Background(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := lab.Close(); err != nil {
			b.Error(err)
		}
	})
	return lab
}

func compare(b *testing.B, sample measure.Sample) {
	b.Helper()
	var c measure.Comparison
	for b.Loop() {
		if err := c.Add(b.Context(), sample); err != nil {
			b.Fatal(err)
		}
	}
	median, undisturbed := c.Median(), c.Undisturbed()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(median.Walink.Microseconds())/1000, "walink-ms")
	b.ReportMetric(float64(median.Plain.Microseconds())/1000, "whatsmeow-ms")
	b.ReportMetric(median.Ratio, "ratio")
	b.ReportMetric(undisturbed.Ratio, "undisturbed-ratio")
}
