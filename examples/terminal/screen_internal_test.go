package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/qr"
)

// tty is a terminal of a fixed size that keeps the lines that scroll away.
type tty struct {
	columns, rows int
	lines         [][]rune // the last rows of them are visible
	row, column   int
}

func newTTY(columns, rows int) *tty {
	return &tty{columns: columns, rows: rows, lines: make([][]rune, rows)}
}

// top is the first visible line.
func (t *tty) top() int { return len(t.lines) - t.rows }

// Write does what a terminal does with the few sequences that screen uses.
func (t *tty) Write(data []byte) (int, error) {
	text := []rune(string(data))
	for i := 0; i < len(text); i++ {
		switch r := text[i]; r {
		case '\r':
			t.column = 0
		case '\n':
			t.newline()
		case '\x1b':
			end := i + 2
			for end < len(text) && !strings.ContainsRune("AHJKm", text[end]) {
				end++
			}
			t.sequence(string(text[i+2:end]), text[end])
			i = end
		default:
			if t.column == t.columns {
				t.newline()
			}
			line := t.lines[t.row]
			for len(line) <= t.column {
				line = append(line, ' ')
			}
			line[t.column] = r
			t.lines[t.row] = line
			t.column++
		}
	}
	return len(data), nil
}

func (t *tty) newline() {
	t.row++
	t.column = 0
	if t.row == len(t.lines) {
		t.lines = append(t.lines, nil)
	}
}

func (t *tty) sequence(argument string, final rune) {
	switch final {
	case 'A':
		n := 0
		_, _ = fmt.Sscan(argument, &n)
		t.row = max(t.row-n, t.top())
	case 'H':
		t.row, t.column = t.top(), 0
	case 'J':
		from := t.row
		if argument == "2" {
			from = t.top()
		} else {
			t.lines[from] = t.lines[from][:min(t.column, len(t.lines[from]))]
			from++
		}
		for i := from; i < len(t.lines); i++ {
			t.lines[i] = nil
		}
	case 'K':
		t.lines[t.row] = t.lines[t.row][:min(t.column, len(t.lines[t.row]))]
	}
}

// all is everything that was written and not erased.
func (t *tty) all() string {
	var out strings.Builder
	for _, line := range t.lines {
		out.WriteString(strings.TrimRight(string(line), " ") + "\n")
	}
	return out.String()
}

// visible is what the window shows.
func (t *tty) visible() string {
	return strings.Join(strings.SplitAfter(t.all(), "\n")[t.top():], "")
}

// picture is a QR code as a terminal shows it.
func picture(t *testing.T, payload string) string {
	t.Helper()
	var out bytes.Buffer
	if err := qr.Terminal(&out, payload); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(plain(out.String())) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	return strings.Join(lines, "\n")
}

func testNumber(t *testing.T) walink.Phone {
	t.Helper()
	phone, err := walink.ParsePhone("+55 11 98765-4321")
	if err != nil {
		t.Fatal(err)
	}
	return phone
}

// TestPains08NoStaleCodeStaysVisible plays a long Link on windows of several sizes. After
// each event and each second the window shows the codes that are good then, and no others.
func TestPains08NoStaleCodeStaysVisible(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	code := func(n int) walink.PairingCode {
		return walink.PairingCode{
			Code: fmt.Sprintf("CDE%d-FGH%d", n, n), Phone: testNumber(t), Number: n, Issued: start, Expires: start.Add(3 * time.Minute),
		}
	}
	payload := func(n int) string {
		return fmt.Sprintf("https://wa.me/settings/linked_devices#%d%s", n, strings.Repeat(fmt.Sprint(n), 280))
	}
	image := func(n int) walink.QRCode {
		return walink.QRCode{Payload: payload(n), Number: n, Issued: start, Expires: start.Add(time.Minute)}
	}
	lost := &walink.Error{Reason: walink.ErrNetwork, Op: "connect", Err: fmt.Errorf("a long reason %s", strings.Repeat("and so on ", 20))}
	type step struct {
		event    walink.Event
		code, qr int // what is good after it
	}
	story := []step{
		{event: walink.Connecting{Attempt: 1}},
		{event: image(1), qr: 1},
		{event: code(1), code: 1, qr: 1},
		{event: image(2), code: 1, qr: 2},
		{event: walink.Withdrawn{Method: walink.MethodPairing, Number: 1, Reason: walink.WithdrawnRefused, Err: lost}, qr: 2},
		{event: image(3), qr: 3},
		{event: code(2), code: 2, qr: 3},
		{event: walink.Withdrawn{Method: walink.MethodQR, Number: 3, Reason: walink.WithdrawnExpired}, code: 2},
		{event: walink.Withdrawn{Method: walink.MethodPairing, Number: 2, Reason: walink.WithdrawnStalled, Err: lost}},
		{event: walink.Retrying{Attempt: 2, Err: lost, At: start.Add(time.Second)}},
		{event: walink.Connecting{Attempt: 2}},
		{event: code(3), code: 3},
		{event: image(4), code: 3, qr: 4},
		{event: walink.PasskeyRequired{Expires: start.Add(10 * time.Minute)}},
		{event: image(5), qr: 5},
		{event: walink.Paired{}},
		{event: walink.Linked{}},
	}
	var drawn [6]string
	for n := range drawn {
		drawn[n] = picture(t, payload(n))
	}
	for _, size := range [][2]int{{120, 60}, {100, 44}, {80, 24}, {72, 37}, {40, 12}, {30, 6}} {
		t.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(t *testing.T) {
			t.Parallel()
			window := newTTY(size[0], size[1])
			s := &screen{out: window, size: func() (int, int) { return window.columns, window.rows }, color: true}
			fit := size[0] >= 72 && size[1] >= 37
			for i, step := range story {
				now := start.Add(time.Duration(i) * time.Second)
				s.Show(step.event, now)
				if i%4 == 0 {
					s.Note("a line of a log, or of the simulated phone")
				}
				s.Tick(now.Add(time.Second))
				all, visible := window.all(), window.visible()
				for n := 1; n <= 5; n++ {
					c := code(n).Code
					shown := strings.Contains(all, c) || strings.Contains(all, strings.Join(strings.Split(c, ""), " "))
					if shown != (n == step.code) {
						t.Errorf("after %s: code %d on the screen is %t\n%s", step.event.Kind(), n, shown, all)
					}
					rows := strings.Split(drawn[n], "\n")
					if n != step.qr && strings.Contains(all, rows[len(rows)/2]) {
						t.Errorf("after %s: a part of QR code %d is on the screen\n%s", step.event.Kind(), n, all)
					}
					if n == step.qr && fit != strings.Contains(visible, drawn[n]) {
						t.Errorf("after %s: QR code %d is visible: %t\n%s", step.event.Kind(), n, !fit, visible)
					}
				}
				if step.qr != 0 && !fit && size[1] > 20 && !strings.Contains(visible, "the QR code needs a window of") {
					t.Errorf("no hint that the window is too small\n%s", visible)
				}
			}
			s.Close()
			if strings.Contains(window.all(), "| Ctrl-C stops") {
				t.Errorf("the status line is left\n%s", window.all())
			}
		})
	}
}

func TestResizeDrawsAnew(t *testing.T) {
	t.Parallel()
	window := newTTY(60, 20)
	s := &screen{out: window, size: func() (int, int) { return window.columns, window.rows }}
	now := time.Now()
	event := walink.QRCode{Payload: strings.Repeat("x", 300), Number: 1, Expires: now.Add(time.Minute)}
	s.Show(event, now)
	*window = *newTTY(100, 50)
	s.Tick(now)
	if drawn := picture(t, event.Payload); !strings.Contains(window.visible(), drawn) {
		t.Errorf("the QR code is not drawn although it fits now\n%s", window.visible())
	}
}

// The screen does not overwrite what a person types while WhatsApp wants a passkey: not
// with the countdown, and after Enter not with what follows.
func TestTypingStaysOnTheScreen(t *testing.T) {
	t.Parallel()
	window := newTTY(60, 20)
	s := &screen{out: window, size: func() (int, int) { return window.columns, window.rows }}
	now := time.Now()
	s.Show(walink.PasskeyRequired{Expires: now.Add(10 * time.Minute)}, now)
	s.Note("do one of these")
	echo := strings.Repeat("{answer}", 20) // takes three rows
	_, _ = window.Write([]byte(echo))
	for i := range 5 {
		s.Tick(now.Add(time.Duration(i) * time.Second))
	}
	_, _ = window.Write([]byte("\n"))
	s.Typed(now)
	s.Note("Not accepted.")
	want := []string{
		"WhatsApp wants the account's passkey before it links this", "device.",
		"do one of these", "Waiting for the passkey until " + clock(now.Add(10*time.Minute)) + " ... | Ctrl-C stops",
		"> " + echo[:58], echo[58:118], echo[118:],
		"Not accepted.", "Waiting for the passkey until " + clock(now.Add(10*time.Minute)) + " ... | Ctrl-C stops", ">",
	}
	if got := strings.TrimSpace(window.all()); got != strings.Join(want, "\n") {
		t.Errorf("the screen shows\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestNoColorKeepsTheQRCodeAlone(t *testing.T) {
	t.Parallel()
	for _, color := range []bool{false, true} {
		var out bytes.Buffer
		s := &screen{out: &out, size: func() (int, int) { return 100, 60 }, color: color}
		now := time.Now()
		s.Show(walink.PairingCode{Code: "ABCD-EFGH", Phone: testNumber(t), Number: 1, Expires: now.Add(time.Minute)}, now)
		s.Show(walink.QRCode{Payload: "payload", Number: 1, Expires: now.Add(time.Minute)}, now)
		if got := strings.Contains(out.String(), "\x1b[1m"); got != color {
			t.Errorf("colours %t, bold %t", color, got)
		}
		if !strings.Contains(out.String(), "\x1b[0;38;5;231") {
			t.Errorf("colours %t: the QR code has none", color)
		}
	}
}

// TestWords has the lines that stay on the screen, for the most important events.
func TestWords(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local)
	limited := &walink.Error{Reason: walink.ErrRateLimited, Op: "request code", RetryAfter: 15 * time.Minute}
	refused := &walink.Error{Reason: walink.ErrCodeRefused, Op: "enter code"}
	for name, test := range map[string]struct {
		before []walink.Event
		event  walink.Event
		want   []string
	}{
		"a code that replaces another": {
			[]walink.Event{walink.PairingCode{Number: 1}},
			walink.PairingCode{Number: 2},
			[]string{"Code 2 takes the place of code 1."},
		},
		"a code after one that expired": {
			[]walink.Event{walink.PairingCode{Number: 1}, walink.Withdrawn{Method: walink.MethodPairing, Number: 1, Reason: walink.WithdrawnExpired}},
			walink.PairingCode{Number: 2},
			[]string{"Code 2 takes the place of code 1."},
		},
		"expired": {
			[]walink.Event{walink.QRCode{Number: 3}},
			walink.Withdrawn{Method: walink.MethodQR, Number: 3, Reason: walink.WithdrawnExpired},
			[]string{"QR code 3 is no longer good: it has expired."},
		},
		"fallback": {
			nil,
			walink.QRCode{Number: 1, Fallback: limited},
			[]string{
				"No pairing code can be had: request code: rate limited. " + limited.Remedy() + " Try again at 12:15:00.",
				"Going on with QR codes.",
			},
		},
		"fallback explained once": {
			[]walink.Event{walink.QRCode{Number: 1, Fallback: limited}},
			walink.QRCode{Number: 2, Fallback: limited},
			[]string{"QR code 2 takes the place of QR code 1."},
		},
		"refused, with the other form of the number": {
			[]walink.Event{walink.PairingCode{Number: 1}},
			walink.Withdrawn{
				Method: walink.MethodPairing, Number: 1, Reason: walink.WithdrawnRefused, Err: refused,
				Alternatives: testNumber(t).Alternatives(),
			},
			[]string{
				"Code 1 is no longer good: enter code: code refused. " + refused.Remedy(),
				`If codes are refused again, start again with -phone "+551187654321": WhatsApp may know the number as +55 11 8765-4321.`,
			},
		},
		"the same failure again": {
			[]walink.Event{walink.Retrying{Attempt: 2, Err: refused}},
			walink.Retrying{Attempt: 3, Err: refused},
			[]string{"Attempt 2 failed: see above."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := view{surprised: true}
			for _, event := range test.before {
				v.apply(event, now)
			}
			if got := v.apply(test.event, now); !slices.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestFirstCodeExplainsWhatThePhoneMayShow(t *testing.T) {
	t.Parallel()
	for _, event := range []walink.Event{walink.PairingCode{Number: 1}, walink.QRCode{Number: 1}} {
		var v view
		first := strings.Join(v.apply(event, time.Now()), "\n")
		for _, want := range []string{"names a place", "Create a passkey", "Try again later"} {
			if !strings.Contains(first, want) {
				t.Errorf("with the first code of %s the screen does not explain %q:\n%s", event.Kind(), want, first)
			}
		}
		if again := strings.Join(v.apply(event, time.Now()), "\n"); strings.Contains(again, "names a place") {
			t.Errorf("the screen explains it again:\n%s", again)
		}
	}
}

func TestFold(t *testing.T) {
	t.Parallel()
	got := fold([]string{"  4. one two three four", "short", "averyverylongword"}, 14)
	want := []string{"  4. one two", "     three", "     four", "short", "averyverylongword"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The phone may show no notification, so a window of any size shows the way through the
// menus next to the code.
func TestPains25TheWayThroughTheMenus(t *testing.T) {
	t.Parallel()
	phone, err := walink.ParsePhone("+5511987654321")
	if err != nil {
		t.Fatal(err)
	}
	v := &view{code: &walink.PairingCode{Code: "ABCD-EFGH", Phone: phone, Number: 1}}
	for _, size := range [][2]int{{120, 50}, {80, 24}, {80, 6}, {40, 30}} {
		text := strings.Join(v.frame(size[0], size[1]), " ")
		for _, step := range []string{"Linked devices", "Link a device", "Link with phone number instead", "ABCD-EFGH"} {
			if !strings.Contains(strings.ReplaceAll(text, " ", ""), strings.ReplaceAll(step, " ", "")) {
				t.Errorf("in a window of %v nothing says %q:\n%s", size, step, text)
			}
		}
	}
}
