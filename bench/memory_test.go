package bench_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
)

// memoryUnits are the units of memory.
var memoryUnits = []string{"B/session", "stack-B/session", "goroutines/session"}

// memory measures n sessions in a new process. They are logged in, or each shows
// a QR code.
func memory(n int, linked bool) measurement {
	return func(b *testing.B, c client) func() []float64 {
		b.Helper()
		return func() (values []float64) {
			out, err := self("load", b.TempDir(), fmt.Sprint(c.name, " ", n, linked)).Output()
			if err == nil {
				err = json.Unmarshal(out, &values)
			}
			if err != nil {
				b.Fatal(err)
			}
			return values
		}
	}
}

// load is the process that memory starts. It prints what each session adds. The
// first session does not count: it pays for what a process and a database need
// once.
func load(dir, spec string) error {
	var name string
	var n int
	var linked bool
	if _, err := fmt.Sscan(spec, &name, &n, &linked); err != nil {
		return err
	}
	to, err := server()
	if err != nil {
		return err
	}
	ctx := context.Background()
	c := clients[slices.IndexFunc(clients, func(c client) bool { return c.name == name })]
	db, err := c.open(ctx, dir, to, true)
	if err != nil {
		return err
	}
	do := (*device).show
	if linked {
		do = (*device).link
	}
	devices := make([]*device, n+1)
	var before []float64
	for i := range devices {
		devices[i] = newDevice(db, qr)
		if err := do(devices[i], ctx); err != nil {
			return err
		}
		if i == 0 {
			before = inUse()
		}
	}
	values := inUse()
	for i := range values {
		values[i] = (values[i] - before[i]) / float64(n)
	}
	runtime.KeepAlive(devices)
	return json.NewEncoder(os.Stdout).Encode(values)
}

// inUse returns the bytes of the heap, the bytes of the stacks, and the number of
// goroutines, once that number no longer changes.
func inUse() []float64 {
	const steady = 50 // collections in a row with the same number
	goroutines := 0
	for same := 0; same < steady; same++ {
		runtime.GC()
		if n := runtime.NumGoroutine(); n != goroutines {
			goroutines, same = n, 0
		}
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return []float64{float64(stats.HeapAlloc), float64(stats.StackInuse), float64(goroutines)}
}
