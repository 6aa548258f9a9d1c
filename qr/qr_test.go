package qr_test

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"github.com/walink/walink/qr"
)

// scale is the number of pixels that the tests give a module.
const scale = 2

// form is one of the package's three functions. read makes a picture of its output without the package's help.
type form struct {
	name string
	draw func(w io.Writer, payload string) error
	read func(tb testing.TB, data []byte) image.Image
}

func forms() []form {
	return []form{
		{"Terminal", qr.Terminal, readTerminal},
		{"PNG", func(w io.Writer, payload string) error { return qr.PNG(w, payload, 256) }, readPNG},
		{"SVG", qr.SVG, readSVG},
	}
}

func TestReadBack(t *testing.T) {
	t.Parallel()
	payloads := map[string]string{
		"one byte":            "x",
		"as WhatsApp writes":  whatsAppPayload(142),
		"short ref":           whatsAppPayload(80),
		"long ref":            whatsAppPayload(250),
		"without prefix":      strings.TrimPrefix(whatsAppPayload(142), "https://wa.me/settings/linked_devices#"),
		"digits":              "0123456789",
		"a sign among digits": "+12-34",
		"upper case":          "HTTPS://WA.ME/",
		"not ASCII":           "código – 二维码",
		"line breaks":         "a\r\nb\n",
		"400 bytes":           strings.Repeat("Ab0/", 100),
	}
	for name, payload := range payloads {
		for _, f := range forms() {
			t.Run(f.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				checkReadBack(t, f, payload)
			})
		}
	}
}

// TestReadBackRandom checks the property behind the table: any 1 to 400 printable bytes read back as they were.
func TestReadBackRandom(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 10 {
		payload := make([]byte, 1+random.IntN(400))
		for i := range payload {
			payload[i] = byte(' ' + random.IntN('~'-' '+1))
		}
		for _, f := range forms() {
			checkReadBack(t, f, string(payload))
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzReadBack(f *testing.F) {
	f.Add("x")
	f.Add("+12")
	f.Add(whatsAppPayload(142))
	f.Fuzz(func(t *testing.T, payload string) {
		if payload == "" || len(payload) > 400 || !utf8.ValidString(payload) {
			t.Skip("out of range")
		}
		for _, form := range forms() {
			checkReadBack(t, form, payload)
		}
	})
}

func TestQuietZone(t *testing.T) {
	t.Parallel()
	for _, f := range forms() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			img := f.read(t, drawn(t, f.draw, whatsAppPayload(142)))
			symbol := darkBounds(img)
			module := symbol.Dx() / 61
			if symbol.Dx() != symbol.Dy() || symbol.Dx()%61 != 0 {
				t.Fatalf("the symbol takes %v, want a square of 61 modules", symbol)
			}
			for side, margin := range map[string]int{
				"left": symbol.Min.X, "top": symbol.Min.Y,
				"right": img.Bounds().Max.X - symbol.Max.X, "bottom": img.Bounds().Max.Y - symbol.Max.Y,
			} {
				if margin < 4*module {
					t.Errorf("%s margin is %d pixels, want at least 4 modules of %d", side, margin, module)
				}
			}
		})
	}
}

func TestTerminalFitsInItsWidth(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ bytes, columns, lines int }{
		{1, 29, 15},
		{321, 69, 35},
		{322, 73, 37},
		{367, 73, 37},
		{425, 77, 39},
		{426, 81, 41},
		{2953, 185, 93},
	} {
		text := colourless(string(drawn(t, qr.Terminal, strings.Repeat("a", test.bytes))))
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if len(lines) != test.lines {
			t.Errorf("%d bytes take %d lines, want %d", test.bytes, len(lines), test.lines)
		}
		for i, line := range lines {
			if columns := utf8.RuneCountInString(line); columns != test.columns {
				t.Errorf("%d bytes: line %d has %d columns, want %d", test.bytes, i, columns, test.columns)
			}
		}
	}
}

func TestTerminalLeavesTheTerminalAsItWas(t *testing.T) {
	t.Parallel()
	text := string(drawn(t, qr.Terminal, whatsAppPayload(142)))
	for line := range strings.Lines(text) {
		if !strings.HasSuffix(line, "\x1b[0m\n") {
			t.Errorf("line does not end in a reset: %q", line)
		}
		if !strings.HasPrefix(line, "\x1b[0;") {
			t.Errorf("line does not start from a reset: %q", line)
		}
	}
	if rest := strings.Trim(colourless(text), " █▀▄\n"); rest != "" {
		t.Errorf("the text has more than colours, blanks and blocks: %q", rest)
	}
}

func TestPNGSize(t *testing.T) {
	t.Parallel()
	payload := whatsAppPayload(142)
	for _, size := range []int{69, 70, 137, 138, 256, 511} {
		data := drawn(t, func(w io.Writer, payload string) error { return qr.PNG(w, payload, size) }, payload)
		config, err := png.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if config.Width != size || config.Height != size {
			t.Errorf("size %d is %d by %d pixels", size, config.Width, config.Height)
		}
		if palette, ok := config.ColorModel.(color.Palette); !ok || len(palette) != 2 {
			t.Errorf("size %d: colour model %v, want a palette of two", size, config.ColorModel)
		}
		symbol := darkBounds(readPNG(t, data))
		if want := size / 69 * 61; symbol.Dx() != want || symbol.Dy() != want {
			t.Errorf("size %d: the symbol takes %v, want %d pixels", size, symbol, want)
		}
		if left, right := symbol.Min.X, size-symbol.Max.X; right-left < 0 || right-left > 1 {
			t.Errorf("size %d: %d pixels on the left and %d on the right", size, left, right)
		}
	}
	if err := qr.PNG(io.Discard, payload, 4096); err != nil {
		t.Errorf("size 4096: %v", err)
	}
	for _, size := range []int{-1, 0, 68, 4097} {
		var out bytes.Buffer
		err := qr.PNG(&out, payload, size)
		if err == nil || !strings.Contains(err.Error(), "69 to 4096") {
			t.Errorf("size %d: error %v, want one that names the range", size, err)
		}
		if out.Len() != 0 {
			t.Errorf("size %d: %d bytes were written", size, out.Len())
		}
	}
}

func TestPayloadThatCannotBeDrawn(t *testing.T) {
	t.Parallel()
	const secret = "2@secretref"
	for name, payload := range map[string]string{
		"empty":    "",
		"too long": strings.Repeat(secret, 269),
	} {
		for _, f := range forms() {
			t.Run(f.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				var out bytes.Buffer
				err := f.draw(&out, payload)
				if err == nil {
					t.Fatal("no error")
				}
				if strings.Contains(err.Error(), "secret") {
					t.Errorf("the error contains the payload: %v", err)
				}
				if out.Len() != 0 {
					t.Errorf("%d bytes were written", out.Len())
				}
			})
		}
	}
}

func TestWriterFails(t *testing.T) {
	t.Parallel()
	for _, f := range forms() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			if err := f.draw(failingWriter{}, whatsAppPayload(142)); !errors.Is(err, errWriter) {
				t.Errorf("error %v, want the writer's", err)
			}
		})
	}
}

func ExampleSVG() {
	var out strings.Builder
	if err := qr.SVG(&out, "https://wa.me/settings/linked_devices#2@ref"); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.SplitAfter(out.String(), ">")[0])
	// Output: <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 37 37" shape-rendering="crispEdges">
}

func checkReadBack(tb testing.TB, f form, payload string) {
	tb.Helper()
	got, err := decode(f.read(tb, drawn(tb, f.draw, payload)))
	if err != nil {
		tb.Errorf("%s of %q cannot be read: %v", f.name, payload, err)
		return
	}
	if diff := cmp.Diff(payload, got); diff != "" {
		tb.Errorf("%s reads back differently (-drawn +read):\n%s", f.name, diff)
	}
}

func drawn(tb testing.TB, draw func(io.Writer, string) error, payload string) []byte {
	tb.Helper()
	var out bytes.Buffer
	if err := draw(&out, payload); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// decode reads a QR code with a decoder that shares nothing with the encoder. PURE_BARCODE says that the picture is
// exact: without it the decoder searches the picture like a photograph, and misses a few codes in a hundred, even of
// those that its own library has drawn.
func decode(img image.Image) (string, error) {
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		return "", err
	}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{
		gozxing.DecodeHintType_CHARACTER_SET: "UTF-8",
		gozxing.DecodeHintType_PURE_BARCODE:  true,
	})
	if err != nil {
		return "", err
	}
	return result.GetText(), nil
}

func readPNG(tb testing.TB, data []byte) image.Image {
	tb.Helper()
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		tb.Fatal(err)
	}
	return img
}

// readSVG draws the document as a browser would. It knows rectangles, and paths made of rectangles of height one.
func readSVG(tb testing.TB, data []byte) image.Image {
	tb.Helper()
	var document struct {
		XMLName xml.Name `xml:"http://www.w3.org/2000/svg svg"`
		ViewBox string   `xml:"viewBox,attr"`
		Rects   []struct {
			Width  int    `xml:"width,attr"`
			Height int    `xml:"height,attr"`
			Fill   string `xml:"fill,attr"`
		} `xml:"rect"`
		Paths []struct {
			Data string `xml:"d,attr"`
			Fill string `xml:"fill,attr"`
		} `xml:"path"`
	}
	if err := xml.Unmarshal(data, &document); err != nil {
		tb.Fatal(err)
	}
	if len(document.Rects) != 1 || len(document.Paths) != 1 {
		tb.Fatalf("%d rectangles and %d paths, want one of each", len(document.Rects), len(document.Paths))
	}
	var size, height int
	if _, err := fmt.Sscanf(document.ViewBox, "0 0 %d %d", &size, &height); err != nil || size != height {
		tb.Fatalf("viewBox %q: not a square at the origin", document.ViewBox)
	}
	// What the document does not paint stays transparent, which the decoder takes for black.
	img := image.NewRGBA(image.Rect(0, 0, size*scale, size*scale))
	rect := document.Rects[0]
	fill(tb, img, 0, 0, rect.Width, rect.Height, rect.Fill)
	path := document.Paths[0]
	for part := range strings.SplitAfterSeq(path.Data, "z") {
		if part == "" {
			continue
		}
		var x, y, right, down, left int
		if _, err := fmt.Sscanf(part, "M%d %dh%dv%dh%dz", &x, &y, &right, &down, &left); err != nil || left != -right {
			tb.Fatalf("path %q: not a rectangle", part)
		}
		fill(tb, img, x, y, right, down, path.Fill)
	}
	return img
}

func fill(tb testing.TB, img draw.Image, x, y, width, height int, colour string) {
	tb.Helper()
	colours := map[string]color.Color{"#fff": color.White, "#000": color.Black}
	paint, ok := colours[colour]
	if !ok {
		tb.Fatalf("colour %q", colour)
	}
	area := image.Rect(x*scale, y*scale, (x+width)*scale, (y+height)*scale)
	if !area.In(img.Bounds()) {
		tb.Fatalf("%v is outside the view", area)
	}
	draw.Draw(img, area, image.NewUniform(paint), image.Point{}, draw.Src)
}

// readTerminal draws what a terminal shows whose own colours are black on black, so that only the colours that the text
// sets can be seen.
func readTerminal(tb testing.TB, data []byte) image.Image {
	tb.Helper()
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	columns := utf8.RuneCountInString(colourless(lines[0]))
	img := image.NewGray(image.Rect(0, 0, columns*scale, 2*len(lines)*scale))
	palette := map[int]color.Gray{231: {Y: 255}, 232: {Y: 8}}
	for row, line := range lines {
		var ink, paper color.Gray
		column := 0
		for line != "" {
			if sequence := sgr().FindStringSubmatch(line); sequence != nil {
				ink, paper = applySGR(tb, sequence[1], palette, ink, paper)
				line = line[len(sequence[0]):]
				continue
			}
			glyph, size := utf8.DecodeRuneInString(line)
			line = line[size:]
			upper, lower := paper, paper
			switch glyph {
			case ' ':
			case '█':
				upper, lower = ink, ink
			case '▀':
				upper = ink
			case '▄':
				lower = ink
			default:
				tb.Fatalf("glyph %q", glyph)
			}
			cell := image.Rect(0, 0, scale, scale).Add(image.Pt(column*scale, 2*row*scale))
			draw.Draw(img, cell, image.NewUniform(upper), image.Point{}, draw.Src)
			draw.Draw(img, cell.Add(image.Pt(0, scale)), image.NewUniform(lower), image.Point{}, draw.Src)
			column++
		}
	}
	return img
}

// applySGR understands 0, 38;5;n and 48;5;n.
func applySGR(tb testing.TB, parameters string, palette map[int]color.Gray, ink, paper color.Gray) (newInk, newPaper color.Gray) {
	tb.Helper()
	numbers := strings.Split(parameters, ";")
	for len(numbers) > 0 {
		if numbers[0] == "0" {
			ink, paper = color.Gray{}, color.Gray{}
			numbers = numbers[1:]
			continue
		}
		if len(numbers) < 3 || numbers[1] != "5" {
			tb.Fatalf("SGR %q", parameters)
		}
		index, err := strconv.Atoi(numbers[2])
		colour, ok := palette[index]
		if err != nil || !ok {
			tb.Fatalf("SGR %q: colour %s", parameters, numbers[2])
		}
		switch numbers[0] {
		case "38":
			ink = colour
		case "48":
			paper = colour
		default:
			tb.Fatalf("SGR %q", parameters)
		}
		numbers = numbers[3:]
	}
	return ink, paper
}

func sgr() *regexp.Regexp { return regexp.MustCompile(`^\x1b\[([0-9;]*)m`) }

func colourless(text string) string {
	return regexp.MustCompile(`\x1b\[[0-9;]*m`).ReplaceAllString(text, "")
}

func darkBounds(img image.Image) image.Rectangle {
	var dark image.Rectangle
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			if red, _, _, _ := img.At(x, y).RGBA(); red < 0x8000 {
				dark = dark.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return dark
}

// whatsAppPayload returns a payload in the form that WhatsApp's phones read, with random keys and a ref of the given
// length.
func whatsAppPayload(ref int) string {
	key := func(size int) string {
		bytes := make([]byte, size)
		for i := range bytes {
			bytes[i] = byte(rand.Uint32())
		}
		return base64.StdEncoding.EncodeToString(bytes)
	}
	return "https://wa.me/settings/linked_devices#2@" + key(ref)[:ref] + "," + key(32) + "," + key(32) + "," + key(32) + ",1"
}

var errWriter = errors.New("the disk is full")

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errWriter }
