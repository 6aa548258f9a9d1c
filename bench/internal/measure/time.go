package measure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

// Sample takes one time of one side.
type Sample func(ctx context.Context, side Side) (time.Duration, error)

// Shown returns a Sample of the time from New, or NewClient, to the first code
// in hand. The databases are open by then; close puts them away.
func (l *Lab) Shown(ctx context.Context, method Method) (sample Sample, closeAll func(), err error) {
	folder, remove, err := l.folder()
	if err != nil {
		return nil, nil, err
	}
	databases := map[Side]database{}
	closeAll = func() {
		for _, db := range databases {
			_ = db.Close()
		}
		remove()
	}
	for _, side := range Sides() {
		if databases[side], err = l.open(ctx, side, folder, false, true); err != nil {
			delete(databases, side)
			closeAll()
			return nil, nil, wrap(side, err)
		}
	}
	return func(ctx context.Context, side Side) (time.Duration, error) {
		number := l.number()
		link := databases[side].link(number, method, false)
		defer link.stop()
		var took time.Duration
		var err error
		// In a goroutine of its own, or plain whatsmeow, which stays in that of
		// its caller, would have a stack that has grown already.
		var wg sync.WaitGroup
		wg.Go(func() {
			begin := begin()
			_, err = link.start(ctx)
			took = time.Since(begin)
		})
		wg.Wait()
		return took, wrap(side, err)
	}, closeAll, nil
}

// Linked takes the time from the phone's entry to the login, with a database
// file of its own.
func (l *Lab) Linked(method Method) Sample {
	return func(ctx context.Context, side Side) (time.Duration, error) {
		folder, remove, err := l.folder()
		if err != nil {
			return 0, err
		}
		defer remove()
		db, err := l.open(ctx, side, folder, false, true)
		if err != nil {
			return 0, wrap(side, err)
		}
		defer func() { _ = db.Close() }()
		number := l.number()
		link := db.link(number, method, false)
		defer link.stop()
		shown, err := link.start(ctx)
		if err != nil {
			return 0, wrap(side, err)
		}
		begin := begin()
		answered := make(chan error, 1)
		go func() { answered <- l.answer(method, number, shown) }()
		err = link.linked()
		took := time.Since(begin)
		if refused := <-answered; refused != nil {
			err = refused
		}
		return took, wrap(side, err)
	}
}

// Together takes the time in which n devices link into one database file by QR
// code, started at once, each scanned as soon as it shows its code.
func (l *Lab) Together(n int) Sample {
	return func(ctx context.Context, side Side) (time.Duration, error) {
		folder, remove, err := l.folder()
		if err != nil {
			return 0, err
		}
		defer remove()
		db, err := l.open(ctx, side, folder, true, true)
		if err != nil {
			return 0, wrap(side, err)
		}
		defer func() { _ = db.Close() }()
		crowd := l.crowd(db, n)
		defer crowd.stop()
		begin := begin()
		err = crowd.each(func(m *member) error {
			if err := m.show(ctx); err != nil {
				return err
			}
			return m.finish(l)
		})
		return time.Since(begin), wrap(side, err)
	}
}

// begin returns the time, after the garbage of what went before is collected.
func begin() time.Time {
	runtime.GC()
	return time.Now()
}

// crowd is many devices of one database.
type crowd []*member

type member struct {
	link   link
	number string
	shown  string
}

func (l *Lab) crowd(db database, n int) crowd {
	c := make(crowd, n)
	for i := range c {
		number := l.number()
		c[i] = &member{link: db.link(number, QR, true), number: number}
	}
	return c
}

func (m *member) show(ctx context.Context) (err error) {
	m.shown, err = m.link.start(ctx)
	return err
}

func (m *member) finish(l *Lab) error {
	if err := l.answer(QR, m.number, m.shown); err != nil {
		return fmt.Errorf("the phone says: %w", err)
	}
	return m.link.linked()
}

// each runs do for all members at once and returns the first error.
func (c crowd) each(do func(*member) error) error {
	var wg sync.WaitGroup
	failed := make(chan error, len(c))
	for _, m := range c {
		wg.Go(func() {
			if err := do(m); err != nil {
				failed <- err
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return fmt.Errorf("%d of %d failed, such as: %w", len(failed)+1, len(c), err)
	default:
		return nil
	}
}

func (c crowd) stop() {
	_ = c.each(func(m *member) error {
		m.link.stop()
		return nil
	})
}

// SyncTime returns the median of how long a synced write of 4 KiB takes in a
// folder: about what a commit costs there.
func SyncTime(folder string) (time.Duration, error) {
	file, err := os.CreateTemp(folder, "sync-*")
	if err != nil {
		return 0, err
	}
	defer func() { _ = errors.Join(file.Close(), os.Remove(file.Name())) }()
	const writes = 200
	times := make([]time.Duration, writes)
	page := make([]byte, 4096)
	for i := range times {
		began := time.Now()
		if _, err := file.Write(page); err != nil {
			return 0, err
		}
		if err := file.Sync(); err != nil {
			return 0, err
		}
		times[i] = time.Since(began)
	}
	return Quantile(times, 0.5), nil
}
