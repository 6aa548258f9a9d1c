package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/store/kv/kvtest"
)

// size is how much is measured.
type size struct {
	rounds   int
	opens    int // stores opened in a round, of which the median counts
	sessions int // stored where one is loaded and all are listed
	preKeys  uint32
	messages int
}

// work is something that stores do, with a column for each time that it takes.
type work struct {
	columns []string
	// begin prepares a backend for as many samples as there are rounds.
	begin func(ctx context.Context, b backend) (sampler, error)
}

// sampler takes samples of one backend.
type sampler interface {
	// sample takes one time for each column.
	sample(ctx context.Context) ([]time.Duration, error)
	// end puts everything away.
	end(ctx context.Context) error
}

// works returns all that is measured. What a linking leaves on the disk is told
// to disk.
func works(amount size, disk func(b backend, bytes int64)) []work {
	all := []work{
		{[]string{"open"}, func(_ context.Context, b backend) (sampler, error) { return opening{b, amount.opens}, nil }},
		{
			[]string{"load 1", "list " + strconv.Itoa(amount.sessions)},
			func(ctx context.Context, b backend) (sampler, error) { return newLoading(ctx, b, amount.sessions) },
		},
		{[]string{"link"}, func(ctx context.Context, b backend) (sampler, error) {
			return newLinking(ctx, b, amount.preKeys, func(bytes int64) { disk(b, bytes) })
		}},
	}
	for _, buffered := range []bool{false, true} {
		for _, at := range []int{1, 8, 64} {
			name := "messages, " + strconv.Itoa(at) + " at once"
			if buffered {
				name = "buffered, " + strconv.Itoa(at) + " at once"
			}
			all = append(all, work{[]string{name}, func(_ context.Context, b backend) (sampler, error) {
				return messages{b, at, amount.messages, buffered}, nil
			}})
		}
	}
	return all
}

// now returns the time, after the garbage of what went before is collected.
func now() time.Time {
	runtime.GC()
	return time.Now()
}

func number(i int) string { return strconv.FormatInt(5511900000000+int64(i), 10) }

// opening opens stores that are not there yet.
type opening struct {
	b     backend
	times int
}

func (o opening) sample(ctx context.Context) ([]time.Duration, error) {
	times := make([]time.Duration, o.times)
	for i := range times {
		p, err := o.b.place(ctx)
		if err != nil {
			return nil, err
		}
		began := now()
		st, err := p.open(ctx)
		if err == nil {
			_, err = st.load(ctx, "none", number(0)) // kv.New alone does nothing
		}
		times[i] = time.Since(began)
		if st != nil {
			err = errors.Join(err, st.Close())
		}
		if err := errors.Join(err, p.remove()); err != nil {
			return nil, err
		}
	}
	return []time.Duration{median(times)}, nil
}

func (opening) end(context.Context) error { return nil }

// loading reads from a store with many sessions.
type loading struct {
	p        place
	st       opened
	sessions int
	next     int
}

func newLoading(ctx context.Context, b backend, sessions int) (*loading, error) {
	p, err := b.place(ctx)
	if err != nil {
		return nil, err
	}
	st, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	l := &loading{p: p, st: st, sessions: sessions}
	first, err := link(ctx, st, name(0), number(0))
	if err != nil {
		return nil, err
	}
	for begin := 1; begin < sessions; begin += 250 { // so many in one commit
		err := first.EventBuffer.DoDecryptionTxn(ctx, func(ctx context.Context) error {
			for i := begin; i < min(begin+250, sessions); i++ {
				if _, err := link(ctx, st, name(i), number(i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if b.durable == volatile {
		return l, nil
	}
	// Loaded is what another program has stored, not what is still in the cache.
	if err := st.Close(); err != nil {
		return nil, err
	}
	l.st, err = p.open(ctx)
	return l, err
}

func name(i int) string { return "session " + strconv.Itoa(i) }

func (l *loading) sample(ctx context.Context) ([]time.Duration, error) {
	const loads = 200
	times := make([]time.Duration, loads)
	for i := range times {
		l.next = (l.next + 7919) % l.sessions // a prime: all over the store
		began := time.Now()
		device, err := l.st.load(ctx, name(l.next), number(l.next))
		times[i] = time.Since(began)
		if err != nil || device == nil || device.ID == nil {
			return nil, fmt.Errorf("%s is not there: %w", name(l.next), err)
		}
	}
	began := now()
	n, err := l.st.list(ctx)
	took := time.Since(began)
	if err != nil || n != l.sessions {
		return nil, fmt.Errorf("%d of %d sessions: %w", n, l.sessions, err)
	}
	return []time.Duration{median(times), took}, nil
}

func (l *loading) end(context.Context) error { return errors.Join(l.st.Close(), l.p.remove()) }

// linking stores what whatsmeow does when one device is linked, each in the
// store of those before.
type linking struct {
	p       place
	st      opened
	preKeys uint32
	linked  int
	empty   int64 // bytes on disk
	disk    func(bytes int64)
}

func newLinking(ctx context.Context, b backend, preKeys uint32, disk func(int64)) (*linking, error) {
	p, err := b.place(ctx)
	if err != nil {
		return nil, err
	}
	st, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	if b.durable == volatile { // what is closed is gone
		return &linking{p: p, st: st, preKeys: preKeys, disk: func(int64) {}}, nil
	}
	if err := st.Close(); err != nil {
		return nil, err
	}
	empty, err := p.size(ctx)
	if err != nil {
		return nil, err
	}
	st, err = p.open(ctx)
	return &linking{p: p, st: st, preKeys: preKeys, empty: empty, disk: disk}, err
}

func (l *linking) sample(ctx context.Context) ([]time.Duration, error) {
	session, number := name(l.linked), number(l.linked)
	l.linked++
	began := now()
	device, err := link(ctx, l.st, session, number)
	if err != nil {
		return nil, err
	}
	if err := l.settle(ctx, device); err != nil {
		return nil, err
	}
	return []time.Duration{time.Since(began)}, nil
}

// settle is what follows the saving of a device.
func (l *linking) settle(ctx context.Context, device *wastore.Device) error {
	primary := device.LID
	primary.Device = 0
	if err := device.Identities.PutIdentity(ctx, primary.SignalAddress().String(), [32]byte{1}); err != nil {
		return err
	}
	if err := device.LIDs.PutLIDMapping(ctx, device.LID.ToNonAD(), device.ID.ToNonAD()); err != nil {
		return err
	}
	made, err := device.PreKeys.GetOrGenPreKeys(ctx, l.preKeys)
	if err != nil {
		return err
	}
	if err := device.PreKeys.MarkPreKeysAsUploaded(ctx, made[len(made)-1].KeyID); err != nil {
		return err
	}
	device.PushName = "João"
	return device.Save(ctx)
}

func (l *linking) end(ctx context.Context) error {
	if err := l.st.Close(); err != nil {
		return err
	}
	size, err := l.p.size(ctx)
	if err != nil {
		return err
	}
	l.disk((size - l.empty) / int64(max(l.linked, 1)))
	return l.p.remove()
}

// messages has messages come in for several devices at once.
type messages struct {
	b            backend
	at, messages int
	buffered     bool
}

func (m messages) sample(ctx context.Context) (times []time.Duration, err error) {
	p, err := m.b.place(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.remove()) }()
	st, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	traffic := make([]*kvtest.Traffic, m.at)
	for i := range traffic {
		device, err := link(ctx, st, name(i), number(i))
		if err != nil {
			return nil, err
		}
		if traffic[i], err = kvtest.NewTraffic(ctx, device, m.messages/m.at+1, m.buffered); err != nil {
			return nil, err
		}
	}
	began := now()
	if err := m.run(ctx, traffic); err != nil {
		return nil, err
	}
	return []time.Duration{time.Since(began)}, nil
}

// run shares the messages out, each device with a goroutine of its own.
func (m messages) run(ctx context.Context, traffic []*kvtest.Traffic) error {
	var begun atomic.Int64
	failed := make(chan error, len(traffic))
	var group sync.WaitGroup
	for _, t := range traffic {
		group.Go(func() {
			for begun.Add(1) <= int64(m.messages) {
				if err := t.Message(ctx); err != nil {
					begun.Store(int64(m.messages))
					failed <- err
					return
				}
			}
		})
	}
	group.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func (messages) end(context.Context) error { return nil }
