// Command stores measures every store of walink beside whatsmeow's sqlstore
// and prints the tables of docs/performance.md. From its own folder:
//
//	go run .
//
// takes about a quarter of an hour, and with -short less than a minute, for CI. In
// each round every backend does the same once, one after the other, so that
// what disturbs the machine disturbs them alike. PostgreSQL and Redis are
// started for it; where one is not installed its rows are left out, and a line
// says so. It fails only when a store does, never because of a time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "stores:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("stores", flag.ContinueOnError)
	short := flags.Bool("short", false, "take seconds: one round of next to nothing")
	rounds := flags.Int("rounds", 0, "how often everything is measured")
	only := flags.String("only", "", "measure only the columns with this in their name")
	rows := flags.String("rows", "", "measure only the backends with one of these in their name, separated by commas")
	under := flags.String("dir", "", "where to keep the stores; the folder for temporary files otherwise")
	profile := flags.String("cpuprofile", "", "write a CPU profile to this file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	amount := size{rounds: 3, opens: 5, sessions: 10_000, preKeys: 812, messages: 1000}
	if *short {
		amount = size{rounds: 1, opens: 1, sessions: 20, preKeys: 10, messages: 64}
	}
	if *rounds > 0 {
		amount.rounds = *rounds
	}
	dir, err := os.MkdirTemp(*under, "walink-stores-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // the server of another user is in it
		return err
	}
	if err := machine(out, dir, amount); err != nil {
		return err
	}
	list, stop, err := backends(ctx, out, dir)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(b backend) bool {
		return !slices.ContainsFunc(strings.Split(*rows, ","), func(part string) bool { return strings.Contains(b.name, part) })
	})
	if *profile != "" {
		file, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	results := newResults(list)
	for _, w := range works(amount, results.disk) {
		if !slices.ContainsFunc(w.columns, func(column string) bool { return strings.Contains(column, *only) }) {
			continue
		}
		progress(w.columns[0])
		if err := measureWork(ctx, w, list, amount.rounds, results); err != nil {
			return err
		}
	}
	results.print(out)
	return nil
}

// backends returns what there is on this machine, and says what there is not.
func backends(ctx context.Context, out io.Writer, dir string) (list []backend, stop func() error, err error) {
	var stops []func() error
	stop = func() error {
		var errs []error
		for _, stop := range stops {
			errs = append(errs, stop())
		}
		return errors.Join(errs...)
	}
	list = inFiles(dir)
	pg, err := startPostgres(ctx, dir)
	network := server
	switch {
	case errors.Is(err, exec.ErrNotFound):
		network = tuned
		_, _ = fmt.Fprint(out, "PostgreSQL is not installed here, so the rows on it are not measured.\n\n")
	case err != nil:
		return nil, stop, err
	default:
		stops = append(stops, func() error { return pg.Close(context.WithoutCancel(ctx)) })
		list = append(list, onPostgres(pg)...)
	}
	rd, err := startRedis(ctx, dir)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		_, _ = fmt.Fprint(out, "Redis is not installed here, so kv/redis is not measured.\n\n")
	case err != nil:
		return nil, stop, err
	default:
		stops = append(stops, rd.Close)
		list = append(list, onRedis(rd, network)...)
	}
	return list, stop, nil
}

// measureWork takes the samples of all backends in turns, from the first to the
// last and back.
func measureWork(ctx context.Context, w work, list []backend, rounds int, results *results) error {
	samplers := make([]sampler, len(list))
	for i, b := range list {
		var err error
		if samplers[i], err = w.begin(ctx, b); err != nil {
			return fmt.Errorf("%s: %s: %w", b.name, w.columns[0], err)
		}
	}
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	for range rounds {
		for _, i := range order {
			if results.failed(list[i], w) {
				continue
			}
			times, err := samplers[i].sample(ctx)
			switch {
			case err != nil && list[i].name == usual && strings.Contains(err.Error(), "locked"):
				results.fail(list[i], w, "database is locked")
			case err != nil:
				return fmt.Errorf("%s: %s: %w", list[i].name, w.columns[0], err)
			default:
				results.add(list[i], w, times)
			}
		}
		slices.Reverse(order)
	}
	for i, b := range list {
		if err := samplers[i].end(ctx); err != nil {
			return fmt.Errorf("%s: %s: %w", b.name, w.columns[0], err)
		}
	}
	return nil
}

func progress(name string) {
	fmt.Fprintf(os.Stderr, "%s %s\n", time.Now().Format(time.TimeOnly), name)
}
