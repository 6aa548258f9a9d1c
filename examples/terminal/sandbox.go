package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/walinktest"
)

const (
	// The default databases of the sandbox, which no real session uses. Each way to link
	// has its own file, so that the first run of each way shows a code.
	sandboxDB        = "walink-sandbox.db"
	sandboxQRDB      = "walink-sandbox-qr.db"
	sandboxBothDB    = "walink-sandbox-both.db"
	sandboxPasskeyDB = "walink-sandbox-passkey.db" //nolint:gosec // the name of a file
	// sandboxPhone is the account of the simulated phone without -phone.
	sandboxPhone = "+55 11 98765-4321"
	// thinking is how long the simulated phone takes to do what the screen says.
	thinking = 3 * time.Second
)

// sandbox is a simulated WhatsApp inside the process, with a phone that does what a
// person would do.
type sandbox struct {
	server *walinktest.Server
	phone  *walinktest.Phone
	says   chan string   // what the phone does, for the screen
	news   chan struct{} // ready if the screen shows something new
	cancel context.CancelFunc
	done   sync.WaitGroup
	pause  time.Duration   // how long the phone takes to act
	ctx    context.Context // the life of the phone and the browser

	mu            sync.Mutex
	code, payload string // what the screen shows and the phone has not used yet
}

// startSandbox starts a simulated WhatsApp that knows the devices of st, so that Link
// resumes them although the server that linked them has ended with its process.
func startSandbox(ctx context.Context, st store.Store, number string, wantsPasskey bool, pause time.Duration) (*sandbox, error) {
	server, err := walinktest.Start()
	if err != nil {
		return nil, err
	}
	var options []walinktest.PhoneOption
	if wantsPasskey {
		options = append(options, walinktest.WithPasskey())
	}
	s := &sandbox{
		server: server, phone: server.NewPhone(number, options...),
		says: make(chan string), news: make(chan struct{}, 1), pause: pause,
	}
	if err := s.restore(ctx, st); err != nil {
		server.Close()
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.done.Go(func() { s.run(s.ctx) })
	return s, nil
}

// Close shuts the phone and the server down.
func (s *sandbox) Close() {
	s.cancel()
	s.done.Wait()
	s.server.Close()
}

// restore makes the devices of earlier runs known to the server. Otherwise the server
// would give the address of an old device to the next one, and the store would take the
// old link for ended.
func (s *sandbox) restore(ctx context.Context, st store.Store) error {
	sessions, err := st.Sessions(ctx)
	if err != nil {
		return err
	}
	if st, ok := st.(*sqlite.Store); ok {
		if others, err := st.Adoptable(ctx); err != nil || len(others) > 0 {
			return errors.Join(err, errors.New("it has devices of another whatsmeow program"))
		}
	}
	owners := map[string]*walinktest.Phone{s.phone.JID().User: s.phone}
	for _, session := range sessions {
		device, err := st.Device(ctx, session.Name)
		if err != nil {
			return err
		}
		if device.ID == nil {
			continue // another process has deleted it
		}
		owner := owners[device.ID.User]
		if owner == nil {
			owner = s.server.NewPhone(device.ID.User)
			owners[device.ID.User] = owner
		}
		if err := owner.Restore(ctx, device); err != nil {
			return fmt.Errorf("session %q: %w", session.Name, err)
		}
	}
	return nil
}

// See shows the phone what the screen shows.
func (s *sandbox) See(event walink.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e := event.(type) {
	case walink.PairingCode:
		s.code = e.Code
	case walink.QRCode:
		s.payload = e.Payload
	case walink.Withdrawn:
		switch e.Method {
		case walink.MethodPairing:
			s.code = ""
		case walink.MethodQR:
			s.payload = ""
		}
	case walink.PasskeyRequired, walink.Paired, walink.Linked, walink.Failed:
		s.code, s.payload = "", ""
	case walink.Connecting, walink.PasskeyConfirmation, walink.Retrying, walink.Disconnected, walink.Reconnected, walink.Standby:
	}
	if s.code != "" || s.payload != "" {
		select {
		case s.news <- struct{}{}:
		default:
		}
	}
}

// run is the person at the phone, who enters each new code or scans each new QR code
// after the pause.
func (s *sandbox) run(ctx context.Context) {
	for {
		select {
		case <-s.news:
		case <-ctx.Done():
			return
		}
		s.say(ctx, fmt.Sprintf("acts by itself in %.0f s, you need to do nothing", s.pause.Seconds()))
		select {
		case <-time.After(s.pause):
		case <-ctx.Done():
			return
		}
		var err error
		switch code, payload := s.take(); {
		case code != "":
			s.say(ctx, "enters the code")
			err = s.phone.EnterCode(ctx, code)
		case payload != "":
			s.say(ctx, "scans the QR code")
			err = s.phone.ScanQR(ctx, payload)
		}
		if err != nil && ctx.Err() == nil {
			s.say(ctx, fmt.Sprintf("shows %q", err))
		}
	}
}

// take returns what the screen shows, each code once.
func (s *sandbox) take() (code, payload string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	code, payload = s.code, s.payload
	s.code, s.payload = "", ""
	return code, payload
}

// say shows what the phone does.
func (s *sandbox) say(ctx context.Context, line string) { s.show(ctx, "simulated phone: "+line) }

// show hands a line over to the screen.
func (s *sandbox) show(ctx context.Context, line string) {
	select {
	case s.says <- line:
	case <-ctx.Done():
	}
}
