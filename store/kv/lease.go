package kv

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

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

// TakeLease implements [store.Leaser]. The time is that of the DB if the DB is
// a [Clock], and that of this machine otherwise.
func (s *Store) TakeLease(ctx context.Context, session string, holder store.Holder, ttl time.Duration) (store.Lease, error) {
	var taken store.Lease
	var busy *store.BusyError
	err := s.lend(ctx, func(tx Tx, now time.Time) error {
		last, err := lastLoan(tx, session)
		if err != nil {
			return err
		}
		stored, err := holdingOf(tx, last.holder)
		if err != nil {
			return err
		}
		if held := stored.corrected(now); held.inForce(now) {
			busy = &store.BusyError{Lease: last.lease(held)}
			if held == stored {
				return busy
			}
			return tx.Set(name(spaceHolder, last.holder), held.encode())
		}
		own, err := holdingOf(tx, holder.ID)
		switch {
		case err != nil:
			return err
		case own == holding{} && (holder.ID == "" || !holder.Until.IsZero()):
			return store.ErrLeaseLost
		case own == holding{}:
			own = holding{name: holder.Name}.lasting(now, ttl)
			if err := tx.Set(name(spaceHolder, holder.ID), own.encode()); err != nil {
				return err
			}
		}
		if last.holder != holder.ID && stored != (holding{}) {
			if err := tx.Delete(name(spaceHolder, last.holder)); err != nil {
				return err
			}
		}
		// The token is the time, so that tokens grow even if the DB has lost the
		// earlier ones.
		token := max(last.token+1, uint64(max(now.UnixMicro(), 0)))
		lent := loan{session: session, holder: holder.ID, token: token, since: now.UnixNano()}
		taken = lent.lease(own)
		return tx.Set(name(spaceLease, session), lent.encode())
	})
	if err == nil && busy != nil { // not inside the transaction, which must store the correction
		err = busy
	}
	if err != nil {
		return store.Lease{}, s.fail("lend session", session, err)
	}
	return taken, nil
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
		return store.Holder{}, fmt.Errorf("kv: renew the leases in %s: %w", s.title(), err)
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
		return fmt.Errorf("kv: release the leases in %s: %w", s.title(), err)
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
	if err == nil {
		err = s.txn(ctx, false, func(tx Tx) error {
			last, err := lastLoan(tx, session)
			if err != nil {
				return err
			}
			held, err := holdingOf(tx, last.holder)
			if held = held.corrected(now); err == nil && !held.inForce(now) {
				return store.ErrNotFound
			}
			lease = last.lease(held)
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
		return nil, fmt.Errorf("kv: list the leases in %s: %w", s.title(), err)
	}
	slices.SortFunc(all, func(a, b store.Lease) int { return strings.Compare(a.Session, b.Session) })
	return all, nil
}
