//go:build unix

// Command fleetload measures what many sessions in one process cost: with walink's fleet,
// and with plain whatsmeow clients, on the same database and in front of the same fake
// WhatsApp. Each measurement has its own process, and so has the server.
//
//	go run ./fleetload -n 200,1000 -db sqlite,postgres,memory
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver named "pgx"
	"go.mau.fi/whatsmeow/store/sqlstore"
	_ "modernc.org/sqlite" // the driver named "sqlite"

	"github.com/walink/walink/internal/fleetload"
	"github.com/walink/walink/internal/pgserver"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/postgres"
)

// databases returns the kinds of databases by name.
func databases() map[string]fleetload.Database {
	return map[string]fleetload.Database{"sqlite": fleetload.SQLite(), "memory": fleetload.Memory(), "postgres": {
		Open: func(ctx context.Context, url string) (store.Store, error) { return postgres.Open(ctx, url) },
		Plain: func(ctx context.Context, url string) (*sqlstore.Container, error) {
			db, err := sql.Open("pgx", url)
			if err != nil {
				return nil, err
			}
			st := sqlstore.NewWithDB(db, "postgres", nil)
			err = st.Upgrade(ctx)
			return st, err
		},
	}}
}

func main() {
	counts := flag.String("n", "200,1000", "how many sessions")
	kinds := flag.String("db", "sqlite,postgres,memory", "on which databases")
	idle := flag.Duration("idle", time.Minute, "how long nothing happens")
	rounds := flag.Int("rounds", 1, "how often each is measured")
	profile := flag.String("profile", "", "a directory for profiles of the CPU, in the logins and while idle, and of the heap")
	flag.Parse()
	var err error
	switch flag.Arg(0) {
	case "server":
		err = fleetload.Serve()
	case "job":
		var j fleetload.Job
		if err = json.Unmarshal([]byte(flag.Arg(1)), &j); err == nil {
			err = j.Run(context.Background(), databases()[j.Kind])
		}
	default:
		err = all(context.Background(), strings.Split(*counts, ","), strings.Split(*kinds, ","), *idle, *rounds, *profile)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fleetload:", err)
		os.Exit(1)
	}
}

func all(ctx context.Context, counts, kinds []string, idle time.Duration, rounds int, profile string) error {
	fmt.Printf("%-9s %6s  %-9s %9s %12s %11s %9s %9s %9s\n", "database", "n", "client", "resume", "heap/session", "goroutines", "RSS", "idle CPU", "writes/s")
	for _, count := range counts {
		n, err := strconv.Atoi(count)
		if err != nil {
			return err
		}
		for _, kind := range kinds {
			for range rounds {
				if err := compare(ctx, kind, n, idle, profile); err != nil {
					return fmt.Errorf("%s, %d sessions: %w", kind, n, err)
				}
			}
		}
	}
	return nil
}

// compare measures both clients on one database.
func compare(ctx context.Context, kind string, n int, idle time.Duration, profile string) error {
	dir, err := os.MkdirTemp("", "fleetload")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	place, count, done, err := prepare(ctx, kind, dir)
	if err != nil {
		return err
	}
	defer done()
	job := fleetload.Job{Kind: kind, Place: place, N: n}
	if databases()[kind].Plain != nil {
		if _, err := job.Measure(self, nil); err != nil {
			return err
		}
	}
	job.Idle, job.Profile = idle, profile
	var samples []fleetload.Sample
	for _, client := range []fleetload.Client{fleetload.Whatsmeow, fleetload.Walink} {
		var changes int64
		job.Client = client
		s, err := job.Measure(self, func() (err error) {
			if count != nil {
				changes, err = count(ctx, idle)
			}
			return err
		})
		if err != nil {
			return err
		}
		samples = append(samples, s)
		row(kind, n, string(client), fmt.Sprintf("%.2f s", s.Resume.Seconds()), fmt.Sprintf("%.1f KiB", s.Heap/1024), fmt.Sprintf("%.2f", s.Goroutines),
			fmt.Sprintf("%.0f MiB", s.RSS/(1<<20)), fmt.Sprintf("%.2f %%", 100*s.Idle), fmt.Sprintf("%.2f", float64(changes)/idle.Seconds()))
	}
	a, b := samples[1], samples[0]
	row(kind, n, "ratio", ratio(a.Resume.Seconds(), b.Resume.Seconds()), ratio(a.Heap, b.Heap), fmt.Sprintf("%+.2f", a.Goroutines-b.Goroutines),
		ratio(a.RSS, b.RSS), ratio(a.Idle, b.Idle), "")
	return nil
}

// self returns a command that runs this program.
func self(args ...string) *exec.Cmd {
	return exec.CommandContext(context.Background(), os.Args[0], args...) //nolint:gosec // it is this program
}

func row(kind string, n int, cells ...any) {
	fmt.Printf("%-9s %6d  %-9s %9s %12s %11s %9s %9s %9s\n", append([]any{kind, n}, cells...)...)
}

func ratio(a, b float64) string { return fmt.Sprintf("%.2f", a/b) }

// prepare makes an empty database. count counts its transactions that have changed
// something.
func prepare(ctx context.Context, kind, dir string) (place string, count func(context.Context, time.Duration) (int64, error), done func(), err error) {
	switch kind {
	case "sqlite":
		place = filepath.Join(dir, "fleet.db")
		return place, func(ctx context.Context, d time.Duration) (int64, error) { return changes(ctx, place, d) }, func() {}, nil
	case "memory":
		return "", nil, func() {}, nil
	case "postgres":
		server, err := pgserver.Init(ctx, "")
		if err != nil {
			return "", nil, nil, err
		}
		done = func() { _ = server.Close(ctx) }
		if err := server.Start(ctx); err != nil {
			return "", nil, nil, errors.Join(err, server.Close(ctx))
		}
		place = server.URL("postgres")
		return place, func(ctx context.Context, d time.Duration) (int64, error) { return commits(ctx, place, d) }, done, nil
	}
	return "", nil, nil, fmt.Errorf("no database %q", kind)
}

// changes watches an SQLite file, a hundred times a second.
func changes(ctx context.Context, path string, d time.Duration) (n int64, err error) {
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for last, end := int64(0), time.Now().Add(d); time.Now().Before(end); <-ticker.C {
		var version int64
		if err := db.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
			return 0, err
		}
		if last != 0 && version != last {
			n++
		}
		last = version
	}
	return n, nil
}

// commits reads the number of the next transaction that changes something.
func commits(ctx context.Context, url string, d time.Duration) (int64, error) {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	read := func() (n int64, err error) {
		err = db.QueryRowContext(ctx, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").Scan(&n)
		return n, err
	}
	before, err := read()
	if err != nil {
		return 0, err
	}
	<-time.After(d)
	after, err := read()
	return after - before, err
}
