package leasetest

import (
	"maps"
	"time"
)

// cut cuts a program off from the Store. The program must give up its sessions
// before others get them.
func (r *run) cut() {
	r.mu.Lock()
	var c *child
	for _, holder := range r.holders {
		c = holder
	}
	clear(c.lost)
	sessions := []int{}
	for session, holder := range r.holders {
		if holder == c {
			sessions = append(sessions, session)
		}
	}
	r.mu.Unlock()
	start := time.Now()
	restore := r.config.Cut(c.number)
	timer := time.NewTimer(takeover)
	defer timer.Stop()
	for {
		r.mu.Lock()
		passed := 0
		for _, session := range sessions {
			if holder := r.holders[session]; holder != nil && holder != c {
				passed++
			}
		}
		r.mu.Unlock()
		if passed == len(sessions) || r.t.Failed() {
			break
		}
		select {
		case <-r.changed:
		case <-timer.C:
			r.t.Fatalf("%d of the %d sessions of a program that was cut off from the store have passed to others", passed, len(sessions))
		}
	}
	restore()
	r.count("cut off", sessions, time.Since(start))
}

// restart restarts the server of the Store, which no session may notice.
func (r *run) restart() {
	r.settle("before a restart of the server")
	r.mu.Lock()
	before := maps.Clone(r.holders)
	for _, c := range r.children {
		clear(c.lost)
	}
	r.mu.Unlock()
	if err := r.config.Restart(); err != nil {
		r.t.Fatal(err)
	}
	timer := time.NewTimer(aftermath)
	defer timer.Stop()
	for {
		select {
		case <-r.changed:
		case <-timer.C:
			return
		}
		r.mu.Lock()
		for session, c := range before {
			if why, lost := c.lost[session]; lost || r.holders[session] != c {
				r.t.Errorf("program %d has lost session %d because the server was restarted: %s", c.number, session, why)
			}
		}
		r.mu.Unlock()
		if r.t.Failed() {
			return
		}
	}
}
