package fleet

import (
	"cmp"
	"context"
	"crypto/rand"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/store"
)

// memberPrefix begins the session names of the leases that show which Fleets are there. A
// control character is in no session name.
const memberPrefix = "\x01fleet "

// newMember returns the name of the lease of a Fleet. The name says the capacity, so that
// the others do not leave sessions to a Fleet that is full.
func newMember(capacity int) string { return memberPrefix + rand.Text() + " " + strconv.Itoa(capacity) }

// peer is a Fleet on the Store, as its lease shows it.
type peer struct {
	member   string
	holder   string // the ID
	capacity int
	has      int // how many sessions it has
	target   int // how many it should have
}

func peerOf(lease store.Lease) peer {
	_, capacity, _ := strings.Cut(strings.TrimPrefix(lease.Session, memberPrefix), " ")
	n, _ := strconv.Atoi(capacity)
	return peer{member: lease.Session, holder: lease.HolderID, capacity: cmp.Or(n, math.MaxInt)}
}

// spread sets the targets: it shares so many sessions evenly, as far as the capacities
// allow. If the division leaves a rest, the peers with the most sessions keep one more, so
// that as few sessions as possible move. All Fleets that see the same come to the same targets.
func spread(peers []peer, sessions int) {
	slices.SortFunc(peers, func(a, b peer) int {
		return cmp.Or(cmp.Compare(a.capacity, b.capacity), cmp.Compare(a.member, b.member))
	})
	for len(peers) > 0 && peers[0].capacity <= sessions/len(peers) {
		peers[0].target = peers[0].capacity
		sessions -= peers[0].target
		peers = peers[1:]
	}
	slices.SortFunc(peers, func(a, b peer) int {
		return cmp.Or(-cmp.Compare(a.has, b.has), cmp.Compare(a.member, b.member))
	})
	for i := range peers {
		peers[i].target = sessions / len(peers)
		if i < sessions%len(peers) {
			peers[i].target++
		}
	}
}

// sight is what one look has seen.
type sight struct {
	free  []*session // stored, wanted, and no process has them
	aside []*session // here, and to be tried again now
	ended bool       // another process has given up a session, and what became of it is not known
	own   peer       // this Fleet
	lacks int        // how many sessions the others lack, without the free ones
}

// room returns how many of the free sessions this process takes.
func (v sight) room() int { return max(v.own.target-v.own.has, 0) }

// excess returns how many sessions this process gives to others.
func (v sight) excess() int { return min(v.own.has-v.own.target, v.lacks) }

// lent is what the leases of a Store say.
type lent struct {
	by    map[string]*store.Lease // by session
	peers []peer
	has   map[string]int // how many sessions a holder has
	count map[string]int // how many Fleets a holder has
}

// lent makes the sessions known that have a lease.
func (f *Fleet) lent(leases []store.Lease) lent {
	l := lent{by: make(map[string]*store.Lease, len(leases)), has: map[string]int{}, count: map[string]int{}}
	for i := range leases {
		lease := &leases[i]
		if strings.HasPrefix(lease.Session, memberPrefix) {
			l.peers = append(l.peers, peerOf(*lease))
			l.count[lease.HolderID]++
			continue
		}
		l.by[lease.Session] = lease
		l.has[lease.HolderID]++
		f.session(lease.Session)
	}
	return l
}

// sort sorts the sessions by what the leases said at a time. It reports to the watchers
// of the others' sessions who has them.
func (f *Fleet) sort(l lent, asked time.Time) sight {
	var seen sight
	peers, has, count := slices.Clone(l.peers), maps.Clone(l.has), maps.Clone(l.count)
	own := peer{member: f.member, capacity: cmp.Or(f.set.Capacity, math.MaxInt)}
	for _, s := range f.all() {
		own.has += s.sort(l.by[s.name], asked, &seen)
	}
	if i := slices.IndexFunc(peers, func(p peer) bool { return p.member == f.member }); i >= 0 {
		own.holder = peers[i].holder
		peers = slices.Delete(peers, i, i+1)
	}
	has[own.holder] -= own.has
	count[own.holder]--
	all := own.has + len(seen.free)
	for i := range peers {
		p := &peers[i]
		p.has = max(has[p.holder], 0) / count[p.holder] // Fleets of one process with one name have one holder
		all += p.has
	}
	peers = append(peers, own)
	spread(peers, all)
	seen.lacks = -len(seen.free)
	for _, p := range peers {
		if p.member == f.member {
			seen.own = p
		} else {
			seen.lacks += max(p.target-p.has, 0)
		}
	}
	return seen
}

// sort sorts one session, and returns 1 if this process has it.
func (s *session) sort(lease *store.Lease, asked time.Time, seen *sight) (here int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.here:
		if !s.retryAt.IsZero() && !s.retryAt.After(time.Now()) && s.run == nil {
			seen.aside = append(seen.aside, s)
		}
		return 1
	case !s.changed.Before(asked): // the lease may be that of this process
	case lease != nil && lease.HolderID == s.lent: // it was reported
	case lease != nil:
		s.lent = lease.HolderID
		err := &walink.Error{Reason: walink.ErrSessionBusy, Op: "share sessions", Err: &store.BusyError{Lease: *lease}}
		s.voice.standby(redact.Line(lease.Holder), err)
	case s.lent != "":
		seen.ended = true
	case s.stored && !s.unwanted:
		seen.free = append(seen.free, s)
	default:
		s.voice.leave()
	}
	return 0
}

// list reads which sessions are stored and wanted, and forgets those that nothing is known
// of any more. The leases were read before.
func (f *Fleet) list(ctx context.Context, l lent) error {
	began := time.Now()
	stored, entries, err := f.readAll(ctx)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, device := range stored {
		there[device.Name] = true
		f.session(device.Name)
	}
	for _, s := range f.all() {
		if !s.tryLock() {
			continue // it is changing, and knows better
		}
		e, known := entries[s.name]
		s.mu.Lock()
		old := s.here || !s.changed.Before(began)
		if !old {
			s.stored, s.unwanted = there[s.name], e.Unwanted
			if l.by[s.name] == nil {
				s.lent = ""
			}
		}
		gone := !old && !s.stored && !known && l.by[s.name] == nil
		s.mu.Unlock()
		if known && !old {
			s.voice.keep(e, true)
		}
		if gone {
			f.drop(s)
		}
		s.unlock()
	}
	return nil
}

// drop forgets a session that nobody listens to.
func (f *Fleet) drop(s *session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !s.voice.isHeard() {
		delete(f.sessions, s.name)
	}
}
