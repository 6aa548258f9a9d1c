package walinktest

import (
	"cmp"
	"slices"

	"go.mau.fi/whatsmeow/store"
)

// Companion is an unlinked client that waits for a phone.
type Companion struct {
	// OS and Platform come from its DeviceProps: the name that a phone will list,
	// and the name in the enum, such as "CHROME".
	OS, Platform string
	// Version is the client's version.
	Version store.WAVersionContainer
	// Number is the phone number for which it has asked for a pairing code, in
	// digits. PlatformID and DisplayName came with that request. All three are empty
	// if it has no code that is still good.
	Number, PlatformID, DisplayName string
	// Push is whether the request wants a notification on the phone.
	Push bool
}

// Stats counts events since the start of the server.
type Stats struct {
	// Connections counts websockets. Logins counts successful logins.
	Connections int `json:"connections"`
	Logins      int `json:"logins"`
	// Replaced counts connections that ended because their device logged in on another one.
	Replaced int `json:"replaced"`
	// CodeRequests counts companion_hello requests, including refused ones.
	CodeRequests int `json:"codeRequests"`
	// VersionRequests counts requests for the page with the client's revision.
	VersionRequests int `json:"versionRequests"`
	// LastVersion is the client version in the latest payload.
	LastVersion store.WAVersionContainer `json:"lastVersion"`
}

// Companions returns the companions that wait for a phone, the oldest connection first.
func (s *Server) Companions() []Companion {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.waiting()
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

// CodeRequests returns the number of requests for a pairing code of a phone number,
// which is given in digits.
func (s *Server) CodeRequests(number string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[number]
}

// RequireVersion makes the server refuse clients older than version with failure 405,
// and name version's revision on the page that clients fetch. With the zero version,
// the default, the server refuses no client.
func (s *Server) RequireVersion(version store.WAVersionContainer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.required = version
	if !version.IsZero() {
		s.revision = version[2]
	}
}

// SetRevision sets the client revision on the page that clients fetch. The default is
// whatsmeow's own revision.
func (s *Server) SetRevision(revision uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision = revision
}
