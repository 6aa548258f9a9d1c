// Package qr draws the payload of a QR code for a person to scan: in a terminal, as a PNG, or as an SVG.
//
//	case walink.QRCode:
//		err = qr.Terminal(os.Stdout, e.Payload)
//
// All three functions draw the same code: dark on white, with the quiet zone of four modules that the standard requires,
// in the smallest version that holds the payload at error correction level L. A screen has no scratches to correct, and
// the fewer modules a code has, the larger they are. The payload is encoded as bytes, and a scanner returns the same bytes.
//
// A payload that WhatsApp can pair with is a secret. No error of this package contains the payload. A function that
// cannot draw a payload writes nothing.
//
// The functions are safe for concurrent use if their writers are.
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
	// qr.Unicode is byte mode. The encoder's automatic choice, qr.Auto, takes "+12" for a number and drops the sign. Byte
	// mode costs nothing: a payload of WhatsApp has upper and lower case, which no shorter mode can hold.
	code, err := qr.Encode(payload, qr.L, qr.Unicode)
	if err != nil {
		// The error does not wrap err: the encoder quotes the payload in some of its errors.
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

// at reports whether the module in column x of row y is dark. A module outside the matrix is not.
func (m matrix) at(x, y int) bool {
	return x >= 0 && x < m.size && y >= 0 && y < m.size && m.dark[y*m.size+x]
}
