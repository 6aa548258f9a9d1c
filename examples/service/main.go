// Command service links WhatsApp accounts for other programs, by JSON over HTTP, and keeps them connected. It shows how
// to embed walink in a service. Processes with one database share the sessions.
//
//	go run ./examples/service -sandbox
//
// simulates WhatsApp, and prints a command to begin with. Without -sandbox the service links real accounts.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.mau.fi/whatsmeow"

	"github.com/walink/walink"
	"github.com/walink/walink/fleet"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/postgres"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/walinktest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		log.Fatalln("service:", err)
	}
}

// run serves until ctx ends, which is no error.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("service", flag.ExitOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "the `address` to serve on")
	db := flags.String("db", "", "the `file` or postgres:// URL that keeps the sessions (default \"service.db\")")
	key := flags.String("key", "", "the `key` that requests must have (default a new one, which is printed)")
	holder := flags.String("holder", "", "the `address` at which others reach this process (default that of -addr)")
	sandbox := flags.Bool("sandbox", false, "simulate WhatsApp and phones that act by themselves; nothing is kept")
	sandboxAt := flags.String("sandbox-at", "", "the control `URL` of a fakewa (default -db \"service-sandbox.db\")")
	_ = flags.Parse(args)
	whatsapp, path, onUpdate, err := openSandbox(ctx, *sandbox, *sandboxAt, *db)
	if err != nil {
		return err
	}
	var st store.Store
	if strings.Contains(path, "://") {
		st, err = postgres.Open(ctx, path)
	} else {
		st, err = sqlite.Open(ctx, path)
	}
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	f, err := fleet.New(st, fleet.Settings{
		Defaults: walink.Settings{DeviceName: "Support desk", HTTPClient: whatsapp},
		Holder:   cmp.Or(*holder, listener.Addr().String()),
		OnClient: func(_ string, client *whatsmeow.Client) { // here a program adds what it is for
			client.AddEventHandler(func(event any) { log.Printf("WhatsApp has sent %T.", event) })
		},
		OnUpdate: onUpdate,
	})
	if err != nil {
		return err
	}
	made := rand.Text()
	server := &http.Server{Handler: handler(f, cmp.Or(*key, made)), ReadTimeout: time.Minute} // which ends waits, too
	serving, end := context.WithCancelCause(ctx)
	go func() { end(server.Serve(listener)) }()
	_, _ = fmt.Fprintf(stdout, "ready\nhttp://%s\n", listener.Addr())
	if *key == "" {
		_, _ = fmt.Fprintf(stdout, "%[1]s is the key. Begin with:\n\ncurl -H 'Authorization: Bearer %[1]s' "+
			"-d '{\"phone\":\"+55 11 98765-4321\"}' 'http://%[2]s/sessions/demo/link?wait=25s'\n\n", made, listener.Addr())
	}
	if err := f.Run(serving); err != nil || ctx.Err() == nil {
		return cmp.Or(err, context.Cause(serving))
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second) // others have the sessions already
	defer cancel()
	return server.Shutdown(grace)
}

// openSandbox returns the way to WhatsApp, nil to the real one, the database, and what is done when a session changes.
// A simulated WhatsApp logs out sessions that it does not know, so it has a separate database.
func openSandbox(ctx context.Context, here bool, at, db string) (*http.Client, string, func(fleet.Update), error) {
	onUpdate := func(u fleet.Update) { log.Print(u) } // shows no secrets
	if at != "" {
		client, err := walinktest.FakewaClient(ctx, at)
		return client, cmp.Or(db, "service-sandbox.db"), onUpdate, err
	} else if !here {
		return nil, cmp.Or(db, "service.db"), onUpdate, nil
	}
	server, err := walinktest.Start() // until the program ends
	if err != nil {
		return nil, "", nil, err
	}
	var phones sync.Map // by number: a new one would log out what the old one has linked
	return server.HTTPClient(), ":memory:", func(u fleet.Update) {
		if onUpdate(u); u.Status.State != walink.StateAwaitingPhone || u.Event == nil {
			return
		}
		<-time.After(time.Second) // a person takes longer
		if e, ok := u.Event.(walink.PairingCode); ok {
			first := sync.OnceValue(func() *walinktest.Phone { return server.NewPhone(e.Phone.Digits()) })
			made, _ := phones.LoadOrStore(e.Phone, first)
			phone, _ := made.(func() *walinktest.Phone)
			log.Print("The simulated phone has entered the code. Error: ", phone().EnterCode(ctx, e.Code))
		} else if e, ok := u.Event.(walink.QRCode); ok {
			phone := server.NewPhone(fmt.Sprintf("55119%08d", time.Now().UnixMicro()%1e8))
			log.Print("A simulated phone has scanned the QR code. Error: ", phone.ScanQR(ctx, e.Payload))
		}
	}, nil
}

// handler returns the routes. All but the first need the key, and answer with JSON.
func handler(f *fleet.Fleet, key string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	route := func(pattern string, answer func(w http.ResponseWriter, r *http.Request, session string) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "no-store") // of codes
			hint := &walink.SettingError{Field: "Authorization", Problem: "no key", Fix: "Send the key as a bearer token."}
			body, err := any(nil), error(&walink.Error{Reason: "unauthorized", Err: hint})
			if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+key)) == 1 {
				r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
				body, err = answer(w, r, r.PathValue("name"))
			}
			if err != nil {
				p := problemOf(err)
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(p.Status)
				body = p
			}
			_ = json.NewEncoder(w).Encode(body)
		})
	}
	get := func(_ http.ResponseWriter, r *http.Request, session string) (any, error) {
		s, err := f.Session(r.Context(), session)
		return s.Publish(), err // what a customer may see
	}
	route("GET /sessions/{name}", get)
	route("GET /sessions", func(_ http.ResponseWriter, r *http.Request, _ string) (any, error) {
		all, err := f.Sessions(r.Context())
		for i := range all {
			all[i] = all[i].Publish()
		}
		return append([]fleet.Session{}, all...), err // a list also if it is empty
	})
	route("POST /sessions/{name}/link", func(w http.ResponseWriter, r *http.Request, session string) (any, error) {
		var given struct { // what a customer may choose of walink.Settings, and metadata
			Phone       string
			LinkingMode walink.LinkingMode
			Metadata    map[string]string
		}
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&given); err != nil && !errors.Is(err, io.EOF) { // no body is a link by QR code
			return nil, &walink.Error{Reason: walink.ErrInvalidSettings, Op: "link", Err: err}
		}
		settings := walink.Settings{Phone: given.Phone, LinkingMode: given.LinkingMode}
		settings.PreferPairingCode = given.Phone != "" && given.LinkingMode == ""
		settings.QRFallback = settings.PreferPairingCode
		options := []fleet.LinkOption{fleet.WithMetadata(given.Metadata)}[:min(1, len(given.Metadata))] // or as it was
		if err := f.Link(r.Context(), session, settings, options...); err != nil {
			return nil, err
		}
		wait, _ := time.ParseDuration(r.URL.Query().Get("wait"))
		ctx, cancel := context.WithTimeout(r.Context(), min(wait, 50*time.Second))
		defer cancel()
		for u := range f.Watch(ctx, session) {
			switch u.Status.State {
			case walink.StateConnecting, walink.StateRetrying, walink.StatePaired:
			case walink.StateFailed:
				return nil, u.Status.Err
			default: // a code, a passkey, or linked
				return get(w, r, session)
			}
		}
		w.WriteHeader(http.StatusAccepted)
		return get(w, r, session)
	})
	route("POST /sessions/{name}/stop", func(w http.ResponseWriter, r *http.Request, session string) (any, error) {
		err := f.Stop(r.Context(), session)
		body, getErr := get(w, r, session)
		return body, cmp.Or(err, getErr)
	})
	route("DELETE /sessions/{name}", func(_ http.ResponseWriter, r *http.Request, session string) (any, error) {
		return f.Unlink(r.Context(), session)
	})
	route("/", func(http.ResponseWriter, *http.Request, string) (any, error) { return nil, store.ErrNotFound })
	return mux
}

// problem is an answer that is no success, as in RFC 9457.
type problem struct {
	Status     int           `json:"status"`
	Reason     walink.Reason `json:"reason"`
	Detail     string        `json:"detail,omitempty"`
	Remedy     string        `json:"remedy,omitempty"`
	RetryAfter float64       `json:"retryAfter,omitempty"` // seconds
	Holder     string        `json:"holder,omitempty"`     // the process that has the session
}

func problemOf(err error) problem {
	busy, own := &store.BusyError{}, &walink.Error{Reason: "unavailable", Err: err}
	switch {
	case errors.As(err, &busy):
		hint := &walink.SettingError{Field: "session", Problem: err.Error(), Fix: "Send the request to the holder."}
		own = &walink.Error{Reason: walink.ErrSessionBusy, Err: hint}
	case errors.Is(err, store.ErrNotFound):
		own = &walink.Error{Reason: "not_found", Err: err}
	case errors.As(err, &own):
	}
	status := map[walink.Reason]int{
		walink.ErrInvalidSettings: 400, walink.ErrInvalidPhone: 400, "unauthorized": 401, walink.ErrForbidden: 403,
		walink.ErrBanned: 403, walink.ErrTemporarilyBanned: 403, "not_found": 404, walink.ErrWrongAccount: 409,
		walink.ErrMultideviceOff: 409, walink.ErrSessionBusy: 421, walink.ErrCodeRefused: 422, walink.ErrRateLimited: 429,
	}[own.Reason]
	return problem{cmp.Or(status, 503), own.Reason, own.Error(), own.Remedy(), own.RetryAfter.Seconds(), busy.Lease.Holder}
}
