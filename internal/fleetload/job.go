package fleetload

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	_ "modernc.org/sqlite" // the driver named "sqlite"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/sqlite"
)

// Database is a kind of database.
type Database struct {
	// Open opens walink's Store at a path or URL.
	Open func(ctx context.Context, place string) (store.Store, error)
	// Plain opens whatsmeow's sqlstore there. It is nil for a database that ends with its
	// process: then both clients use walink's Store, which each process prepares.
	Plain func(ctx context.Context, place string) (*sqlstore.Container, error)
}

// SQLite is a file, with the journal and the syncs of store/sqlite for both.
func SQLite() Database {
	return Database{
		Open: func(ctx context.Context, place string) (store.Store, error) { return sqlite.Open(ctx, place) },
		Plain: func(ctx context.Context, place string) (*sqlstore.Container, error) {
			db, err := sql.Open("sqlite", "file:"+place+"?"+url.Values{"_pragma": {
				"busy_timeout(5000)", "foreign_keys(1)", "journal_mode(WAL)", "synchronous(FULL)",
			}}.Encode())
			if err != nil {
				return nil, err
			}
			db.SetMaxOpenConns(1)
			st := sqlstore.NewWithDB(db, "sqlite", nil)
			err = st.Upgrade(ctx)
			return st, err
		},
	}
}

// Memory is kv/memory.
func Memory() Database {
	return Database{Open: func(context.Context, string) (store.Store, error) { return kv.New(memory.New()), nil }}
}

// Client is what logs the sessions in.
type Client string

// The clients. Nobody only prepares the database.
const (
	Nobody    Client = ""
	Walink    Client = "walink"
	Whatsmeow Client = "whatsmeow"
)

// Job is what one process does.
type Job struct {
	Kind    string // of the database
	Place   string // its path or URL
	Client  Client
	N       int           // how many sessions
	Idle    time.Duration // how long nothing happens at the end
	Profile string        // a directory for profiles of the CPU, in the logins and while idle, and of the heap; "" is none
	Remote  Remote
}

// Measure runs the job in a new process, in front of a new server. self returns the command
// that calls [Serve] for the argument "server", and [Job.Run] for "job" and a Job in JSON.
// count is called while nothing happens; nil does nothing.
func (j Job) Measure(self func(args ...string) *exec.Cmd, count func() error) (s Sample, err error) {
	remote, err := Start(self("server"))
	if err != nil {
		return s, err
	}
	defer func() { _ = remote.Close() }()
	j.Remote = *remote
	spec, err := json.Marshal(j)
	if err != nil {
		return s, err
	}
	cmd := self("job", string(spec))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return s, err
	}
	if err := cmd.Start(); err != nil {
		return s, err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch {
		case lines.Text() != idleLine:
			err = errors.Join(err, json.Unmarshal(lines.Bytes(), &s))
		case count != nil:
			err = count()
		}
	}
	return s, errors.Join(err, cmd.Wait())
}

const idleLine = "idle" // what the process of a job prints when nothing happens any more

// Run is the process of a Job.
func (j Job) Run(ctx context.Context, db Database) error {
	var st store.Store
	var devices func(context.Context) ([]*wastore.Device, error)
	plain := j.Client == Whatsmeow && db.Plain != nil
	if plain {
		container, err := db.Plain(ctx, j.Place)
		if err != nil {
			return err
		}
		defer container.Close() //nolint:errcheck // the process ends
		devices = container.GetAllDevices
	} else {
		var err error
		if st, err = db.Open(ctx, j.Place); err != nil {
			return err
		}
		defer st.Close() //nolint:errcheck // the process ends
		devices = list(st)
	}
	var err error
	if j.Client == Nobody || db.Plain == nil {
		err = prepareAll(ctx, st, &j.Remote, j.N)
	} else {
		err = j.Remote.knowAll(ctx, devices)
	}
	if err != nil || j.Client == Nobody {
		return err
	}
	if err := j.profile("logins", pprof.StartCPUProfile); err != nil {
		return err
	}
	var s Sample
	if j.Client == Walink {
		s, err = j.fleet(ctx, st)
	} else {
		s, err = j.plain(ctx, devices)
	}
	return errors.Join(err, json.NewEncoder(os.Stdout).Encode(s))
}

// profile has a profile written into its own file, if profiles are wanted.
func (j Job) profile(of string, write func(io.Writer) error) error {
	if j.Profile == "" {
		return nil
	}
	file, err := os.Create(filepath.Join(j.Profile, fmt.Sprint(j.Kind, "-", j.Client, "-", j.N, "-", of, ".prof")))
	if err != nil {
		return err
	}
	return write(file)
}

// list returns what lists the devices of a Store.
func list(st store.Store) func(context.Context) ([]*wastore.Device, error) {
	return func(ctx context.Context) ([]*wastore.Device, error) {
		sessions, err := st.Sessions(ctx)
		var devices []*wastore.Device
		for _, s := range sessions {
			device, deviceErr := st.Device(ctx, s.Name)
			err = errors.Join(err, deviceErr)
			devices = append(devices, device)
		}
		return devices, err
	}
}
