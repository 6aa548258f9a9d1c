package rig

import (
	"context"
	"time"

	"github.com/walink/walink"
)

// Enter enters a pairing code on the phone, which has to take it.
func (r *Rig) Enter(code walink.PairingCode) {
	r.tb.Helper()
	if err := r.Phone.EnterCode(r.tb.Context(), code.Code); err != nil {
		r.tb.Fatalf("the phone says: %v\n%s", err, r.Story())
	}
}

// Scan scans a QR code with the phone, which has to take it.
func (r *Rig) Scan(code walink.QRCode) {
	r.tb.Helper()
	if err := r.Phone.ScanQR(r.tb.Context(), code.Payload); err != nil {
		r.tb.Fatalf("the phone says: %v\n%s", err, r.Story())
	}
}

// Take enters the code or scans the QR code of an event. It does so in its own
// goroutine and for two minutes at most, as the phone may be refused, or wait.
// Take ignores every other event.
func (r *Rig) Take(ctx context.Context, event walink.Event) {
	take := func(take func(context.Context, string) error, code string) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		go func() {
			defer cancel()
			_ = take(ctx, code)
		}()
	}
	switch e := event.(type) {
	case walink.PairingCode:
		take(r.Phone.EnterCode, e.Code)
	case walink.QRCode:
		take(r.Phone.ScanQR, e.Payload)
	default:
	}
}

// TakeFirst takes the first code that a Supervise shows, and reads until Linked.
func (r *Rig) TakeFirst() walink.Linked {
	r.tb.Helper()
	for {
		switch e := r.Next().(type) {
		case walink.PairingCode:
			r.Enter(e)
		case walink.QRCode:
			r.Scan(e)
		default:
			continue
		}
		return Await[walink.Linked](r)
	}
}

// TakeUntilLinked takes every code that the Linker shows, until it is linked.
func (r *Rig) TakeUntilLinked() {
	r.tb.Helper()
	for event := range r.Rest() {
		r.Take(r.tb.Context(), event)
	}
	r.Linked()
}
