package oneline_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/walink/walink/internal/oneline"
)

func TestText(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"empty":             {"", ""},
		"short":             {"ação: 二维码", "ação: 二维码"},
		"line breaks":       {"a\r\nb\u2028c\u2029d\u0085e", "a  b c d e"},
		"escape sequence":   {"\x1b[31mred", " [31mred"},
		"invalid UTF-8":     {"a\xffb", "a\ufffdb"},
		"as long as it may": {strings.Repeat("a", 500), strings.Repeat("a", 500)},
		"one byte longer":   {strings.Repeat("a", 300) + strings.Repeat("b", 201), strings.Repeat("a", 295) + " … " + strings.Repeat("b", 200)},
		"cut in characters": {strings.Repeat("é", 300), strings.Repeat("é", 147) + " … " + strings.Repeat("é", 100)},
	} {
		if got := oneline.Text(test.text); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestErrorf(t *testing.T) {
	t.Parallel()
	err := oneline.Errorf("read %q: %w", strings.Repeat("long\n", 200), io.ErrUnexpectedEOF)
	if text := err.Error(); len(text) > 500 || !strings.HasPrefix(text, `read "long\n`) || !strings.HasSuffix(text, "unexpected EOF") {
		t.Errorf("text %q", text)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\nb")
	f.Add(strings.Repeat("é", 251))
	f.Fuzz(func(t *testing.T, text string) {
		got := oneline.Text(text)
		if len(got) > 500 || !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\u0085\u2028\u2029") {
			t.Errorf("%q becomes %q", text, got)
		}
	})
}
