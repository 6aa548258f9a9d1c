package redact_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/walink/walink/internal/redact"
)

func TestLine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ in, want string }{
		"nothing":                       {"", ""},
		"a line":                        {"network: no such host", "network: no such host"},
		"two lines":                     {"one.\ntwo.", "one. two."},
		"two lines of Windows":          {"one.\r\ntwo.\r\n", "one. two."},
		"line breaks at both ends":      {"\n\none\n\n", "one"},
		"paragraphs":                    {"one\u2029two\u2028three\u0085four", "one two three four"},
		"control characters":            {"a\x00b\x1b[31mc\x7f", "a b [31mc"},
		"spaces":                        {" a  b ", " a  b "},
		"spaces next to line breaks":    {"a: \nb\n  c \n", "a: b  c "},
		"a change of direction":         {"abc\u202edef\u2066ghi", "abcdefghi"},
		"emoji with joiners":            {"Ana 👩\u200d💻", "Ana 👩\u200d💻"},
		"not UTF-8":                     {"a\xffb\xc3", "a\ufffdb\ufffd"},
		"500 bytes":                     {strings.Repeat("a", 500), strings.Repeat("a", 500)},
		"501 bytes":                     {strings.Repeat("a", 300) + strings.Repeat("b", 201), strings.Repeat("a", 295) + " … " + strings.Repeat("b", 200)},
		"500 bytes and a line break":    {strings.Repeat("a", 500) + "\n", strings.Repeat("a", 500)},
		"a line break at the end of it": {strings.Repeat("a", 499) + "\nb", strings.Repeat("a", 295) + " … " + strings.Repeat("a", 198) + " b"},
		"characters of four bytes":      {strings.Repeat("💻", 126), strings.Repeat("💻", 73) + " … " + strings.Repeat("💻", 50)},
		"50 kB":                         {strings.Repeat("ab\n", 17_000) + "end", strings.Repeat("ab ", 98) + "a … b " + strings.Repeat("ab ", 64) + "ab end"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := redact.Line(test.in); got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestErrorfKeepsTheCause(t *testing.T) {
	t.Parallel()
	err := redact.Errorf("read %q: %w", strings.Repeat("long\n", 200), io.ErrUnexpectedEOF)
	if text := err.Error(); len(text) > 500 || !strings.HasPrefix(text, `read "long\n`) || !strings.HasSuffix(text, "unexpected EOF") {
		t.Errorf("text %q", text)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
}

func FuzzLine(f *testing.F) {
	for _, s := range []string{"", "one\ntwo", "\x1b[31m\u202e\xff", strings.Repeat("💻", 200), strings.Repeat("a\n", 400)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line := redact.Line(s)
		if len(line) > 500 || !utf8.ValidString(line) || strings.ContainsFunc(line, unicode.IsControl) || strings.ContainsAny(line, "\u2028\u2029") {
			t.Errorf("%q becomes %q", s, line)
		}
		if again := redact.Line(line); again != line {
			t.Errorf("%q becomes %q", line, again)
		}
	})
}

func TestNameMasksNumbersHoweverTheyAreWritten(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":                                       "",
		"default":                                "default",
		"tenant 42":                              "tenant 42",
		"shop-2026-11-28":                        "shop-2026-11-28",
		"2026-11-28":                             "2026-11-28",
		"10.0.0.7":                               "10.0.0.7",
		"192.168.100.200":                        "192.168.100.200",
		"5511987654321":                          "[redacted]",
		"+55 11 98765-4321":                      "[redacted]",
		"55.11.98765.4321":                       "[redacted]",
		"55_11_98765_4321":                       "[redacted]",
		"55/11/98765/4321":                       "[redacted]",
		"(55) 11 / 98765 - 4321 office":          "([redacted] office",
		"a 55\u00a011\u00a098765\u2011" + "4321": "a [redacted]",
		"٥٥١١٩٨٧٦٥٤٣٢١":                          "[redacted]",
	} {
		if got := redact.Name(name); got != want {
			t.Errorf("Name(%q) is %q, want %q", name, got, want)
		}
	}
}

func TestSessionMasksTheNameInAnError(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"5511987654321", "+55 11 98765-4321", "55.11.98765.4321", "a 55\u00a011\u00a098765\u20114321", "٥٥١١٩٨٧٦٥٤٣٢١"} {
		for _, verb := range []string{"%s", "%q", "%+q"} {
			err := redact.Session(fmt.Errorf("session "+verb+": %w", name, io.ErrUnexpectedEOF), name)
			if text := err.Error(); strings.Contains(text, "4321") || strings.Contains(text, "٤٣٢١") || strings.Contains(text, `\u0664`) {
				t.Errorf("the error shows the session: %s", text)
			}
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Error("the cause is lost")
			}
		}
	}
	plain := errors.New(`session "default"`)
	if err := redact.Session(plain, "default"); err != plain { //nolint:errorlint // it has to be the same
		t.Errorf("the error becomes %v", err)
	}
}

func TestJoinKeepsEveryErrorAndTheFirstTexts(t *testing.T) {
	t.Parallel()
	if err := redact.Join(nil, nil); err != nil {
		t.Errorf("of nothing: %v", err)
	}
	one, two, three := errors.New("one"), errors.New("two"), errors.New("three")
	if got := redact.Join(one, nil, two, three).Error(); got != "one\ntwo\nthree" {
		t.Errorf("of three: %q", got)
	}
	err := redact.Join(one, two, nil, three, io.EOF, io.ErrUnexpectedEOF)
	if got := err.Error(); got != "one\ntwo\nthree\nand 2 more" || !errors.Is(err, one) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("of five: %q", got)
	}
}

func TestJSONEscapesWhatATerminalObeys(t *testing.T) {
	t.Parallel()
	const text = "a\u009b31m\u007f\u202eb\u2066é👩"
	data, err := json.Marshal(map[string]json.RawMessage{"x": json.RawMessage(`"` + text + `"`)})
	if err != nil {
		t.Fatal(err)
	}
	got := redact.JSON(data)
	if want := `{"x":"a\u009b31m\u007f\u202eb\u2066é👩"}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var back map[string]string
	if err := json.Unmarshal(got, &back); err != nil || back["x"] != text {
		t.Errorf("back comes %q, %v", back["x"], err)
	}
}
