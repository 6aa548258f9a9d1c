package walink

import "time"

// awaitPairing waits until whatsmeow is through with a pair-success.
func (s *socket) awaitPairing() {
	s.mu.Lock()
	pairing := s.pairing
	s.mu.Unlock()
	if pairing == nil {
		return
	}
	timer := time.NewTimer(storeGrace)
	defer timer.Stop()
	select {
	case <-pairing:
	case <-timer.C:
	}
}

// beginPairing notes that whatsmeow handles a pair-success.
func (s *socket) beginPairing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pairing == nil {
		s.pairing = make(chan struct{})
	}
}

// paired notes that whatsmeow is through with a pair-success, and posts what it
// led to, and then what came meanwhile.
func (s *socket) paired(in inPaired) {
	late := s.endPairing()
	s.post(in)
	for _, in := range late {
		s.post(in)
	}
}

// endPairing notes that whatsmeow is through with a pair-success. It returns
// what came meanwhile.
func (s *socket) endPairing() (late []input) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pairing != nil && !s.isPaired {
		close(s.pairing)
	}
	s.isPaired = true
	late, s.late = s.late, nil
	return late
}

// afterPairing posts an input that whatsmeow may have told before it is through
// with a pair-success, which it handles in a goroutine of its own.
func (s *socket) afterPairing(in input) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.isRefused:
	case s.pairing != nil && !s.isPaired:
		s.late = append(s.late, in)
	default:
		s.inbox.post(in)
	}
}

// refuse notes that a pair-success was not good. Whatever comes of the
// connection is a consequence. It returns why checkAccount said no, if it did.
func (s *socket) refuse() (rejected *Error) {
	_ = s.endPairing()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isRefused = true
	return s.rejected
}
