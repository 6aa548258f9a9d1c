package qr

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
)

// maxSize is the largest width of a PNG, in pixels. It bounds the memory that PNG takes for a size from outside, such as a
// query parameter.
const maxSize = 4096

// PNG writes payload to w as a square PNG image in two colours, size pixels wide. Every module has the same whole number
// of pixels, the largest that fits. The pixels that are left over widen the margin. A payload of WhatsApp has about
// 320 bytes and needs a size of at least 69 or 73; a size of 512 is easy to scan.
//
// PNG returns an error if payload is empty or longer than 2953 bytes, if size is too small for the payload or larger
// than 4096, and if w fails.
func PNG(w io.Writer, payload string, size int) error {
	m, err := encode(payload)
	if err != nil {
		return err
	}
	if size < m.size || size > maxSize {
		return fmt.Errorf("qr: a size of %d pixels is out of range: this payload takes %d to %d", size, m.size, maxSize)
	}
	scale := size / m.size
	offset := (size - scale*m.size) / 2
	img := image.NewPaletted(image.Rect(0, 0, size, size), color.Palette{color.White, color.Black})
	for y := range scale * m.size {
		row := img.Pix[(offset+y)*img.Stride+offset:]
		for x := range scale * m.size {
			if m.at(x/scale, y/scale) {
				row[x] = 1
			}
		}
	}
	if err := png.Encode(w, img); err != nil {
		return fmt.Errorf("qr: write: %w", err)
	}
	return nil
}

// SVG writes payload to w as a complete SVG document: a white square and one path. The document loads nothing else. It
// has a viewBox and no size, so it fills the element around it.
//
// SVG returns an error if payload is empty or longer than 2953 bytes, and if w fails.
func SVG(w io.Writer, payload string) error {
	m, err := encode(payload)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[1]d" shape-rendering="crispEdges">`+
		`<rect width="%[1]d" height="%[1]d" fill="#fff"/><path fill="#000" d="`, m.size)
	for y := range m.size {
		for x := 0; x < m.size; x++ {
			start := x
			for m.at(x, y) {
				x++
			}
			if x > start {
				fmt.Fprintf(&out, "M%d %dh%dv1h-%dz", start, y, x-start, x-start)
			}
		}
	}
	out.WriteString(`"/></svg>` + "\n")
	if _, err := w.Write(out.Bytes()); err != nil {
		return fmt.Errorf("qr: write: %w", err)
	}
	return nil
}
