package wire

import (
	"errors"
	"sync"
	"time"
)

// How often whatsmeow may open the socket of a session by itself: burst at once, and then
// once in each interval. That is at most 60 times in 15 minutes.
const (
	burst    = 15
	interval = 20 * time.Second
)

// pace keeps a session from a connection storm. whatsmeow connects again at once after
// each login that the server lets in and then ends: autoReconnect in its client.go
// counts the errors since the last login. An error of the dial counts, so whatsmeow
// waits longer and longer. The zero value is ready for use. Delete pace when whatsmeow
// counts connections that end soon.
type pace struct {
	mu   sync.Mutex
	paid time.Time // the end of the last interval that was taken; it may lie ahead
}

// take notes that a socket is opened. It returns an error if whatsmeow opens the socket
// by itself, and may not do so now. own says that walink opens it, which has its own waits.
func (p *pace) take(own bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.paid.Before(now) {
		p.paid = now
	}
	paid := p.paid.Add(interval)
	if most := now.Add(burst * interval); paid.After(most) {
		if !own {
			return errPace
		}
		paid = most
	}
	p.paid = paid
	return nil
}

var errPace = errors.New("the connection has ended too often in the last minutes, and is opened less often now")
