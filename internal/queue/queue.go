// Package queue has a queue whose Put never waits, and Replies, which connects calls with
// their replies.
package queue

import "sync"

// Queue is a first-in, first-out queue. Several goroutines may put items into it;
// one goroutine takes them out, either all of them with Take, or one by one into
// a channel with Head and Sent.
type Queue[T any] struct {
	ready chan struct{} // holds a token while there may be something to take

	mu     sync.Mutex
	items  []T
	closed bool
}

// New returns an empty queue.
func New[T any]() *Queue[T] { return &Queue[T]{ready: make(chan struct{}, 1)} }

// Put adds an item. It never blocks, and after Close it does nothing.
func (q *Queue[T]) Put(item T) {
	q.mu.Lock()
	if !q.closed {
		q.items = append(q.items, item)
	}
	q.mu.Unlock()
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// Ready returns a channel that gives a token after a Put. A token may come
// without an item.
func (q *Queue[T]) Ready() <-chan struct{} { return q.ready }

// Take returns all items, oldest first, and empties the queue.
func (q *Queue[T]) Take() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items = nil
	return items
}

// Close drops all items, and those that come later.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.items = true, nil
}

// Head is for a select statement that sends to a channel: it returns to and the
// oldest item, or a nil channel if the queue is empty. Call Sent once the item
// has been sent. A nil queue is empty.
func (q *Queue[T]) Head(to chan<- T) (out chan<- T, item T) {
	if q == nil {
		return nil, item
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return nil, item
	}
	return to, q.items[0]
}

// Sent removes the oldest item.
func (q *Queue[T]) Sent() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = q.items[1:]
}
