// Command table measures walink beside plain whatsmeow and prints the table of
// docs/performance.md. Progress goes to the standard error. It fails only when
// something does not link, never because of a time.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/walink/walink/bench/internal/measure"
)

func main() {
	measure.Child()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(1)
	}
}

// size is how much is measured.
type size struct {
	code, qr, linked, together int // samples
	crowd                      int
	memory                     []int
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("table", flag.ContinueOnError)
	quick := flags.Bool("quick", false, "fewer samples and devices")
	only := flags.String("only", "", "measure only the rows with this in their name")
	under := flags.String("dir", "", "where to make the databases; the folder for temporary files otherwise")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(*under, "walink-bench-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	amount := size{code: 200, qr: 600, linked: 20, together: 1, crowd: 200, memory: []int{200, 1000}}
	if *quick {
		amount = size{code: 20, qr: 60, linked: 5, together: 1, crowd: 20, memory: []int{50}}
	}
	if err := machine(out, dir); err != nil {
		return err
	}
	for _, rows := range []func() error{
		func() error { return times(ctx, out, dir, amount, *only) },
		func() error { return memory(ctx, out, dir, amount, *only) },
	} {
		if err := rows(); err != nil {
			return err
		}
	}
	return nil
}

// machine prints what the numbers were measured on.
func machine(out io.Writer, dir string) error {
	sync, err := measure.SyncTime(dir)
	if err != nil {
		return err
	}
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "go.mau.fi/whatsmeow" {
				version = module.Version
			}
		}
	}
	_, err = fmt.Fprintf(out, "%s, %s/%s, %d cores; whatsmeow %s; a synced write of 4 KiB takes %s here\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), version, measure.Short(sync))
	return err
}

func times(ctx context.Context, out io.Writer, dir string, amount size, only string) error {
	lab, err := measure.NewLab(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { _ = lab.Close() }()
	shown := func(method measure.Method) func() (measure.Sample, func(), error) {
		return func() (measure.Sample, func(), error) { return lab.Shown(ctx, method) }
	}
	plain := func(sample measure.Sample) func() (measure.Sample, func(), error) {
		return func() (measure.Sample, func(), error) { return sample, func() {}, nil }
	}
	measure.Header(out, "time", "walink", "whatsmeow", "ratio", "95 %", "undisturbed", "longest", "goal", "pairs")
	for _, row := range []struct {
		name, goal string
		n          int
		sample     func() (measure.Sample, func(), error)
	}{
		{"New to pairing code", "≤ 1.02", amount.code, shown(measure.Code)},
		{"New to first QR code", "≤ 1.02", amount.qr, shown(measure.QR)},
		{"pairing code entered to Linked", "≤ 0.33", amount.linked, plain(lab.Linked(measure.Code))},
		{"QR code scanned to Linked", "≤ 0.33", amount.linked, plain(lab.Linked(measure.QR))},
		{fmt.Sprintf("%d linked into one file", amount.crowd), "< 0.1", amount.together, plain(lab.Together(amount.crowd))},
	} {
		if !strings.Contains(row.name, only) {
			continue
		}
		progress(row.name)
		sample, done, err := row.sample()
		if err != nil {
			return err
		}
		c, err := measure.Compare(ctx, row.n, sample)
		done()
		if err != nil {
			return fmt.Errorf("%s: %w", row.name, err)
		}
		median, best := c.Median(), c.Undisturbed()
		measure.Line(out, row.name, measure.Short(median.Walink), measure.Short(median.Plain), fmt.Sprintf("%.3f", median.Ratio),
			fmt.Sprintf("%.3f–%.3f", median.Low, median.High), fmt.Sprintf("%.3f", best.Ratio),
			measure.Short(slices.Max(c.Walink))+" / "+measure.Short(slices.Max(c.Plain)), row.goal, fmt.Sprint(row.n))
	}
	return nil
}

func memory(ctx context.Context, out io.Writer, dir string, amount size, only string) error {
	_, _ = fmt.Fprintln(out)
	measure.Header(out, "per device", "walink heap", "whatsmeow heap", "ratio", "goal", "stacks", "goroutines")
	for _, linked := range []bool{false, true} {
		for _, n := range amount.memory {
			name := fmt.Sprintf("%d %s", n, map[bool]string{false: "waiting", true: "linked"}[linked])
			if !strings.Contains(name, only) {
				continue
			}
			progress(name)
			var weight [2]measure.Weight
			for i, side := range measure.Sides() {
				var err error
				if weight[i], err = measure.Weigh(ctx, dir, side, n, linked); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			measure.Line(out, name, kibi(weight[0].Heap), kibi(weight[1].Heap), fmt.Sprintf("%.3f", weight[0].Heap/weight[1].Heap), "≤ 1.05",
				kibi(weight[0].Stack)+" / "+kibi(weight[1].Stack),
				fmt.Sprintf("%.2f / %.2f", weight[0].Goroutines, weight[1].Goroutines))
		}
	}
	return nil
}

func progress(name string) {
	fmt.Fprintf(os.Stderr, "%s %s\n", time.Now().Format(time.TimeOnly), name)
}

func kibi(bytes float64) string { return fmt.Sprintf("%.1f KiB", bytes/1024) }
