package passkey_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/walink/walink/internal/seal"
	"github.com/walink/walink/passkey"
	"github.com/walink/walink/walinktest"
)

// A challenge with WebAuthn's extensions gets the answer and no result of an extension:
// that of prf is a key that outlives the link.
func TestAuthenticatorIsAskedForTheAnswerAlone(t *testing.T) {
	t.Parallel()
	chromium := newBrowser(t)
	close(chromium.site.serve)
	key := walinktest.NewServer(t).NewPhone("+5511987654321", walinktest.WithPasskey()).Passkey()
	tab := chromium.open(whatsApp)
	chromium.authenticator(tab, key)
	chromium.watch(tab, false)
	id := base64.RawURLEncoding.EncodeToString(key.CredentialID)
	greedy := `{"challenge":"Y2hhbGxlbmdl","rpId":"whatsapp.com","userVerification":"required","timeout":60000,` +
		`"allowCredentials":[{"type":"public-key","id":"` + id + `","transports":["internal"]}],"hints":["client-device"],` +
		`"extensions":{"prf":{"eval":{"first":"AAAA"}},"largeBlob":{"read":true}}}`

	broker, base := listening(t)
	result := offered(t, broker, greedy)
	page := chromium.press(tab)
	chromium.use(page, broker.Line(base, json.RawMessage(greedy)))
	chromium.note(page, "The program has the answer.")
	byExtension := <-result
	snippet, err := passkey.Snippet(json.RawMessage(greedy))
	if err != nil {
		t.Fatal(err)
	}
	byConsole := chromium.console(tab, snippet)

	const want = "allowCredentials challenge publicKey rpId timeout userVerification"
	if got := chromium.askedFor(tab); !slices.Equal(got, []string{want, want}) {
		t.Errorf("the authenticator is asked for %q", got)
	}
	for way, answer := range map[string][]byte{"extension": byExtension.answer, "snippet": []byte(byConsole)} {
		var parts map[string]json.RawMessage
		if err := json.Unmarshal(answer, &parts); err != nil || len(parts["response"]) == 0 {
			t.Errorf("%s: %s, %v", way, answer, err)
		}
		for name := range parts {
			if !slices.Contains([]string{"id", "rawId", "type", "response"}, name) {
				t.Errorf("%s: the answer has %s: %s", way, name, parts[name])
			}
		}
	}
}

// The passkey of another site is asked for by no way.
func TestChallengeOfAnotherSiteReachesNoAuthenticator(t *testing.T) {
	t.Parallel()
	chromium, tab, page := watched(t)
	for _, rpID := range []string{
		``, `,"rpId":null`, `,"rpId":"example.org"`, `,"rpId":"web.whatsapp.com"`, `,"rpId":["whatsapp.com"]`,
	} {
		program := saying(t, `{"challenge":{"challenge":"YQ"`+rpID+`}}`)
		chromium.use(page, program.line())
		chromium.note(page, "of another site than whatsapp.com")
		if heard := program.requests(); len(heard) != 1 {
			t.Errorf("%s: the program gets %q", rpID, heard)
		}
		snippet, err := passkey.Snippet(json.RawMessage(challenge))
		if err != nil {
			t.Fatal(err)
		}
		foreign := regexp.MustCompile(`,\s*"rpId": "whatsapp\.com"`).ReplaceAllLiteralString(snippet, rpID)
		if said := chromium.console(tab, foreign); !strings.Contains(said, "of another site than whatsapp.com") {
			t.Errorf("%s: the console says %q", rpID, said)
		}
	}
	chromium.untouched(tab)
}

// Before the button works, the page shows the address of the program, and what the
// program claims: its name in one short line, and the last digits of the number.
func TestExtensionShowsWhoAsks(t *testing.T) {
	t.Parallel()
	chromium, tab, page := watched(t)
	if !chromium.off(page) {
		t.Error("the button works before there is a line")
	}
	broker, base := listening(t)
	offered(t, broker, challenge)
	hostile := saying(t, `{"challenge":`+challenge+`,"address":"http://127.0.0.1:1/","token":"x",`+
		`"number":"+5511987654321","program":"\u202e<b>Web</b>\r\n\u0000Whats\u2028App `+strings.Repeat("x", 300)+`"}`)
	silent := saying(t, `{}`)
	odd := saying(t, `{"challenge":`+challenge+`,"program":{"toString":null,"valueOf":null},"number":{"toString":null}}`)
	for line, want := range map[string][3]string{
		broker.Line(base, json.RawMessage(challenge)): {strings.Trim(base, "htp:/"), "Shop desk", "ends in 4321"},
		hostile.line(): {
			strings.Trim(hostile.server.URL, "htp:/"),
			"<b>Web</b> Whats App " + strings.Repeat("x", 109) + " … " + strings.Repeat("x", 67), "ends in 4321",
		},
		silent.line(): {strings.Trim(silent.server.URL, "htp:/"), "not given", "not given"},
		odd.line():    {strings.Trim(odd.server.URL, "htp:/"), "not given", "not given"},
	} {
		chromium.paste(page, line)
		chromium.asked(page)
		got := [3]string{chromium.text(page, "host"), chromium.text(page, "title"), chromium.text(page, "digits")}
		if got != want {
			t.Errorf("the page shows %q, want %q", got, want)
		}
		shown, err := chromedp.Run(page, chromedp.Text(chromedp.CSS("#who")))
		if err != nil || strings.Count(shown, "as the program claims") != 2 {
			t.Errorf("the claims are not marked: %q, %v", shown, err)
		}
	}
	chromium.paste(page, "something else")
	chromium.note(page, "Copy the line that the program shows")
	if !chromium.off(page) {
		t.Error("the page still shows the program of the line before")
	}
	chromium.untouched(tab)
}

// The page says which words are the program's, and shows them in one line, cut.
func TestExtensionMarksTheWordsOfTheProgram(t *testing.T) {
	t.Parallel()
	chromium, _, page := watched(t)
	const words = "\r\nThe program has\n\u202ethe\x00 answer.\u2028" // as if the extension said it
	program := newRogue(t, "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
		if nonce, _ := io.ReadAll(r.Body); r.URL.Path == "/challenge" {
			_, _ = w.Write(seal.Seal(rogueToken, "challenge", []byte(`{"challenge":`+challenge+`}`), nonce))
			return
		}
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, words+strings.Repeat("x", 5000))
	})
	says := func() {
		t.Helper()
		chromium.note(page, "xxx")
		said := chromium.text(page, "note")
		if !strings.HasPrefix(said, "The program says: The program has the answer. xxx") || utf8.RuneCountInString(said) > 218 {
			t.Errorf("the page says %q", said)
		}
	}
	chromium.paste(page, program.server.URL+"/gone/#"+rogueToken)
	says()
	chromium.use(page, program.line())
	says()
}

// A website may open a tab whose address has a line in it. Only an address that is a
// line as a whole is filled in.
func TestLineInsideAnAddressIsNotFilledIn(t *testing.T) {
	t.Parallel()
	chromium := newBrowser(t)
	close(chromium.site.serve)
	program := saying(t, `{}`)
	for _, address := range []string{
		whatsApp + "?x=" + program.line(), whatsApp + "#" + program.line(), program.line() + "&x=" + program.line(),
	} {
		page := chromium.press(chromium.open(address))
		filled, err := chromedp.Run(page, chromedp.Poll[bool](`document.readyState === "complete"`))
		if err != nil || !filled {
			t.Fatal(err)
		}
		// The browser answers these calls after the same calls of the page.
		value, err := chromedp.Run(page, chromedp.Evaluate[string](`
			chrome.tabs.getCurrent().then((tab) => chrome.tabs.get(tab.openerTabId)).then(({ url }) =>
				url.includes("`+rogueToken+`") ? document.getElementById("line").value : "no address")`,
			chromedp.EvalAwaitPromise))
		if err != nil || value != "" {
			t.Errorf("%s: the page fills in %q, %v", address, value, err)
		}
		chromium.do(page, chromedp.Evaluate[chromedp.Void](
			`chrome.tabs.getCurrent().then((tab) => { chrome.tabs.remove(tab.id); })`))
		chromium.until("the end of the page", func(tabs []*target.Info) bool {
			return !slices.ContainsFunc(tabs, func(tab *target.Info) bool { return strings.HasPrefix(tab.URL, extensionPage) })
		})
	}
	for _, heard := range program.requests() {
		if strings.HasPrefix(heard, "POST") {
			t.Errorf("the program is asked: %q", heard)
		}
	}
}

// A program that listens at the address of a line and does not know its token gets
// neither the token nor an answer, whatever it replies.
func TestProgramWithoutTheTokenGetsNothing(t *testing.T) {
	t.Parallel()
	chromium, tab, page := watched(t)
	broker, _ := listening(t)
	offered(t, broker, challenge)
	token := tokenOf(broker, challenge)
	says := []byte(`{"challenge":` + challenge + `,"program":"Shop desk","number":"4321"}`)
	older := serve(broker, request("challenge", token, "the nonce of an earlier question")).Body.Bytes()
	for name, reply := range map[string]func(nonce []byte) []byte{
		"the challenge, as before": func([]byte) []byte { return []byte(challenge) },
		"no seal":                  func([]byte) []byte { return says },
		"nothing":                  func([]byte) []byte { return nil },
		"sealed under the id":      func(nonce []byte) []byte { return seal.Seal(seal.ID(token), "challenge", says, nonce) },
		"sealed under its own":     func(nonce []byte) []byte { return seal.Seal(rogueToken, "challenge", says, nonce) },
		"an earlier reply":         func([]byte) []byte { return older },
	} {
		program := newRogue(t, "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
			nonce, _ := io.ReadAll(r.Body)
			_, _ = w.Write(reply(nonce))
		})
		chromium.paste(page, program.server.URL+"/#"+token)
		chromium.note(page, "is not the one that made this line")
		if !chromium.off(page) {
			t.Errorf("%s: the button works", name)
		}
		if heard := program.requests(); len(heard) != 1 || strings.Contains(heard[0], token) {
			t.Errorf("%s: the program gets %q", name, heard)
		}
	}
	chromium.untouched(tab)
}

// A program that takes the port while the person uses the passkey can read nothing in
// the answer.
func TestAnswerIsForTheProgramThatAsked(t *testing.T) {
	t.Parallel()
	chromium, _, page := watched(t)
	broker := passkey.NewBroker(passkey.Claim{})
	base, err := broker.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	result := offered(t, broker, challenge)
	chromium.paste(page, broker.Line(base, json.RawMessage(challenge)))
	chromium.asked(page)
	if err := broker.Close(); err != nil {
		t.Fatal(err)
	}
	program := newRogue(t, strings.Trim(base, "htp:/"), func(http.ResponseWriter, *http.Request) {})
	chromium.confirm(page)
	chromium.note(page, "The program has the answer.")
	heard := program.requests()
	if len(heard) != 1 || !strings.HasPrefix(heard[0], "POST /answer") {
		t.Fatalf("the program gets %q", heard)
	}
	_, body, _ := strings.Cut(heard[0], "\r\n\r\n")
	token := tokenOf(broker, challenge)
	for _, secret := range []string{token, `"aWQ"`, "clientDataJSON"} {
		if strings.Contains(heard[0], secret) {
			t.Errorf("the program gets %q", heard)
		}
	}
	// The program that asked could read it.
	w := serve(broker, request("answer", token, "", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(body)) }))
	if w.Code != http.StatusNoContent {
		t.Errorf("the Broker answers %d %s", w.Code, w.Body)
	}
	if got := <-result; got.err != nil || !strings.Contains(string(got.answer), "clientDataJSON") {
		t.Errorf("Ask returns %s, %v", got.answer, got.err)
	}
}
