package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/redact"
)

// Update is one change of a session, or its snapshot. It has the secrets that its event and
// its status have; [Update.Publish] says what the person at the phone may see.
type Update struct {
	Session string `json:"session"`
	// Epoch grows with each process, or each time, that has the session: it is the fencing
	// token of its lease. A smaller Epoch than one seen before is a late word of an
	// earlier holder. It is zero as long as this process has not had the session, and
	// again once it has forgotten a session that was unlinked.
	Epoch uint64 `json:"epoch"`
	// Sequence counts the changes within the Epoch from 1.
	Sequence uint64    `json:"sequence"`
	At       time.Time `json:"at"`
	// Event is what happened. It is nil in a snapshot, and if only the state has changed,
	// for example by Stop. MarshalJSON of the Update writes it in full;
	// json.Marshal of the Event alone redacts it.
	Event walink.Event `json:"event,omitempty"`
	// Status is the state after the Event.
	Status walink.Status `json:"status"`
	// Metadata is what the last Link was given. It must not be changed.
	Metadata map[string]string `json:"metadata,omitempty"`
}

// Publish returns the update without what only those who run the program may see, as
// [walink.Publish].
func (u Update) Publish() Update {
	if u.Event != nil {
		u.Event = walink.Publish(u.Event)
	}
	u.Status = u.Status.Publish()
	return u
}

// MarshalJSON writes the update in full, with its secrets.
func (u Update) MarshalJSON() ([]byte, error) {
	type plain Update // without methods
	out := struct {
		plain
		Event json.RawMessage `json:"event,omitempty"` // in place of plain's, which is deeper
	}{plain: plain(u)}
	if u.Event != nil {
		event, err := walink.MarshalEvent(u.Event)
		if err != nil {
			return nil, err
		}
		out.Event = event
	}
	return json.Marshal(out)
}

// LogValue returns the update with its secrets redacted.
func (u Update) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("session", redact.Name(u.Session)), slog.Uint64("epoch", u.Epoch), slog.Uint64("sequence", u.Sequence),
		slog.Any("status", u.Status),
	}
	if u.Event != nil {
		attrs = append(attrs, slog.String("kind", string(u.Event.Kind())), slog.Any("event", u.Event))
	}
	return slog.GroupValue(attrs...)
}

// String describes the update in one line, without its secrets.
func (u Update) String() string {
	if u.Event == nil {
		return fmt.Sprintf("Session %s is %s.", redact.Name(u.Session), u.Status.State)
	}
	return fmt.Sprintf("Session %s: %v", redact.Name(u.Session), u.Event)
}

// Format prints String with every verb, so that none shows a secret.
func (u Update) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, u.String()) }

const (
	watchBuffer = 32  // how many updates wait for a slow watcher before it misses the oldest
	mailLimit   = 256 // how many updates wait for OnUpdate before the oldest are dropped
)

// voice reports what happens to a session: to watchers, who lose the oldest updates if they
// are slow, and to OnUpdate, which one goroutine calls while updates wait.
type voice struct {
	session  *session
	onUpdate func(Update)

	mu       sync.Mutex
	last     Update
	entry    *entry // of the last Link; nil if the Store keeps it
	known    bool   // there is an entry
	watchers map[chan Update]struct{}
	mail     []Update      // for OnUpdate
	dropped  int           // how many updates were dropped from mail
	sending  chan struct{} // closed when the goroutine that calls OnUpdate ends; nil if there is none
	ended    bool
}

func (v *voice) begin(s *session, ended bool) {
	v.session, v.onUpdate, v.ended = s, s.fleet.set.OnUpdate, ended
	v.last = Update{Session: s.name, Status: walink.Status{State: walink.StateIdle}}
}

func (v *voice) latest() Update {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.last
}

func (v *voice) status() walink.Status { return v.latest().Status }

// rise begins an epoch.
func (v *voice) rise(epoch uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last.Epoch, v.last.Sequence = epoch, 0
}

// keep notes the entry of the session.
func (v *voice) keep(e entry, known bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.known = known
	if known { // else the updates that follow still say whose session it was
		v.last.Metadata = maps.Clone(e.Metadata)
	}
	if v.session.fleet.registry == nil {
		v.entry = &e
	}
}

// kept returns what keep has noted.
func (v *voice) kept() (e entry, known bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.entry != nil {
		e = *v.entry
	}
	return e, v.known, nil
}

// isKept reports whether there is an entry.
func (v *voice) isKept() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.known
}

// report reports an event.
func (v *voice) report(event walink.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.say(event, v.last.Status.Apply(event))
}

// set reports a status that comes without an event.
func (v *voice) set(status walink.Status) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.say(nil, status)
}

// standby reports that another process has the session, unless that was reported before.
func (v *voice) standby(holder string, err *walink.Error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if last := v.last.Status; last.State != walink.StateStandby || last.Holder != holder {
		event := walink.Standby{Holder: holder, Err: err}
		v.say(event, last.Apply(event))
	}
}

// leave reports that no process has the session any more that another one had, and that none
// will take it.
func (v *voice) leave() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.last.Status.State == walink.StateStandby {
		v.say(nil, walink.Status{State: walink.StateIdle})
	}
}

func (v *voice) say(event walink.Event, status walink.Status) {
	v.last.Sequence++
	v.last.At, v.last.Event, v.last.Status = time.Now(), event, status
	for w := range v.watchers {
		push(w, v.last)
	}
	if v.onUpdate == nil || v.ended {
		return
	}
	if len(v.mail) == mailLimit {
		v.mail = v.mail[1:]
		v.dropped++
	}
	v.mail = append(v.mail, v.last)
	if v.sending == nil {
		v.sending = make(chan struct{})
		go v.deliver(v.sending)
	}
}

// push gives a watcher an update, in place of the oldest one if the watcher is slow. Only
// the holder of the lock sends.
func push(w chan Update, u Update) {
	for {
		select {
		case w <- u:
			return
		default:
		}
		select {
		case <-w:
		default:
		}
	}
}

// deliver calls OnUpdate until no update is left.
func (v *voice) deliver(done chan struct{}) {
	defer close(done)
	for {
		v.mu.Lock()
		if len(v.mail) == 0 {
			v.mail, v.sending = nil, nil
			v.mu.Unlock()
			return
		}
		u, dropped := v.mail[0], v.dropped
		v.mail, v.dropped = v.mail[1:], 0
		v.mu.Unlock()
		if dropped > 0 { // the handler of the log may call the Fleet
			v.session.fleet.log.Warn("OnUpdate was slow: updates were dropped", "session", redact.Name(v.session.name), "updates", dropped)
		}
		v.call(u)
	}
}

func (v *voice) call(u Update) {
	defer func() {
		if p := recover(); p != nil {
			v.session.fleet.log.Error("OnUpdate has panicked", "session", redact.Name(u.Session), "panic", redact.Text(fmt.Sprint(p)))
		}
	}()
	v.onUpdate(u)
}

// watch returns a channel with the snapshot and then each update, until ctx or the Fleet
// ends.
func (v *voice) watch(ctx context.Context, first Update) <-chan Update {
	w := make(chan Update, watchBuffer)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.last.Sequence > 0 { // a newer word than what the Store said
		first = v.last
		first.Event = nil
	}
	first.Epoch = v.last.Epoch
	w <- first
	if v.ended {
		close(w)
		return w
	}
	if v.watchers == nil {
		v.watchers = map[chan Update]struct{}{}
	}
	v.watchers[w] = struct{}{}
	context.AfterFunc(ctx, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if _, there := v.watchers[w]; there {
			delete(v.watchers, w)
			close(w)
		}
	})
	return w
}

// isHeard reports whether somebody watches the session, or OnUpdate has not got all updates.
func (v *voice) isHeard() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.watchers) > 0 || v.sending != nil
}

// end ends the watchers. OnUpdate still gets the updates that wait for it.
func (v *voice) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ended = true
	for w := range v.watchers {
		close(w)
	}
	v.watchers = nil
}

// wait waits for OnUpdate, until ctx ends.
func (v *voice) wait(ctx context.Context) {
	v.mu.Lock()
	sending := v.sending
	v.mu.Unlock()
	if sending != nil {
		select {
		case <-sending:
		case <-ctx.Done():
		}
	}
}
