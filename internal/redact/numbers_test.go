package redact_test

import (
	"testing"

	"github.com/walink/walink/internal/redact"
)

func TestNumbers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                             "",
		"123456":                       "123456",
		"1234567":                      "[redacted]",
		"x\x005511987654321_1:0\x00":   "x\x00[redacted]_1:0\x00",
		"5511987654321@s.whatsapp.net": "[redacted]@s.whatsapp.net",
		"a 12 b 5511987654321":         "a 12 b [redacted]",
		"número 5511987654321, ação":   "número [redacted], ação",
	} {
		if got := redact.Numbers(text); got != want {
			t.Errorf("Mask(%q) is %q, want %q", text, got, want)
		}
	}
}
