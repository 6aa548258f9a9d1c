package kv

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/store"
)

// loan is the value of the last lease of a session. It stays when the lease has
// ended, so that the next lease has a greater token.
type loan struct {
	session, holder string // the holder's ID; empty if the lease was released
	token           uint64
	since           int64 // Unix nanoseconds
}

func (l loan) encode() []byte {
	return newEncoder(len(l.session) + len(l.holder) + 30).string(l.session).string(l.holder).uint(l.token).int(l.since).b
}

func (d *decoder) loan() loan {
	return loan{session: d.string(), holder: d.string(), token: d.uint(), since: d.int()}
}

func (l loan) lease(held holding) store.Lease {
	return store.Lease{
		Session: l.session, Holder: held.name, HolderID: l.holder, Token: l.token,
		Since: time.Unix(0, l.since).UTC(), Until: time.Unix(0, held.until).UTC(),
	}
}

func lastLoan(tx Tx, session string) (last loan, err error) {
	err = load(tx, name(spaceLease, session), func(dec *decoder) { last = dec.loan() })
	return last, err
}

// holding is the value of a holder that nobody has ended. The zero holding is
// that of one that is not there.
type holding struct {
	name           string
	until, renewed int64 // Unix nanoseconds; renewed is when it began or was last renewed
}

func (h holding) encode() []byte {
	return newEncoder(len(h.name) + 20).string(h.name).int(h.until).int(h.renewed).b
}

// lasting returns the holding as it is when it is renewed for ttl from now, or
// until the latest time that can be stored.
func (h holding) lasting(now time.Time, ttl time.Duration) holding {
	h.renewed, h.until = now.UnixNano(), now.Add(ttl).UnixNano()
	if ttl > 0 && int64(ttl) > math.MaxInt64-now.UnixNano() {
		h.until = math.MaxInt64
	}
	return h
}

// corrected returns a holding that was renewed in the future, before the clock was
// set back, as if it were renewed now. A holder that lives renews by the new clock.
func (h holding) corrected(now time.Time) holding {
	if ahead := h.renewed - now.UnixNano(); ahead > int64(clockSlack) {
		h.renewed, h.until = now.UnixNano(), h.until-ahead
	}
	return h
}

func (h holding) inForce(now time.Time) bool { return h.until > now.UnixNano() }

func holdingOf(tx Tx, id string) (h holding, err error) {
	err = load(tx, name(spaceHolder, id), func(dec *decoder) { h = holding{dec.string(), dec.int(), dec.int()} })
	return h, err
}

// TakeLeases implements [store.Leaser]. The time is that of the DB if the DB is
// a [Clock], and that of this machine otherwise.
func (s *Store) TakeLeases(
	ctx context.Context, sessions []string, holder store.Holder, ttl time.Duration,
) (taken, busy []store.Lease, err error) {
	err = s.lend(ctx, func(tx Tx, now time.Time) (err error) {
		taken, busy, err = takeLoans(tx, now, sessions, holder, ttl)
		return err
	})
	if err != nil {
		return nil, nil, redact.Errorf("kv: take the leases in %s: %w", s.title(), err)
	}
	return taken, busy, nil
}

func takeLoans(
	tx Tx, now time.Time, sessions []string, holder store.Holder, ttl time.Duration,
) (taken, busy []store.Lease, err error) {
	var free []loan
	holdings := map[string]holding{} // by the ID of their holder
	seen := map[string]bool{}
	for _, session := range sessions {
		if seen[session] {
			continue
		}
		seen[session] = true
		last, err := lastLoan(tx, session)
		if err != nil {
			return nil, nil, err
		}
		held, known := holdings[last.holder]
		if !known {
			if held, err = storeCorrected(tx, last.holder, now); err != nil {
				return nil, nil, err
			}
			holdings[last.holder] = held
		}
		if held.inForce(now) {
			busy = append(busy, last.lease(held))
			continue
		}
		last.session = session
		free = append(free, last)
	}
	if len(free) == 0 {
		return nil, busy, nil
	}
	own, err := holdingOf(tx, holder.ID)
	switch {
	case err != nil:
		return nil, nil, err
	case own == holding{} && (holder.ID == "" || !holder.Until.IsZero()):
		return nil, nil, store.ErrLeaseLost
	case own == holding{}:
		own = holding{name: holder.Name}.lasting(now, ttl)
		if err := tx.Set(name(spaceHolder, holder.ID), own.encode()); err != nil {
			return nil, nil, err
		}
	}
	for _, last := range free {
		if last.holder != holder.ID && holdings[last.holder] != (holding{}) {
			if err := tx.Delete(name(spaceHolder, last.holder)); err != nil {
				return nil, nil, err
			}
			holdings[last.holder] = holding{}
		}
		// The token is the time, so that tokens grow even if the DB has lost the
		// earlier ones.
		token := max(last.token+1, uint64(max(now.UnixMicro(), 0)))
		lent := loan{session: last.session, holder: holder.ID, token: token, since: now.UnixNano()}
		if err := tx.Set(name(spaceLease, lent.session), lent.encode()); err != nil {
			return nil, nil, err
		}
		taken = append(taken, lent.lease(own))
	}
	return taken, busy, nil
}

// storeCorrected returns the corrected holding of a holder, and stores it if it is in force.
func storeCorrected(tx Tx, id string, now time.Time) (holding, error) {
	stored, err := holdingOf(tx, id)
	held := stored.corrected(now)
	if err == nil && held != stored && held.inForce(now) {
		err = tx.Set(name(spaceHolder, id), held.encode())
	}
	return held, err
}

// RenewHolder implements [store.Leaser].
func (s *Store) RenewHolder(ctx context.Context, holder store.Holder, ttl time.Duration) (store.Holder, error) {
	err := s.lend(ctx, func(tx Tx, now time.Time) error {
		held, err := holdingOf(tx, holder.ID)
		if err != nil {
			return err
		}
		if held == (holding{}) {
			return store.ErrLeaseLost
		}
		held = held.lasting(now, ttl)
		holder.Until = time.Unix(0, held.until).UTC()
		return tx.Set(name(spaceHolder, holder.ID), held.encode())
	})
	if err != nil {
		return store.Holder{}, redact.Errorf("kv: renew the leases in %s: %w", s.title(), err)
	}
	return holder, nil
}

// ReleaseLease implements [store.Leaser].
func (s *Store) ReleaseLease(ctx context.Context, lease store.Lease) error {
	err := s.txn(ctx, true, func(tx Tx) error {
		last, err := lastLoan(tx, lease.Session)
		if err != nil || last.holder == "" || last.holder != lease.HolderID || last.token != lease.Token {
			return err
		}
		last.holder = ""
		return tx.Set(name(spaceLease, lease.Session), last.encode())
	})
	if err != nil {
		return s.fail("release the lease of session", lease.Session, err)
	}
	return nil
}

// EndHolder implements [store.Leaser].
func (s *Store) EndHolder(ctx context.Context, holder store.Holder) error {
	err := s.txn(ctx, true, func(tx Tx) error { return tx.Delete(name(spaceHolder, holder.ID)) })
	if err != nil {
		return redact.Errorf("kv: release the leases in %s: %w", s.title(), err)
	}
	return nil
}

// lend calls fn with the time, in a transaction that may write.
func (s *Store) lend(ctx context.Context, fn func(tx Tx, now time.Time) error) error {
	now, err := s.now(ctx)
	if err != nil {
		return err
	}
	asked := time.Now()
	return s.txn(ctx, true, func(tx Tx) error {
		return fn(tx, now.Add(time.Since(asked))) // the transaction may have waited for other writers
	})
}

// PeekLease implements [store.Leaser].
func (s *Store) PeekLease(ctx context.Context, session string) (lease store.Lease, err error) {
	now, err := s.now(ctx)
	var ahead bool
	if err == nil {
		err = s.txn(ctx, false, func(tx Tx) error {
			last, err := lastLoan(tx, session)
			if err != nil {
				return err
			}
			stored, err := holdingOf(tx, last.holder)
			held := stored.corrected(now)
			if err == nil && !held.inForce(now) {
				return store.ErrNotFound
			}
			lease, ahead = last.lease(held), held != stored
			return err
		})
	}
	if err == nil && ahead {
		err = s.lend(ctx, func(tx Tx, now time.Time) error {
			_, err := storeCorrected(tx, lease.HolderID, now)
			return err
		})
	}
	if err != nil {
		return store.Lease{}, s.fail("read the lease of session", session, err)
	}
	return lease, nil
}

// Leases implements [store.Leaser].
func (s *Store) Leases(ctx context.Context) ([]store.Lease, error) {
	all, err := s.leases(ctx)
	slices.SortFunc(all, func(a, b store.Lease) int { return strings.Compare(a.Session, b.Session) })
	return all, err
}

// Holders implements [store.Leaser].
func (s *Store) Holders(ctx context.Context) ([]store.HolderLeases, error) {
	all, err := s.leases(ctx)
	if err != nil {
		return nil, err
	}
	byID := map[string]store.HolderLeases{}
	for _, lease := range all {
		h := byID[lease.HolderID]
		h.Holder = store.Holder{ID: lease.HolderID, Name: lease.Holder, Until: lease.Until}
		h.Leases++
		h.Mark += lease.Token
		byID[lease.HolderID] = h
	}
	return slices.SortedFunc(maps.Values(byID), func(a, b store.HolderLeases) int { return strings.Compare(a.ID, b.ID) }), nil
}

// leases returns all leases in force.
func (s *Store) leases(ctx context.Context) ([]store.Lease, error) {
	var all []store.Lease
	now, err := s.now(ctx)
	if err == nil {
		err = s.txn(ctx, false, func(tx Tx) error {
			all = nil
			held := map[string]holding{}
			return tx.Scan([]byte(spaceLease), func(key, value []byte) error {
				dec := decode(key, value)
				last := dec.loan()
				err := dec.end()
				if _, known := held[last.holder]; err == nil && !known {
					held[last.holder], err = holdingOf(tx, last.holder)
				}
				if h := held[last.holder].corrected(now); err == nil && h.inForce(now) {
					all = append(all, last.lease(h))
				}
				return err
			})
		})
	}
	if err != nil {
		return nil, redact.Errorf("kv: list the leases in %s: %w", s.title(), err)
	}
	return all, nil
}
