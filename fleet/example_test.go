package fleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/walink/walink"
	"github.com/walink/walink/fleet"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
)

// A service of any number of processes on one database. Its arguments are the address at which
// the others reach this process, and the database. A request goes to whoever has the session.
func Example_replicas() { //nolint:testableexamples // it serves until a signal comes
	st, err := sqlite.Open(context.Background(), os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	f, err := fleet.New(st, fleet.Settings{Holder: os.Args[1]})
	if err != nil {
		log.Fatal(err)
	}
	handle := func(pattern string, do func(r *http.Request, session string) (any, error)) {
		http.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			body, err := do(r, r.PathValue("session"))
			if busy, ok := errors.AsType[*store.BusyError](err); ok && busy.Lease.Holder != os.Args[1] { // another process has the session
				httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: busy.Lease.Holder}).ServeHTTP(w, r)
			} else if err != nil {
				http.Error(w, err.Error(), http.StatusConflict)
			} else {
				_ = json.NewEncoder(w).Encode(body)
			}
		})
	}
	handle("GET /sessions", func(r *http.Request, _ string) (any, error) { return f.Sessions(r.Context()) })
	handle("DELETE /sessions/{session}", func(r *http.Request, s string) (any, error) { return f.Unlink(r.Context(), s) })
	handle("POST /sessions/{session}", func(r *http.Request, name string) (any, error) {
		err := f.Link(r.Context(), name, walink.Settings{})
		for u := range f.Watch(r.Context(), name) {
			if s := u.Status.State; err != nil || s != walink.StateConnecting && s != walink.StateRetrying {
				return u.Publish(), err
			}
		}
		return nil, err
	})
	go func() { log.Fatal(http.ListenAndServe(os.Args[1], nil)) }()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log.Print(f.Run(ctx)) // closes the Fleet
	_ = st.Close()
}
