package qr

import (
	"bytes"
	"fmt"
	"io"
)

// The colours are told, since a terminal's own may be light on dark, which many scanners cannot read. They come out of
// the 256-colour palette: colour schemes redefine the first 16, and some of them 16 to 21 as well, but leave 231 (white)
// and 232 (#080808) alone. True colour is not understood everywhere, and what does not understand it takes its zeros for a reset.
//
// The ink is white. In many fonts the blocks stop a pixel short of the cell's edge: white ink on black then makes the dark
// modules a little fatter, while black ink on white tears them, and the finder patterns with them, apart.
const (
	onBlack = "\x1b[0;38;5;231;48;5;232m"
	onWhite = "\x1b[0;38;5;231;48;5;231m"
	reset   = "\x1b[0m\n"
)

// Terminal writes payload as a QR code for a terminal with UTF-8, 256 colours and a font that has the block elements, whatever
// colours its user has chosen.
// Two rows of modules share a line, by half blocks. Each line ends with its colours reset and a newline, and nothing
// moves the cursor, so that the code can go through a pipe as well.
//
// The payloads of WhatsApp, about 320 bytes, take 69 or 73 columns and 35 or 37 lines. 80 columns hold payloads of up
// to 425 bytes; a longer one takes more, 185 columns at the most. A line that the terminal has to break cannot be scanned.
//
// The error is about the payload, which is empty or longer than 2953 bytes, or it is that of w.
func Terminal(w io.Writer, payload string) error {
	m, err := encode(payload)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	for y := 0; y < m.size; y += 2 {
		colours := ""
		for x := range m.size {
			want, glyph := onBlack, ' '
			switch upper, lower := m.at(x, y), m.at(x, y+1); {
			case !upper && !lower:
				// White on white: the cell has no gaps, and the shape outlives a log that drops colours.
				want, glyph = onWhite, '█'
			case !upper:
				glyph = '▀'
			case !lower:
				glyph = '▄'
			}
			if want != colours {
				out.WriteString(want)
				colours = want
			}
			out.WriteRune(glyph)
		}
		out.WriteString(reset)
	}
	if _, err := w.Write(out.Bytes()); err != nil {
		return fmt.Errorf("qr: write: %w", err)
	}
	return nil
}
