package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/postgres"
	"github.com/walink/walink/store/storetest"
)

// newPool makes the pool of a program.
func newPool(t *testing.T, url string, change func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(config)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func openPool(t *testing.T, pool *pgxpool.Pool) *postgres.Store {
	t.Helper()
	st, err := postgres.OpenPool(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// The pool belongs to the program: it works while the Store is open and after that,
// and so does the next Store.
func TestOpenPoolLeavesThePoolOpen(t *testing.T) {
	t.Parallel()
	s := running(t)
	pool := newPool(t, s.url(s.create(t, "")), nil)
	for i := range 2 {
		st := openPool(t, pool)
		if i == 0 {
			storetest.Link(t, st, "default", storetest.JID("5511987654321", 1))
		}
		device, err := st.Device(t.Context(), "default")
		if err != nil || device.ID == nil {
			t.Fatalf("the device is %v, %v", device, err)
		}
		if err := st.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		if err := pool.Ping(t.Context()); err != nil {
			t.Errorf("the pool after Close: %v", err)
		}
		if used := pool.Stat().AcquiredConns(); used != 0 {
			t.Errorf("the Store has %d connections after Close", used)
		}
		if _, err := st.Sessions(t.Context()); err == nil {
			t.Error("a Store that is closed works")
		}
		if err := device.Sessions.PutSession(t.Context(), "1:0", []byte("session")); err == nil {
			t.Error("a device of a Store that is closed works")
		}
	}
}

func TestOpenPoolNamesTheRemedy(t *testing.T) {
	t.Parallel()
	if _, err := postgres.OpenPool(t.Context(), nil); err == nil {
		t.Error("OpenPool of nil succeeded")
	}
	s := running(t)
	closed := newPool(t, s.url("postgres"), nil)
	closed.Close()
	if _, err := postgres.OpenPool(t.Context(), closed); err == nil || !strings.Contains(err.Error(), "closed pool") || remedyOf(err) == "" {
		t.Errorf("OpenPool of a closed pool: %v, remedy %q", err, remedyOf(err))
	}
	behind := "postgres:///" + s.database(t) + "?host=" + bouncer(t, s) + "&port=6432&user=postgres"
	_, err := postgres.OpenPool(t.Context(), newPool(t, behind+"&default_query_exec_mode=describe_exec", nil))
	if err == nil || !strings.HasPrefix(remedyOf(err), "Set DefaultQueryExecMode of the pool to pgx.QueryExecModeExec") {
		t.Errorf("OpenPool of a pool that prepares: %v, remedy %q", err, remedyOf(err))
	}
	st := openPool(t, newPool(t, behind+"&default_query_exec_mode=exec", nil))
	storetest.Link(t, st, "default", storetest.JID("5511987654321", 1))
	if _, _, err := st.TakeLeases(t.Context(), []string{"default"}, store.Holder{ID: "one"}, time.Hour); err != nil {
		t.Errorf("TakeLeases behind PgBouncer: %v", err)
	}
}
