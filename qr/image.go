package qr

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
)

// maxSize keeps a size that came from elsewhere, such as a query parameter, from taking the memory of the program.
const maxSize = 4096

// PNG writes payload as a square PNG, two colours, size pixels wide. Each module is the same whole number of pixels, the
// largest that fits, and what is left over widens the margin. The payloads of WhatsApp, about 320 bytes, need at least
// 69 or 73 pixels; 512 are pleasant to scan.
//
// The error is about the payload, which is empty or longer than 2953 bytes, about a size that is too small for it or
// above 4096, or it is that of w.
func PNG(w io.Writer, payload string, size int) error {
	m, err := encode(payload)
	if err != nil {
		return err
	}
	if size < m.size || size > maxSize {
		return fmt.Errorf("qr: a size of %d pixels does not do: this payload needs %d to %d", size, m.size, maxSize)
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

// SVG writes payload as an SVG document that stands alone: a white square and one path, with nothing fetched from
// anywhere. It has no size of its own, only a viewBox, and so fills what it is put into.
//
// The error is about the payload, which is empty or longer than 2953 bytes, or it is that of w.
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
