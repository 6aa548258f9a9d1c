package walink

import "sync"

// inbox is where whatsmeow's goroutines leave inputs for the one that owns the
// Link. It never blocks them.
type inbox struct {
	ready chan struct{} // holds a token while there is something to take

	mu     sync.Mutex
	inputs []input
	closed bool
}

func newInbox() *inbox { return &inbox{ready: make(chan struct{}, 1)} }

// post adds an input. After close it does nothing.
func (b *inbox) post(in input) {
	b.mu.Lock()
	if !b.closed {
		b.inputs = append(b.inputs, in)
	}
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// take returns what has been posted since the last take, in order.
func (b *inbox) take() []input {
	b.mu.Lock()
	defer b.mu.Unlock()
	inputs := b.inputs
	b.inputs = nil
	return inputs
}

// close drops what is left and all that comes after.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.inputs = true, nil
}

// closedInbox returns an inbox that keeps nothing.
func closedInbox() *inbox { return &inbox{ready: make(chan struct{}, 1), closed: true} }
