package walinktest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/walink/walink/walinktest"
)

func FuzzParseQR(f *testing.F) {
	key := strings.Repeat("A", 43) + "="
	for _, seed := range []string{
		"", "https://wa.me/settings/linked_devices#", "2@ref",
		strings.Join([]string{"2@ref", key, key, key, "1"}, ","),
		"https://wa.me/settings/linked_devices#" + strings.Join([]string{"2@ref", key, key, key, "1"}, ","),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		qr, err := walinktest.ParseQR(payload)
		if err != nil {
			if payload != "" && len(payload) > 20 && strings.Contains(err.Error(), payload) {
				t.Error("the error quotes the payload")
			}
			return
		}
		again, err := walinktest.ParseQR(qr.Payload())
		if err != nil || again != qr {
			t.Errorf("%v reads back as %v, %v", qr, again, err)
		}
	})
}

func FuzzAssert(f *testing.F) {
	srv, err := walinktest.Start()
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(srv.Close)
	phone := srv.NewPhone(number, walinktest.WithPasskey())
	for _, seed := range []string{
		"", "{}", `{"challenge":"AQID","rpId":"whatsapp.com"}`, `{"publicKey":{"challenge":"AQID","rpId":"whatsapp.com"}}`,
		`{"challenge":"AQID","rpId":"whatsapp.com","allowCredentials":[{"type":"public-key","id":"AQID"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, challenge []byte) {
		answer, err := phone.Assert(challenge)
		if err == nil && !json.Valid(answer) {
			t.Errorf("answer %s", answer)
		}
		if err != nil && (len(err.Error()) > 500 || strings.Contains(err.Error(), "\n")) {
			t.Errorf("error %q, want one line", err)
		}
	})
}
