package rig

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/walink/walink"
)

// Link starts a Link.
func (r *Rig) Link(ctx context.Context) {
	r.tb.Helper()
	r.start(r.Linker.Link(ctx))
}

// LinkByQR links, with a person who scans the first QR code.
func (r *Rig) LinkByQR() walink.Linked {
	r.tb.Helper()
	r.Link(r.tb.Context())
	r.Scan(Await[walink.QRCode](r))
	return r.Linked()
}

// Supervise starts a Supervise.
func (r *Rig) Supervise(ctx context.Context) {
	r.tb.Helper()
	r.start(r.Linker.Supervise(ctx))
}

// SuperviseByQR starts a Supervise, with a person who scans the first QR code,
// and returns the first Linked.
func (r *Rig) SuperviseByQR() walink.Linked {
	r.tb.Helper()
	r.Supervise(r.tb.Context())
	r.Scan(Await[walink.QRCode](r))
	return Await[walink.Linked](r)
}

func (r *Rig) start(events <-chan walink.Event, err error) {
	r.tb.Helper()
	if err != nil {
		r.tb.Fatal(err)
	}
	r.events, r.Seen = events, nil
}

// Next returns the next event.
func (r *Rig) Next() walink.Event {
	r.tb.Helper()
	event, ok := <-r.events
	return r.saw(event, ok)
}

// NextBefore returns the next event, or false if there is none until the
// deadline. It is for bubbles only.
func (r *Rig) NextBefore(deadline time.Time) (walink.Event, bool) {
	r.tb.Helper()
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case event, ok := <-r.events:
		return r.saw(event, ok), true
	case <-timer.C:
		return nil, false
	}
}

func (r *Rig) saw(event walink.Event, ok bool) walink.Event {
	r.tb.Helper()
	if !ok {
		r.tb.Fatalf("no event follows\n%s", r.Story())
	}
	r.Seen = append(r.Seen, event)
	return event
}

// Await reads until an event of type E, and returns it.
func Await[E walink.Event](r *Rig) E {
	r.tb.Helper()
	for {
		if event, ok := r.Next().(E); ok {
			return event
		}
	}
}

// Drift reads events until the time has passed, and returns those of type E. It is for
// bubbles only.
func Drift[E walink.Event](r *Rig, d time.Duration) (seen []E) {
	r.tb.Helper()
	for end := time.Now().Add(d); ; {
		event, ok := r.NextBefore(end)
		if !ok {
			return seen
		}
		if e, ok := event.(E); ok {
			seen = append(seen, e)
		}
	}
}

// Rest reads until the channel is closed.
func (r *Rig) Rest() iter.Seq[walink.Event] {
	return func(yield func(walink.Event) bool) {
		for event := range r.events {
			r.Seen = append(r.Seen, event)
			if !yield(event) {
				return
			}
		}
	}
}

// Linked reads until the channel is closed, and returns the last event, which
// has to be a Linked.
func (r *Rig) Linked() walink.Linked {
	r.tb.Helper()
	return last[walink.Linked](r)
}

// Failed reads until the channel is closed, and returns the error of the last
// event, which has to be a Failed.
func (r *Rig) Failed() *walink.Error {
	r.tb.Helper()
	return last[walink.Failed](r).Err
}

func last[E walink.Event](r *Rig) E {
	r.tb.Helper()
	for range r.Rest() {
	}
	var event E
	ok := len(r.Seen) > 0
	if ok {
		event, ok = r.Seen[len(r.Seen)-1].(E)
	}
	if !ok {
		r.tb.Fatalf("the last event is not %s:\n%s", event.Kind(), r.Story())
	}
	return event
}

// Kinds returns the kinds of the events in Seen, with spaces between them.
func (r *Rig) Kinds() string {
	kinds := make([]string, len(r.Seen))
	for i, event := range r.Seen {
		kinds[i] = string(event.Kind())
	}
	return strings.Join(kinds, " ")
}

// Story returns the events in Seen, one a line.
func (r *Rig) Story() string {
	var b strings.Builder
	for _, event := range r.Seen {
		fmt.Fprintf(&b, "  %s %v\n", event.Kind(), event)
	}
	return b.String()
}
