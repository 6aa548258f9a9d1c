package storetest_test

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/storetest"
)

func TestRunLeaser(t *testing.T) {
	t.Parallel()
	storetest.RunLeaser(t, func(*testing.T) store.Leaser { return newLeaser("") })
}

// leaser is a Leaser in memory, with something wrong if wrong is not empty.
type leaser struct {
	wrong   string
	mu      sync.Mutex
	token   uint64
	leases  map[string]store.Lease
	holders map[string]store.Holder
}

var _ store.Leaser = (*leaser)(nil)

func newLeaser(wrong string) *leaser {
	return &leaser{wrong: wrong, leases: map[string]store.Lease{}, holders: map[string]store.Holder{}}
}

// held returns a lease with what is known of its holder, and whether it is in force.
func (l *leaser) held(key string) (store.Lease, bool) {
	lease := l.leases[key]
	holder, ok := l.holders[lease.HolderID]
	lease.Holder, lease.Until = holder.Name, holder.Until
	return lease, ok && (time.Now().Before(holder.Until) || l.wrong == "for ever")
}

func (l *leaser) TakeLeases(
	ctx context.Context, sessions []string, holder store.Holder, ttl time.Duration,
) (taken, busy []store.Lease, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now().UTC().Round(0)
	if err := ctx.Err(); err != nil && l.wrong != "no ctx" {
		if l.wrong == "begins too late" {
			l.holders[holder.ID] = store.Holder{ID: holder.ID, Name: holder.Name, Until: now.Add(ttl)}
		}
		return nil, nil, err
	}
	own, begun := l.holders[holder.ID]
	if l.wrong == "begins too early" && !begun && holder.Until.IsZero() {
		l.holders[holder.ID] = store.Holder{ID: holder.ID, Name: holder.Name, Until: now.Add(ttl)}
	}
	var free []string
	for i, session := range sessions {
		if slices.Contains(sessions[:i], session) && l.wrong != "twice is twice" {
			continue
		}
		switch before, held := l.held(l.key(session)); {
		case !held, l.wrong == "reentrant" && before.HolderID == holder.ID:
			free = append(free, session)
		case l.wrong == "busy is an error":
			return nil, nil, &store.BusyError{Lease: before}
		case l.wrong == "busy is empty":
			busy = append(busy, store.Lease{})
		case l.wrong != "busy is not told":
			busy = append(busy, before)
		}
	}
	if l.wrong == "sorted" {
		slices.Sort(free)
		slices.SortFunc(busy, func(a, b store.Lease) int { return strings.Compare(a.Session, b.Session) })
	}
	if len(free) == 0 && l.wrong != "late is asked first" || len(busy) > 0 && l.wrong == "all or nothing" {
		return nil, busy, nil
	}
	switch {
	case begun && l.wrong == "taking renews":
		own.Until = now.Add(ttl)
	case begun:
	case l.wrong != "anybody begins" && (!holder.Until.IsZero() || holder.ID == ""):
		if l.wrong == "ends before it fails" {
			for _, session := range free {
				delete(l.holders, l.leases[l.key(session)].HolderID)
			}
		}
		return nil, nil, store.ErrLeaseLost
	default:
		own = store.Holder{ID: holder.ID, Name: holder.Name, Until: now.Add(ttl)}
	}
	if l.wrong == "longest is over" && ttl > 1<<62 {
		own.Until = now
	}
	for i, session := range free {
		taken = append(taken, l.lend(session, own, now, i))
	}
	return taken, busy, nil
}

// lend lends the session that is the i-th of its call.
func (l *leaser) lend(session string, own store.Holder, now time.Time, i int) store.Lease {
	before := l.leases[l.key(session)]
	if before.HolderID != own.ID && l.wrong != "nobody is ended" && (l.wrong != "ends the first only" || i == 0) {
		delete(l.holders, before.HolderID)
	}
	l.token++
	if l.wrong == "tokens start again" {
		l.token = l.leases[session].Token + 1
		if l.leases[session].HolderID == "" {
			l.token = 1
		}
	}
	lease := store.Lease{Session: session, Holder: own.Name, HolderID: own.ID, Token: l.token, Since: now, Until: own.Until}
	if l.wrong == "local time" {
		lease.Since = lease.Since.In(time.FixedZone("", 3600))
	}
	if l.wrong == "not atomic" {
		l.mu.Unlock()
		runtime.Gosched()
		l.mu.Lock()
	}
	l.leases[l.key(session)], l.holders[own.ID] = lease, own
	return lease
}

func (l *leaser) RenewHolder(ctx context.Context, holder store.Holder, ttl time.Duration) (store.Holder, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return store.Holder{}, err
	}
	own, ok := l.holders[holder.ID]
	now := time.Now().UTC().Round(0)
	switch {
	case l.wrong == "any renewal":
		own = holder
	case !ok, l.wrong == "late is lost" && !now.Before(own.Until):
		return store.Holder{}, fmt.Errorf("renew: %w", store.ErrLeaseLost)
	}
	own.Until = now.Add(ttl)
	if l.wrong == "renewal adds" {
		own.Until = l.holders[holder.ID].Until.Add(ttl)
	}
	l.holders[holder.ID] = own
	return own, nil
}

func (l *leaser) ReleaseLease(ctx context.Context, lease store.Lease) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	held := l.leases[l.key(lease.Session)]
	switch {
	case l.wrong == "release ends all":
		delete(l.holders, lease.HolderID)
	case held.Token == lease.Token && (held.HolderID == lease.HolderID || l.wrong == "token alone"), l.wrong == "any release":
		held.HolderID = ""
		l.leases[l.key(lease.Session)] = held
	case l.wrong == "release once":
		return store.ErrLeaseLost
	}
	return nil
}

func (l *leaser) EndHolder(ctx context.Context, holder store.Holder) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	own, ok := l.holders[holder.ID]
	switch {
	case l.wrong == "end is expiry" && ok:
		own.Until = time.Now().UTC()
		l.holders[holder.ID] = own
	case l.wrong == "end once" && !ok:
		return store.ErrLeaseLost
	default:
		delete(l.holders, holder.ID)
	}
	return nil
}

func (l *leaser) PeekLease(ctx context.Context, session string) (store.Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return store.Lease{}, err
	}
	lease, ok := l.held(l.key(session))
	if !ok && (l.wrong != "over is in force" || lease.Token == 0) {
		return store.Lease{}, fmt.Errorf("peek: %w", store.ErrNotFound)
	}
	return lease, nil
}

func (l *leaser) Leases(ctx context.Context) ([]store.Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var all []store.Lease
	for _, key := range slices.Sorted(maps.Keys(l.leases)) {
		if lease, ok := l.held(key); ok || l.wrong == "all are listed" {
			all = append(all, lease)
		}
	}
	if l.wrong == "backwards" {
		slices.Reverse(all)
	}
	return all, nil
}

func (l *leaser) Holders(ctx context.Context) ([]store.HolderLeases, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var all []store.HolderLeases
	for _, id := range slices.Sorted(maps.Keys(l.holders)) {
		h := store.HolderLeases{Holder: l.holders[id]}
		for key, lease := range l.leases {
			if _, ok := l.held(key); (ok || l.wrong == "holders that are over") && lease.HolderID == id {
				h.Leases++
				switch l.wrong {
				case "the mark is a time":
					h.Mark = uint64(h.Until.UnixNano())
				case "no mark":
				default:
					h.Mark += lease.Token
				}
			}
		}
		if h.Leases > 0 || l.wrong == "idle holders" {
			all = append(all, h)
		}
	}
	if l.wrong == "holders backwards" {
		slices.Reverse(all)
	}
	return all, nil
}

func (l *leaser) key(session string) string {
	if l.wrong == "names without case" {
		return strings.ToLower(session)
	}
	return session
}

func TestLeaserCasesFindWhatIsBroken(t *testing.T) {
	t.Parallel()
	for wrong, by := range map[string]string{
		"reentrant":             "clause 2: a session is lent to one at a time",
		"busy is an error":      "clause 2: a session is lent to one at a time",
		"busy is not told":      "clause 2: a session is lent to one at a time",
		"busy is empty":         "clause 2: a session is lent to one at a time",
		"begins too early":      "clause 2: a holder that gets no session has not begun",
		"late is asked first":   "clause 2: a holder that gets no session has not begun",
		"twice is twice":        "clause 3: a call takes what is free, and ends those that have run out",
		"sorted":                "clause 3: a call takes what is free, and ends those that have run out",
		"all or nothing":        "clause 3: a call takes what is free, and ends those that have run out",
		"ends the first only":   "clause 3: a call takes what is free, and ends those that have run out",
		"ends before it fails":  "clause 3: a call of a holder that is not there lends nothing",
		"tokens start again":    "clause 5: tokens grow with each lending",
		"local time":            "clause 1: a lease says since when and until when, in UTC",
		"renewal adds":          "clause 1: a lease says since when and until when, in UTC",
		"taking renews":         "clause 1: a lease says since when and until when, in UTC",
		"for ever":              "clause 3: a holder loses all its sessions with the first",
		"longest is over":       "clause 1: the longest ttl is in force",
		"all are listed":        "clause 1: Leases are those in force",
		"backwards":             "clause 1: Leases are those in force",
		"any renewal":           "clause 3: a holder loses all its sessions with the first",
		"nobody is ended":       "clause 3: a holder loses all its sessions with the first",
		"over is in force":      "clause 3: a holder loses all its sessions with the first",
		"anybody begins":        "clause 3: a holder that is not there gets nothing",
		"late is lost":          "clause 4: a holder whose time is up and that nobody ended",
		"any release":           "clause 6: releasing ends a lease, once, and no other",
		"token alone":           "clause 6: releasing ends a lease, once, and no other",
		"release once":          "clause 6: releasing ends a lease, once, and no other",
		"release ends all":      "clause 6: releasing ends a lease, once, and no other",
		"end is expiry":         "clause 6: the end of a holder is that of its leases",
		"end once":              "clause 6: the end of a holder is that of its leases",
		"names without case":    "clause 8: any string is a session",
		"holders that are over": "clause 9: Holders are those in force that have leases",
		"idle holders":          "clause 9: Holders are those in force that have leases",
		"holders backwards":     "clause 9: Holders are those in force that have leases",
		"no mark":               "clause 9: the Mark shows each lease that is taken or ended",
		"the mark is a time":    "clause 9: the Mark shows each lease that is taken or ended",
		"no ctx":                "clause 8: ctx is obeyed and nothing is lent",
		"begins too late":       "clause 8: ctx is obeyed and nothing is lent",
		"not atomic":            "clause 8: one of many wins",
	} {
		t.Run(wrong, func(t *testing.T) {
			t.Parallel()
			test := storetest.LeaseCases()[by]
			if test == nil {
				t.Fatalf("no case is named %q", by)
			}
			if !fails(t, func(tb testing.TB) {
				tb.Helper()
				test(tb, newLeaser(wrong))
			}) {
				t.Errorf("%q found nothing", by)
			}
		})
	}
}

// recorder is a TB that a test may fail.
type recorder struct {
	testing.TB
	failed atomic.Bool
}

func (r *recorder) Error(...any) { r.failed.Store(true) }

func (r *recorder) Errorf(string, ...any) { r.failed.Store(true) }

func (r *recorder) Fatalf(string, ...any) {
	r.failed.Store(true)
	runtime.Goexit()
}

func fails(tb testing.TB, test func(tb testing.TB)) bool {
	tb.Helper()
	r := &recorder{TB: tb}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(r)
	}()
	<-done
	return r.failed.Load()
}
