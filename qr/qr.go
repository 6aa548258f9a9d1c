// Package qr draws the payload of a QR code for a person to scan: in a terminal, as a PNG, or as an SVG.
//
//	case walink.QRCode:
//		err = qr.Terminal(os.Stdout, e.Payload)
//
// All three draw the same code: dark on white, with the quiet zone of four modules that the standard asks for, in the
// smallest version that holds the payload at error correction level L. A screen has no scratches to correct, and fewer
// modules are larger ones. The payload is written as bytes and read back as they were.
//
// A payload that WhatsApp can pair with is a secret. No error of this package contains it, and nothing is written when
// it cannot be drawn.
//
// The functions are safe for concurrent use, as far as their writers are.
package qr

import (
	"errors"
	"fmt"

	"github.com/boombuler/barcode/qr"
)

const (
	// quiet is the margin around the symbol, in modules (ISO/IEC 18004, 6.3.8).
	quiet = 4
	// capacity is what the largest symbol, version 40, holds in byte mode at level L (ISO/IEC 18004, table 7).
	capacity = 2953
)

// matrix is a symbol with its quiet zone: size by size modules.
type matrix struct {
	size int
	dark []bool
}

func encode(payload string) (matrix, error) {
	switch {
	case payload == "":
		return matrix{}, errors.New("qr: the payload is empty")
	case len(payload) > capacity:
		return matrix{}, fmt.Errorf("qr: the payload has %d bytes, a QR code holds at most %d", len(payload), capacity)
	}
	// Byte mode by name: the encoder's automatic choice takes "+12" for a number and drops the sign, and a payload of
	// WhatsApp's is mixed case, which fits no shorter mode.
	code, err := qr.Encode(payload, qr.L, qr.Unicode)
	if err != nil {
		// The cause is left out: the encoder quotes the payload in some of its errors.
		return matrix{}, errors.New("qr: the payload cannot be encoded")
	}
	bounds := code.Bounds()
	m := matrix{size: bounds.Dx() + 2*quiet}
	m.dark = make([]bool, m.size*m.size)
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			luminance, _, _, _ := code.At(bounds.Min.X+x, bounds.Min.Y+y).RGBA()
			m.dark[(y+quiet)*m.size+x+quiet] = luminance == 0
		}
	}
	return m, nil
}

// at tells whether a module is dark. What lies outside the matrix is not.
func (m matrix) at(x, y int) bool {
	return x >= 0 && x < m.size && y >= 0 && y < m.size && m.dark[y*m.size+x]
}
