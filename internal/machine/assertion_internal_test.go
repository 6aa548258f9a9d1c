package machine

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/walink/walink/internal/hint"
)

const testChallenge = `{"challenge":"Y2hhbGxlbmdl","rpId":"whatsapp.com","allowCredentials":[{"type":"public-key","id":"Y3JlZA"}]}`

// assertionJSON is an assertion for testChallenge, with its parts changed by edit.
func assertionJSON(edit func(outer, response, client map[string]any)) []byte {
	rp := sha256.Sum256([]byte("whatsapp.com"))
	b64 := base64.RawURLEncoding.EncodeToString
	client := map[string]any{"type": "webauthn.get", "challenge": "Y2hhbGxlbmdl", "origin": "https://web.whatsapp.com"}
	response := map[string]any{"authenticatorData": b64(append(rp[:], 5, 0, 0, 0, 1)), "signature": b64([]byte("signature"))}
	outer := map[string]any{"id": "Y3JlZA", "rawId": "Y3JlZA", "type": "public-key", "response": response}
	edit(outer, response, client)
	if response["clientDataJSON"] == nil {
		data, _ := json.Marshal(client) // of strings
		response["clientDataJSON"] = b64(data)
	}
	data, _ := json.Marshal(outer) // of strings
	return data
}

func TestAssertionIsCheckedBeforeItIsSent(t *testing.T) {
	t.Parallel()
	type edit = func(outer, response, client map[string]any)
	for name, c := range map[string]struct {
		edit edit
		want string // "" for a usable one
	}{
		"usable":               {func(_, _, _ map[string]any) {}, ""},
		"padded challenge":     {func(_, _, c map[string]any) { c["challenge"] = "Y2hhbGxlbmdl==" }, ""},
		"on the domain itself": {func(_, _, c map[string]any) { c["origin"] = "https://whatsapp.com" }, ""},
		"no rawId":             {func(o, _, _ map[string]any) { delete(o, "rawId") }, "lacks rawId"},
		"no signature":         {func(_, r, _ map[string]any) { delete(r, "signature") }, "lacks response.signature"},
		"no client data":       {func(_, r, _ map[string]any) { r["clientDataJSON"] = "" }, "lacks response.clientDataJSON"},
		"client data":          {func(_, r, _ map[string]any) { r["clientDataJSON"] = "YQ" }, "clientDataJSON is not JSON"},
		"another type":         {func(o, _, _ map[string]any) { o["type"] = "password" }, `type is not "public-key"`},
		"a registration":       {func(_, _, c map[string]any) { c["type"] = "webauthn.create" }, "navigator.credentials.get"},
		"another challenge":    {func(_, _, c map[string]any) { c["challenge"] = "b3RoZXI" }, "another challenge"},
		"another credential":   {func(o, _, _ map[string]any) { o["rawId"] = "b3RoZXI" }, "credential"},
		"another page":         {func(_, _, c map[string]any) { c["origin"] = "https://whatsapp.com.example.org" }, "not made on a page"},
		"a page without TLS":   {func(_, _, c map[string]any) { c["origin"] = "http://web.whatsapp.com" }, "not made on a page"},
		"another domain": {
			func(_, r, _ map[string]any) { r["authenticatorData"] = strings.Repeat("A", 50) }, "not made for whatsapp.com",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseAssertion(json.RawMessage(testChallenge), assertionJSON(c.edit))
			switch {
			case c.want == "":
				if err != nil {
					t.Error(err)
				}
			case err == nil:
				t.Error("taken")
			case err.Reason != ReasonPasskey || !strings.Contains(err.Err.Error(), c.want) || !hint.Known(err.Err):
				t.Errorf("%+v", err)
			}
		})
	}
}

func TestAssertionForAChallengeThatCannotBeParsedIsNotCompared(t *testing.T) {
	t.Parallel()
	if _, err := parseAssertion(json.RawMessage(`"{\"chal"`), assertionJSON(func(_, _, _ map[string]any) {})); err != nil {
		t.Error(err)
	}
}

// What an error says of a wrong answer never holds the answer.
func FuzzAssertion(f *testing.F) {
	f.Add([]byte("canary"))
	f.Add(assertionJSON(func(_, _, _ map[string]any) {}))
	f.Add(assertionJSON(func(o, _, _ map[string]any) { o["rawId"] = "canary!!" }))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := parseAssertion(json.RawMessage(testChallenge), data)
		if (a == nil) == (err == nil) {
			t.Fatalf("%v and %v", a, err)
		}
		if err != nil && (err.Reason != ReasonPasskey || strings.Contains(err.Err.Error(), "canary")) {
			t.Errorf("%v", err)
		}
	})
}
