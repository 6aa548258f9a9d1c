package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/store"
	"github.com/walink/walink/walinktest"
)

const (
	// The default databases of the sandbox, which are never a real one's. Each way
	// to link has its own, so that the first run of each shows it.
	sandboxDB        = "walink-sandbox.db"
	sandboxQRDB      = "walink-sandbox-qr.db"
	sandboxBothDB    = "walink-sandbox-both.db"
	sandboxPasskeyDB = "walink-sandbox-passkey.db" //nolint:gosec // the name of a file
	// sandboxPhone is the account of the simulated phone where no other is asked for.
	sandboxPhone = "+55 11 98765-4321"
	// thinking is how long the simulated phone takes to do what the screen says.
	thinking = 3 * time.Second
)

// sandbox is a WhatsApp inside the process, with a phone that does by itself
// what a person would do.
type sandbox struct {
	server *walinktest.Server
	phone  *walinktest.Phone
	says   chan string   // what the phone does, for the screen
	news   chan struct{} // something new is on the screen
	cancel context.CancelFunc
	done   sync.WaitGroup
	pause  time.Duration   // thinking, or a test's
	ctx    context.Context //nolint:containedctx // the life of the phone and the browser

	mu            sync.Mutex
	code, payload string // on the screen now, and not used yet
}

// startSandbox starts a WhatsApp that knows the devices that st keeps, so that
// they can be resumed although their server has ended with the process that
// linked them.
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

// Close ends the phone and the server.
func (s *sandbox) Close() {
	s.cancel()
	s.done.Wait()
	s.server.Close()
}

// restore tells the server of all devices that earlier runs have linked. It
// would give the address of one that it does not know to the next device, and
// the store would take that for a link that has ended.
func (s *sandbox) restore(ctx context.Context, st store.Store) error {
	sessions, err := st.Sessions(ctx)
	if err != nil {
		return err
	}
	owners := map[string]*walinktest.Phone{s.phone.JID().User: s.phone}
	for _, session := range sessions {
		device, err := st.Device(ctx, session.Name)
		if err != nil {
			return err
		}
		if device.ID == nil {
			continue // deleted by another process meanwhile
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

// See shows the phone what is on the screen.
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
	case walink.Connecting, walink.PasskeyConfirmation, walink.Retrying, walink.Disconnected, walink.Reconnected:
	}
	if s.code != "" || s.payload != "" {
		select {
		case s.news <- struct{}{}:
		default:
		}
	}
}

// run is the person at the phone: whenever there is something new on the screen,
// the code is entered or the QR code scanned after a while.
func (s *sandbox) run(ctx context.Context) {
	for {
		select {
		case <-s.news:
		case <-ctx.Done():
			return
		}
		s.say(ctx, fmt.Sprintf("acts by itself in %.0f s, there is nothing to do for you", s.pause.Seconds()))
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

// take returns what is on the screen, so that the phone does not use it twice.
func (s *sandbox) take() (code, payload string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	code, payload = s.code, s.payload
	s.code, s.payload = "", ""
	return code, payload
}

// say hands what the phone says to the screen.
func (s *sandbox) say(ctx context.Context, line string) { s.show(ctx, "simulated phone: "+line) }

// show hands a line to the screen.
func (s *sandbox) show(ctx context.Context, line string) {
	select {
	case s.says <- line:
	case <-ctx.Done():
	}
}
