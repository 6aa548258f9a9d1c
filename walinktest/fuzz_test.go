package walinktest_test

import (
	"strings"
	"testing"

	"github.com/walink/walink/walinktest"
)

func FuzzParseQR(f *testing.F) {
	key := strings.Repeat("A", 43) + "="
	for _, seed := range []string{
		"", "https://wa.me/settings/linked_devices#", "2@ref",
		strings.Join([]string{"2@ref", key, key, key}, ","),
		"https://wa.me/settings/linked_devices#" + strings.Join([]string{"2@ref", key, key, key, "1"}, ","),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		qr, err := walinktest.ParseQR(payload)
		if err != nil {
			if payload != "" && len(payload) > 20 && strings.Contains(err.Error(), payload) {
				t.Error("the error repeats the payload")
			}
			return
		}
		again, err := walinktest.ParseQR(qr.Payload())
		if err != nil || again != qr {
			t.Errorf("%v does not come back: %v, %v", qr, again, err)
		}
	})
}
