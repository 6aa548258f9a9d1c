package passkey_test

import (
	"context"
	"errors"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/walink/walink"
	"github.com/walink/walink/walinktest"
)

// The program refuses the first answer. The extension shows why, and does not say
// that the program has the answer. The same line is good for another answer.
func TestExtensionShowsThatTheAnswerIsRefused(t *testing.T) {
	t.Parallel()
	chromium := newBrowser(t)
	broker, base := listening(t)
	program := newProgram(t, walink.Settings{})
	close(chromium.site.serve)
	whatsAppTab := chromium.open(whatsApp)
	chromium.authenticator(whatsAppTab, program.phone.Passkey())
	page := chromium.press(whatsAppTab)
	required := program.challenged()
	answered := make(chan error, 1)
	tries := 0
	go func() {
		answered <- broker.Serve(t.Context(), required.Challenge, func(ctx context.Context, answer []byte) error {
			if tries++; tries == 1 {
				wrong, err := program.phone.Assert(required.Challenge, walinktest.FromOrigin("https://example.org"))
				if err != nil {
					return err
				}
				answer = wrong
			}
			return program.linker.AnswerPasskey(ctx, answer)
		})
	}()
	chromium.use(page, broker.Line(base, required.Challenge))
	chromium.note(page, "The program says: The program has not accepted the answer")
	chromium.note(page, "not made on a page of whatsapp.com")
	chromium.confirm(page)
	chromium.note(page, "The program has the answer.")
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	program.linked()
}

// The extension explains each failure in the browser in a sentence for the person.
func TestExtensionSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	chromium := newBrowser(t)
	broker, base := listening(t)
	close(chromium.site.serve)
	tab := chromium.open(whatsApp)
	page := chromium.press(tab)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	challenges := []string{challenge, `{"rpId":"whatsapp.com"}`, `{"rpId":"whatsapp.com","challenge":1}`}
	for _, one := range challenges {
		go func() {
			_, err := broker.Ask(ctx, []byte(one))
			done <- err
		}()
	}
	for _, one := range challenges[1:] {
		chromium.use(page, broker.Line(base, []byte(one)))
		chromium.note(page, "the browser does not understand this challenge")
	}
	for script, want := range map[string]string{
		`new Promise(() => { location.href = "about:blank"; })`:        "was closed, or went to another page",
		`Promise.reject(new DOMException("raw", "NotAllowedError"))`:   "was cancelled or took too long, or there is no passkey for this account here",
		`Promise.reject(new DOMException("raw", "InvalidStateError"))`: "Close the other request for a passkey",
		`Promise.reject(new TypeError("raw"))`:                         "the browser gave no passkey (TypeError)",
	} {
		chromium.do(tab,
			chromedp.Navigate(whatsApp),
			chromedp.Evaluate[chromedp.Void](`navigator.credentials.get = () => `+script+`; undefined`),
		)
		chromium.use(page, broker.Line(base, []byte(challenge)))
		chromium.note(page, want)
	}
	cancel()
	for range challenges {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}
