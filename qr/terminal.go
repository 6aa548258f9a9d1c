package qr

import (
	"bytes"
	"fmt"
	"io"
)

// Terminal sets both colours, since the terminal's own may be light on dark, which many scanners cannot read. Both come
// from the 256-colour palette: colour schemes redefine its first 16 colours, and some of them 16 to 21 as well, but not
// 231 (white) and 232 (#080808). True colour would not do: some terminals do not know it, and take the zeros in its
// sequence for a reset.
//
// The foreground is white. In many fonts the block elements end a pixel short of the cell's edge. White blocks on black
// then make the dark modules a little wider. Black blocks on white would cut the dark modules, and the finder patterns
// that are made of them, apart.
const (
	onBlack = "\x1b[0;38;5;231;48;5;232m"
	onWhite = "\x1b[0;38;5;231;48;5;231m"
	reset   = "\x1b[0m\n"
)

// Terminal writes payload to w as a QR code for a terminal with UTF-8, 256 colours and a font that has the block
// elements. The code looks the same in every colour scheme. Each line holds two rows of modules, drawn with half blocks.
// It ends with a reset of the colours and a newline. Nothing moves the cursor, so the output can go through a pipe.
//
// A payload of WhatsApp has about 320 bytes and takes 69 or 73 columns and 35 or 37 lines. A terminal of 80 columns can
// show payloads of up to 425 bytes; the longest payload takes 185 columns. A code with wrapped lines cannot be scanned.
//
// Terminal returns an error if payload is empty or longer than 2953 bytes, and if w fails.
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
				// White on white leaves no gap in the cell, and the block still shows in a log that drops colours.
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
