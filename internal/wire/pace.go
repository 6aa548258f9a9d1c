package wire

import (
	"errors"
	"sync"
	"time"
)

// How often the sockets of a Linker may be opened: burst at once, and then one in each
// interval. That is at most 60 in 15 minutes.
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

// take returns an error if no socket may be opened now.
func (p *pace) take() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.paid.Before(now) {
		p.paid = now
	}
	if paid := p.paid.Add(interval); paid.Sub(now) <= burst*interval {
		p.paid = paid
		return nil
	}
	return errPace
}

var errPace = errors.New("the connection has ended too often in the last minutes, and is opened less often now")
