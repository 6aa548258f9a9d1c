package measure

import (
	"context"
	"encoding/json"
	"os"
	"runtime"
	"time"
)

// specVariable holds what a process with roleMemory is to measure.
const specVariable = "WALINK_BENCH_SPEC"

// Weight is what one device costs the process that links it.
type Weight struct {
	// Heap is bytes that are reachable, Stack bytes of goroutine stacks.
	Heap, Stack float64
	Goroutines  float64
}

// load is what to weigh.
type load struct {
	Side   Side
	N      int
	Linked bool
	Dir    string
}

// Weigh measures n devices of a side that show a QR code, or that are linked,
// in a process that does nothing else. The server is in another.
func Weigh(ctx context.Context, dir string, side Side, n int, linked bool) (weight Weight, err error) {
	cmd, err := self(ctx, roleMemory)
	if err != nil {
		return weight, err
	}
	spec, err := json.Marshal(load{side, n, linked, dir})
	if err != nil {
		return weight, err
	}
	cmd.Env = append(cmd.Env, specVariable+"="+string(spec))
	out, err := cmd.Output()
	if err != nil {
		return weight, wrap(side, err)
	}
	err = json.Unmarshal(out, &weight)
	return weight, wrap(side, err)
}

// weigh is the process of a measurement.
func weigh() error {
	var spec load
	if err := json.Unmarshal([]byte(os.Getenv(specVariable)), &spec); err != nil {
		return err
	}
	ctx := context.Background()
	lab, err := NewLab(ctx, spec.Dir)
	if err != nil {
		return err
	}
	folder, remove, err := lab.folder()
	if err != nil {
		return err
	}
	defer remove()
	// What is synced makes no difference to the memory, and 1000 times 812
	// commits take long.
	db, err := lab.open(ctx, spec.Side, folder, true, false)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()

	// One device first, for what the process makes once.
	first := lab.crowd(db, 1)
	defer first.stop()
	if err := first.each(lab.whole(ctx)); err != nil {
		return err
	}
	before := read()
	crowd := lab.crowd(db, spec.N)
	defer crowd.stop()
	if err := crowd.bring(ctx, lab, spec.Linked); err != nil {
		return err
	}
	after := read()
	n := float64(spec.N)
	return json.NewEncoder(os.Stdout).Encode(Weight{
		Heap:       (float64(after.heap) - float64(before.heap)) / n,
		Stack:      (float64(after.stack) - float64(before.stack)) / n,
		Goroutines: float64(after.goroutines-before.goroutines) / n,
	})
}

// bring brings every member of the crowd to where it is weighed: linked, or
// showing a code with one goroutine that waits for what comes next.
func (c crowd) bring(ctx context.Context, lab *Lab, linked bool) error {
	const atOnce = 8 // so that no code runs out
	turns := make(chan struct{}, atOnce)
	whole := lab.whole(ctx)
	return c.each(func(m *member) error {
		turns <- struct{}{}
		defer func() { <-turns }()
		if linked {
			return whole(m)
		}
		if err := m.show(ctx); err != nil {
			return err
		}
		go func() { _ = m.link.linked() }()
		return nil
	})
}

// whole returns what links a member from beginning to end.
func (l *Lab) whole(ctx context.Context) func(*member) error {
	return func(m *member) error {
		if err := m.show(ctx); err != nil {
			return err
		}
		return m.finish(l)
	}
}

type reading struct {
	heap, stack uint64
	goroutines  int
}

// read returns what is in use once the goroutines that are ending have ended.
func read() (r reading) {
	const calm = 5 // readings in a row with the same number of goroutines
	for same := 0; same < calm; {
		<-time.After(100 * time.Millisecond)
		runtime.GC()
		if n := runtime.NumGoroutine(); n != r.goroutines {
			r.goroutines, same = n, 0
		} else {
			same++
		}
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	r.heap, r.stack = stats.HeapAlloc, stats.StackInuse
	return r
}
