package walinktest

import (
	"cmp"
	"slices"

	"go.mau.fi/whatsmeow/store"
)

// Companion is an unlinked client that waits for a phone.
type Companion struct {
	// OS and Platform are what its DeviceProps say: the name that a phone will
	// list, and the enum's name, such as "CHROME".
	OS, Platform string
	// Version is the client's.
	Version store.WAVersionContainer
	// Number is whose code it has asked for, digits alone; empty without a code
	// that is still good. The rest came with the request.
	Number, PlatformID, DisplayName string
	// Push is whether the phone is to show a notification.
	Push bool
}

// Stats counts what has happened since the server began.
type Stats struct {
	// Connections counts websockets, Logins the logins that succeeded.
	Connections, Logins int
	// CodeRequests counts companion_hello, those that were refused too.
	CodeRequests int
	// VersionRequests counts requests for the page with the client's revision.
	VersionRequests int
	// LastVersion is the client version in the latest payload.
	LastVersion store.WAVersionContainer
}

// Companions returns the companions that wait for a phone, the oldest connection first.
func (s *Server) Companions() []Companion {
	s.mu.Lock()
	defer s.mu.Unlock()
	var waiting []*companion
	for c := range s.conns {
		if c.companion != nil && len(c.companion.refs) > 0 {
			waiting = append(waiting, c.companion)
		}
	}
	slices.SortFunc(waiting, func(a, b *companion) int { return cmp.Compare(a.conn.serial, b.conn.serial) })
	companions := make([]Companion, 0, len(waiting))
	for _, p := range waiting {
		companion := Companion{OS: p.props.GetOs(), Platform: p.props.GetPlatformType().String(), Version: p.version}
		if p.code.good() {
			companion.Number, companion.PlatformID = p.code.number, p.code.platformID
			companion.DisplayName, companion.Push = p.code.display, p.code.push
		}
		companions = append(companions, companion)
	}
	return companions
}

// Stats returns the counts so far.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// CodeRequests returns how often a code was asked for by a number, digits alone.
func (s *Server) CodeRequests(number string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[number]
}

// RequireVersion refuses clients older than version with failure 405, and names
// its revision on the page that clients look for theirs. The zero version, the
// default, refuses none.
func (s *Server) RequireVersion(version store.WAVersionContainer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.required = version
	if !version.IsZero() {
		s.revision = version[2]
	}
}

// SetRevision sets the revision on the page that clients look for theirs; whatsmeow's own otherwise.
func (s *Server) SetRevision(revision uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision = revision
}
