package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/walink/walink/bench/internal/measure"
)

// results are the times of all backends.
type results struct {
	list    []backend
	columns []string
	times   map[cell][]time.Duration
	words   map[cell]string // instead of a time
	bytes   map[string]int64
}

type cell struct{ backend, column string }

func newResults(list []backend) *results {
	return &results{list: list, times: map[cell][]time.Duration{}, words: map[cell]string{}, bytes: map[string]int64{}}
}

func (r *results) see(w work) {
	if !slices.Contains(r.columns, w.columns[0]) {
		r.columns = append(r.columns, w.columns...)
	}
}

func (r *results) add(b backend, w work, times []time.Duration) {
	r.see(w)
	for i, column := range w.columns {
		at := cell{b.name, column}
		r.times[at] = append(r.times[at], times[i])
	}
}

func (r *results) fail(b backend, w work, why string) {
	r.see(w)
	for _, column := range w.columns {
		r.words[cell{b.name, column}] = why
	}
}

func (r *results) failed(b backend, w work) bool { return r.words[cell{b.name, w.columns[0]}] != "" }

func (r *results) disk(b backend, bytes int64) { r.bytes[b.name] = bytes }

// print prints what is durable, the times, and how they compare.
func (r *results) print(out io.Writer) {
	measure.Header(out, "backend", "what a crash can no longer take when a write returns", "bytes on disk per session")
	for _, b := range r.list {
		bytes := "–"
		if n, ok := r.bytes[b.name]; ok {
			bytes = fmt.Sprint(n)
		}
		measure.Line(out, b.name, b.durable, bytes)
	}
	_, _ = fmt.Fprintln(out)
	measure.Header(out, append([]string{"median, ± half of the quartiles' distance"}, r.columns...)...)
	for _, b := range r.list {
		r.line(out, b, r.time)
	}
	_, _ = fmt.Fprintln(out)
	measure.Header(out, append([]string{"times as fast as its rival, 95 %"}, r.columns...)...)
	for _, b := range r.list {
		if b.rival != "" {
			b.name += " : " + b.rival
			r.line(out, b, r.ratio)
		}
	}
}

func (r *results) line(out io.Writer, b backend, cellOf func(b backend, column string) string) {
	cells := []string{b.name}
	b.name, _, _ = strings.Cut(b.name, " : ")
	for _, column := range r.columns {
		cells = append(cells, cellOf(b, column))
	}
	measure.Line(out, cells...)
}

func (r *results) time(b backend, column string) string {
	at := cell{b.name, column}
	times := r.times[at]
	if r.words[at] != "" || len(times) == 0 {
		return r.words[at]
	}
	middle := median(times)
	spread := float64(measure.Quantile(times, 0.75)-measure.Quantile(times, 0.25)) / 2 / float64(middle)
	return fmt.Sprintf("%s ± %.0f %%", measure.Short(middle), 100*spread)
}

func (r *results) ratio(b backend, column string) string {
	c := measure.Comparison{Walink: r.times[cell{b.name, column}], Plain: r.times[cell{b.rival, column}]}
	if len(c.Walink) == 0 || len(c.Walink) != len(c.Plain) {
		return "–"
	}
	e := c.Median()
	return fmt.Sprintf("**%.3g** (%.3g–%.3g)", 1/e.Ratio, 1/e.High, 1/e.Low)
}

func median(times []time.Duration) time.Duration { return measure.Quantile(times, 0.5) }

// machine prints what the numbers were measured on.
func machine(out io.Writer, dir string, amount size) error {
	sync, err := measure.SyncTime(dir)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s, %s/%s, %d cores of %s; %s; a synced write of 4 KiB takes %s; %d rounds of %d messages\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), processor(), fileSystem(dir), measure.Short(sync),
		amount.rounds, amount.messages)
	return err
}
