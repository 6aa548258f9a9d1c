package kv

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/store"
)

const (
	// ledgerMemory is the least time for which requests for pairing codes are
	// remembered.
	ledgerMemory = 24 * time.Hour
	// clockSlack is how much the clocks of several processes may differ.
	clockSlack = time.Minute
)

// page is what the ledger has for one number. Times are Unix nanoseconds.
type page struct {
	asked    []int64
	refusals []refusal
}

type refusal struct{ at, until int64 }

func (p *page) encode() []byte {
	e := newEncoder(10 * (len(p.asked) + 2*len(p.refusals))).uint(uint64(len(p.asked)))
	for _, at := range p.asked {
		e.int(at)
	}
	e.uint(uint64(len(p.refusals)))
	for _, r := range p.refusals {
		e.int(r.at).int(r.until)
	}
	return e.b
}

func decodePage(key, value []byte) (page, error) {
	var p page
	dec := decode(key, value)
	for n := dec.uint(); n > 0 && dec.err == nil; n-- {
		p.asked = append(p.asked, dec.int())
	}
	for n := dec.uint(); n > 0 && dec.err == nil; n-- {
		p.refusals = append(p.refusals, refusal{dec.int(), dec.int()})
	}
	return p, dec.end()
}

// forget removes what no longer counts. The clock was wrong when a time in the
// future was stored: forget removes such a request, and lets such a refusal begin now.
func (p *page) forget(now time.Time, window time.Duration) {
	from, to := now.Add(-max(window, ledgerMemory)).UnixNano(), now.Add(max(window, clockSlack)).UnixNano()
	p.asked = slices.DeleteFunc(p.asked, func(at int64) bool { return at < from || at > to })
	for i, r := range p.refusals {
		if r.at > now.Add(clockSlack).UnixNano() {
			p.refusals[i] = refusal{now.UnixNano(), now.UnixNano() + r.until - r.at}
		}
	}
	p.refusals = slices.DeleteFunc(p.refusals, func(r refusal) bool { return r.at <= now.Add(-store.RefusalMemory).UnixNano() })
}

// next returns how many codes are left, and the time at which the next code may
// be requested, which is zero if a code may be requested now.
func (p *page) next(now time.Time, limit int, window time.Duration) (left int, next time.Time) {
	var within []int64
	for _, at := range p.asked {
		if at > now.Add(-window).UnixNano() {
			within = append(within, at)
		}
	}
	slices.Sort(within)
	left = max(limit-len(within), 0)
	var until int64
	for _, r := range p.refusals {
		until = max(until, r.until)
	}
	switch {
	case until > now.UnixNano():
		return left, time.Unix(0, until).UTC()
	case limit <= 0:
		return 0, now.Add(window).UTC()
	case left == 0:
		// The limit-th request from the end must leave the window before
		// another code may be requested.
		return 0, time.Unix(0, within[len(within)-limit]).Add(window).UTC()
	}
	return left, time.Time{}
}

// TakeCode implements [store.Ledger]. The numbers are stored in clear unless
// the DB encrypts them. Requests of more than a day ago are deleted by the next
// call for any number.
func (s *Store) TakeCode(ctx context.Context, number string, now time.Time, limit int, window time.Duration) (next time.Time, err error) {
	err = s.editPage(ctx, number, now, window, func(p *page) {
		if _, next = p.next(now, limit, window); next.IsZero() {
			p.asked = append(p.asked, now.UnixNano())
		}
	})
	if err != nil {
		return time.Time{}, redact.Errorf("kv: record a pairing code in %s: %w", s.title(), err)
	}
	return next, nil
}

// RefuseCode implements [store.Ledger].
func (s *Store) RefuseCode(ctx context.Context, number string, now time.Time, wait time.Duration) (until time.Time, err error) {
	err = s.editPage(ctx, number, now, 0, func(p *page) {
		until = now.Add(store.Refusal(wait, len(p.refusals))).UTC()
		p.refusals = append(p.refusals, refusal{now.UnixNano(), until.UnixNano()})
	})
	if err != nil {
		return time.Time{}, redact.Errorf("kv: record a refusal in %s: %w", s.title(), err)
	}
	return until, nil
}

// editPage changes the page of a number, and removes what no longer counts from
// all pages.
func (s *Store) editPage(ctx context.Context, number string, now time.Time, window time.Duration, edit func(*page)) error {
	return s.txn(ctx, true, func(tx Tx) error {
		own := name(spaceLedger, number)
		value, err := tx.Get(own)
		if err != nil {
			return err
		}
		var p page
		if value != nil {
			if p, err = decodePage(own, value); err != nil {
				return err
			}
		}
		if err := forgetPages(tx, now, window); err != nil {
			return err
		}
		p.forget(now, window)
		edit(&p)
		if len(p.asked)+len(p.refusals) == 0 {
			return tx.Delete(own)
		}
		return tx.Set(own, p.encode())
	})
}

// forgetPages deletes the pages on which nothing counts any more. A damaged
// page is an error only for its own number.
func forgetPages(tx Tx, now time.Time, window time.Duration) error {
	var expired [][]byte
	err := tx.Scan([]byte(spaceLedger), func(key, value []byte) error {
		p, err := decodePage(key, value)
		p.forget(now, window)
		if err == nil && len(p.asked)+len(p.refusals) == 0 {
			expired = append(expired, key)
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	return deleteAll(tx, expired)
}

// PeekCode implements [store.Ledger].
func (s *Store) PeekCode(ctx context.Context, number string, now time.Time, limit int, window time.Duration) (left int, next time.Time, err error) {
	err = s.txn(ctx, false, func(tx Tx) error {
		var p page
		key := name(spaceLedger, number)
		value, err := tx.Get(key)
		if err != nil {
			return err
		}
		if value != nil {
			if p, err = decodePage(key, value); err != nil {
				return err
			}
		}
		p.forget(now, window)
		left, next = p.next(now, limit, window)
		return nil
	})
	if err != nil {
		return 0, time.Time{}, redact.Errorf("kv: read the pairing codes in %s: %w", s.title(), err)
	}
	return left, next, nil
}
