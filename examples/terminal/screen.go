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
// On a terminal its last lines, the frame, are drawn over and over, so that no
// code stays visible that is no longer good, and everything else scrolls by
// above them. Elsewhere it writes plain lines, and only a QR code has colours,
// without which it could not be scanned from the log that it most likely ends up in.
//
// It is safe for concurrent use, and a log may be written to it.
type screen struct {
	out   io.Writer
	size  func() (columns, rows int) // nil where out is no terminal
	color bool

	mu            sync.Mutex
	view          view
	columns, rows int // of the terminal when the frame was drawn
	drawn         int // rows of what is drawn above the cursor
	told          map[walink.Kind]bool
}

// newScreen returns a screen on w, which is a live one if w is a terminal.
func newScreen(w io.Writer) *screen {
	s := &screen{out: w, told: map[walink.Kind]bool{}}
	if file := terminal(w); file != nil && os.Getenv("TERM") != "dumb" {
		s.size = func() (int, int) {
			columns, rows, err := term.GetSize(int(file.Fd()))
			if err != nil || columns < 1 || rows < 1 {
				return 80, 24 // some terminals do not know
			}
			return columns, rows
		}
		s.color = os.Getenv("NO_COLOR") == ""
	}
	return s
}

// terminal returns the terminal that w is, or nil.
func terminal(w io.Writer) *os.File {
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return file
	}
	return nil
}

// live reports whether the screen is a terminal that is drawn on.
func (s *screen) live() bool { return s.size != nil }

// Show tells an event.
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

// Write writes lines of a log above what is drawn.
func (s *screen) Write(lines []byte) (int, error) {
	s.Note(strings.TrimSuffix(string(lines), "\n"))
	return len(lines), nil
}

// Tick counts down, and draws anew if the window has changed.
func (s *screen) Tick(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if columns, rows := s.size(); columns != s.columns || rows != s.rows {
		// The terminal has moved what was drawn nobody knows where.
		s.drawn = 0
		s.print("\x1b[H\x1b[2J" + s.draw(now))
		return
	}
	if s.view.typing {
		return // it would draw over what has been typed
	}
	s.print("\r\x1b[K" + s.status(now))
}

// Typed takes note that the person has pressed Enter: what was typed stays, and
// the frame is drawn anew below it.
func (s *screen) Typed(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live() {
		s.print(s.draw(now))
	}
}

// Close takes what is drawn off the screen.
func (s *screen) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view = view{}
	s.write(nil, time.Time{})
}

// write puts lines above the frame and draws the frame again.
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

// draw returns the frame and its status line, after which the cursor stays, or
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

// status returns the status line, cut to one row: a second one would not be erased.
func (s *screen) status(now time.Time) string {
	text := s.view.status(now)
	if text != "" {
		text += " | Ctrl-C stops"
	}
	line := []rune(text)
	return string(line[:min(len(line), max(s.columns-1, 0))])
}

// lines are what an event looks like where nothing can be redrawn. The steps
// are told once for each method.
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
		walink.Disconnected, walink.Reconnected:
		return nil
	}
	if s.told[event.Kind()] {
		return shown
	}
	s.told[event.Kind()] = true
	return append(append([]string{""}, steps...), shown...)
}

// print writes in one go, so that the terminal never shows half a frame. An
// error has nowhere to be told.
func (s *screen) print(text string) { _, _ = io.WriteString(s.out, text) }
