package wire

import (
	"context"
	"errors"
	"sync"
	"time"
)

// How often the socket of a linked session may be opened: burst at once, and then once in
// each interval. That is at most 60 times in 15 minutes. whatsmeow by itself may have
// ownBurst at once, so that some are left for walink, which has its own waits.
const (
	burst    = 15
	ownBurst = 12
	interval = 20 * time.Second
)

// Pace keeps a session from a connection storm. whatsmeow connects again at once after
// each login that the server lets in and then ends: autoReconnect in its client.go
// counts the errors since the last login. An error of the dial counts, so whatsmeow
// waits longer and longer. The zero value is ready for use. Delete Pace when whatsmeow
// counts connections that end soon.
type Pace struct {
	mu   sync.Mutex
	paid time.Time // the end of the last interval that was taken; it may lie ahead
}

// take notes that a socket is opened, and returns how long to wait before that. own says
// that walink opens it; linked says that a login follows. For a socket that whatsmeow opens
// by itself, take returns an error in place of a wait. A socket for codes never waits.
func (p *Pace) take(own, linked bool) (wait time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.paid.Before(now) {
		p.paid = now
	}
	most := now.Add(burst * interval)
	paid := p.paid.Add(interval)
	switch {
	case !own && paid.After(now.Add(ownBurst*interval)):
		return 0, errPace
	case !paid.After(most):
	case linked:
		wait = paid.Sub(most)
	default:
		paid = most
	}
	p.paid = paid
	return wait, nil
}

// await is take, and waits.
func (p *Pace) await(ctx context.Context, own, linked bool) error {
	wait, err := p.take(own, linked)
	if err != nil || wait == 0 {
		return err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done(): // the socket is not opened
		p.mu.Lock()
		defer p.mu.Unlock()
		p.paid = p.paid.Add(-interval)
		return ctx.Err()
	}
}

var errPace = errors.New("the connection has ended too often in the last minutes, and is opened less often now")
