package choice_test

import (
	"strings"
	"testing"

	"github.com/walink/walink/internal/choice"
)

var systems = []string{"Linux", "Windows", "Mac OS"}

func TestOf(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"": "Linux", "linux": "Linux", "macos": "Mac OS", "MAC OS": "Mac OS", "Lunix": "", "BeOS": "",
	} {
		if got, ok := choice.Of(value, systems); got != want || ok != (want != "") {
			t.Errorf("Of(%q) is %q, %v, want %q", value, got, ok, want)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"Lniux": "Linux", "Lnux": "Linux", "Linnux": "Linux", "Linus": "Linux", // one typing error of each kind
		"widnosw": "Windows", "macOX": "Mac OS", // two
		"Symbian": "", "": "", strings.Repeat("Linux", 20): "",
	} {
		if got, ok := choice.Nearest(value, systems); got != want || ok != (want != "") {
			t.Errorf("Nearest(%q) is %q, %v, want %q", value, got, ok, want)
		}
	}
}

func TestFix(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"Lunix":   `Write "Linux" if that is meant; known are "Linux", "Windows" or "Mac OS".`,
		"Symbian": `Write "Linux", "Windows" or "Mac OS".`,
	} {
		if got := choice.Fix(value, systems); got != want {
			t.Errorf("Fix(%q) is %q, want %q", value, got, want)
		}
	}
}
