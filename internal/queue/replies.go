package queue

import "sync"

// Replies connects calls with their replies. Each call has a number, under which another
// goroutine replies to it. The zero value is ready.
type Replies struct {
	mu      sync.Mutex
	last    int
	waiting map[int]chan<- error
}

// Number returns a number for which no call waits.
func (r *Replies) Number() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	return r.last
}

// Begin returns the number of a new call, and the channel for its reply.
func (r *Replies) Begin() (int, <-chan error) {
	number, reply := r.Number(), make(chan error, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting == nil {
		r.waiting = map[int]chan<- error{}
	}
	r.waiting[number] = reply
	return number, reply
}

// Reply ends a call with err. Reply does nothing if no call waits under the number: the
// call has had its reply, or the number was never that of a call.
func (r *Replies) Reply(number int, err error) {
	r.mu.Lock()
	reply := r.waiting[number]
	delete(r.waiting, number)
	r.mu.Unlock()
	if reply != nil {
		reply <- err
	}
}
