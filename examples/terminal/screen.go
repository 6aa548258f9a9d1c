package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/walink/walink"
)

// screen shows a Link to a person.
//
// On a terminal the screen redraws its last lines, the frame, so that no code stays
// visible after it has expired; everything else scrolls by above the frame. Elsewhere
// the screen writes plain lines. Only a QR code has colours there, because a camera could
// not read it without them in a light window.
//
// A screen is safe for concurrent use. It is an io.Writer for a log.
type screen struct {
	out   io.Writer
	size  func() (columns, rows int) // nil if out is not a terminal
	color bool

	mu            sync.Mutex
	view          view
	columns, rows int                  // of the terminal when the frame was drawn
	drawn         int                  // rows of the frame above the cursor
	explained     map[walink.Kind]bool // the steps have been shown
}

// newScreen returns a screen on w. The screen draws if w is a terminal.
func newScreen(w io.Writer) *screen {
	s := &screen{out: w, explained: map[walink.Kind]bool{}}
	if file := terminal(w); file != nil && os.Getenv("TERM") != "dumb" {
		s.size = func() (int, int) {
			columns, rows, err := term.GetSize(int(file.Fd()))
			if err != nil || columns < 1 || rows < 1 {
				return 80, 24 // some terminals do not know their size
			}
			return columns, rows
		}
		s.color = os.Getenv("NO_COLOR") == ""
	}
	return s
}

// terminal returns w as a file if it is a terminal, and nil if not.
func terminal(w io.Writer) *os.File {
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return file
	}
	return nil
}

// live reports whether the screen draws a frame.
func (s *screen) live() bool { return s.size != nil }

// Show shows an event.
func (s *screen) Show(event walink.Event, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	notes := s.view.apply(event, now)
	if !s.live() {
		notes = append(notes, s.lines(event, now)...)
	}
	s.write(notes, now)
}

// Note writes a line that stays.
func (s *screen) Note(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write([]string{line}, time.Now())
}

// Write writes lines of a log above the frame.
func (s *screen) Write(lines []byte) (int, error) {
	s.Note(strings.TrimSuffix(string(lines), "\n"))
	return len(lines), nil
}

// Tick counts down, and redraws if the size of the window has changed.
func (s *screen) Tick(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if columns, rows := s.size(); columns != s.columns || rows != s.rows {
		// The terminal has moved the old frame to an unknown place.
		s.drawn = 0
		s.print("\x1b[H\x1b[2J" + s.draw(now))
		return
	}
	if s.view.typing {
		return // the status line would overwrite what the person types
	}
	s.print("\r\x1b[K" + s.status(now))
}

// Typed redraws the frame below what the person has typed. Call Typed after Enter.
func (s *screen) Typed(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live() {
		s.print(s.draw(now))
	}
}

// Close removes the frame.
func (s *screen) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view = view{}
	s.write(nil, time.Time{})
}

// write puts lines above the frame and redraws the frame.
func (s *screen) write(lines []string, now time.Time) {
	if !s.live() {
		for _, line := range lines {
			s.print(line + "\n")
		}
		return
	}
	var out strings.Builder
	out.WriteString("\r")
	if s.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", s.drawn)
	}
	out.WriteString("\x1b[J")
	columns, _ := s.size()
	for _, line := range fold(lines, columns) {
		out.WriteString(line + "\n")
	}
	out.WriteString(s.draw(now))
	s.print(out.String())
}

// draw returns the frame. Its last line, where the cursor stays, is the status line or
// a line to type on.
func (s *screen) draw(now time.Time) string {
	s.columns, s.rows = s.size()
	lines, last := s.view.frame(s.columns, s.rows), s.status(now)
	if s.view.typing {
		lines, last = append(lines, last), "> "
	}
	s.drawn = len(lines)
	var out strings.Builder
	for _, line := range lines {
		if !s.color && !strings.ContainsAny(line, "█▀▄") {
			line = plain(line)
		}
		out.WriteString(line + "\n")
	}
	return out.String() + last
}

// status returns the status line, cut to one row, because Tick erases only one.
func (s *screen) status(now time.Time) string {
	text := s.view.status(now)
	if text != "" {
		text += " | Ctrl-C stops"
	}
	line := []rune(text)
	return string(line[:min(len(line), max(s.columns-1, 0))])
}

// lines are the plain lines of an event, for an output that cannot be redrawn. The steps
// are shown once for each method.
func (s *screen) lines(event walink.Event, now time.Time) []string {
	var steps, shown []string
	switch e := event.(type) {
	case walink.PairingCode:
		steps = (&view{code: &e}).steps()
		shown = []string{"", "     " + e.Code, "", name(walink.MethodPairing, e.Number) + " is good until " + clock(e.Expires) + "."}
	case walink.QRCode:
		only := view{qr: &e}
		steps = only.steps()
		shown = append(only.drawn(), name(walink.MethodQR, e.Number)+" is good until "+clock(e.Expires)+".")
	case walink.Connecting, walink.Retrying:
		return []string{s.view.status(now)}
	case walink.Withdrawn, walink.PasskeyRequired, walink.PasskeyConfirmation, walink.Paired, walink.Linked, walink.Failed,
		walink.Disconnected, walink.Reconnected, walink.Standby:
		return nil
	}
	if s.explained[event.Kind()] {
		return shown
	}
	s.explained[event.Kind()] = true
	return append(append([]string{""}, steps...), shown...)
}

// print writes everything at once, so that the terminal never shows half a frame.
// print drops the error, because nobody could read it.
func (s *screen) print(text string) { _, _ = io.WriteString(s.out, text) }
