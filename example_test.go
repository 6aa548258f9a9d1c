package walink_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink"
	"github.com/walink/walink/qr"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/walinktest"
)

// A program links by pairing code, and by QR code where no code can be had.
//
// The lines marked "sandbox" put a simulated WhatsApp and a simulated phone in
// the place of real ones. Without them, and with a file in the place of
// ":memory:", it is the program of the README.
func Example() {
	ctx := context.Background()               // sandbox
	srv, person := simulate("+5511987654321") // sandbox
	defer srv.Close()                         // sandbox
	defer person.Wait()                       // sandbox
	st, err := sqlite.Open(ctx, ":memory:")
	if err != nil {
		log.Println(err)
		return
	}
	defer st.Close() //nolint:errcheck // every write is on the disk already

	linker, err := walink.New(st, walink.Settings{
		Phone:             "+55 11 98765-4321",
		PreferPairingCode: true,
		QRFallback:        true,
		HTTPClient:        srv.HTTPClient(), // sandbox
	})
	if err != nil {
		log.Println(err)
		return
	}
	defer linker.Close() //nolint:errcheck // it always returns nil

	events, err := linker.Link(ctx)
	if err != nil {
		log.Println(err)
		return
	}
	for event := range events {
		switch e := event.(type) {
		case walink.PairingCode:
			// Settings, Linked devices, Link a device, Link with phone number instead.
			fmt.Fprintln(os.Stderr, "enter", e.Code, "on", e.Phone.International())
			person.enters(ctx, e.Code) // sandbox
		case walink.QRCode:
			if err := qr.Terminal(os.Stderr, e.Payload); err != nil {
				log.Println(err)
			}
		case walink.Withdrawn:
			fmt.Println("no longer good:", e)
		case walink.Linked:
			fmt.Println("linked", e.Account.Phone.International())
			fmt.Println("connected:", linker.Client().IsLoggedIn()) // a *whatsmeow.Client
		case walink.Failed:
			fmt.Println("not linked:", e.Err)
			fmt.Println("what to do:", e.Err.Remedy())
		}
	}
	// Output:
	// linked +55 11 98765-4321
	// connected: true
}

// simulation is a person who types each code into the phone.
type simulation struct {
	sync.WaitGroup
	phone *walinktest.Phone
}

func simulate(number string) (*walinktest.Server, *simulation) {
	srv, err := walinktest.Start()
	if err != nil {
		log.Panic(err)
	}
	return srv, &simulation{phone: srv.NewPhone(number)}
}

func (s *simulation) enters(ctx context.Context, code string) {
	s.Go(func() {
		if err := s.phone.EnterCode(ctx, code); err != nil {
			log.Println("the phone says:", err)
		}
	})
}

// New reports everything that is wrong at once.
func ExampleNew() {
	st, err := sqlite.Open(context.Background(), ":memory:")
	if err != nil {
		log.Println(err)
		return
	}
	defer st.Close() //nolint:errcheck // it is in memory

	_, err = walink.New(st, walink.Settings{Phone: "011 98765-4321", PreferPairingCode: true, LinkingMode: "qrr", CodeBudget: -1})
	fmt.Println(err)
	fmt.Println(errors.Is(err, walink.ErrInvalidSettings), errors.Is(err, walink.ErrInvalidPhone))
	// Output:
	// walink: settings: invalid settings: Phone "••••••••••21": the number has no country code: it begins with a 0, as it is dialled inside its country. Put a + and the country code in place of the leading 0, such as +49 for Germany. LinkingMode "qrr": unknown mode. Write "qr" if that is meant; known are "auto", "pairing", "qr" or "both". CodeBudget -1: negative. Set it to 0 for the default of 3, or to a positive number.
	// true true
}

// A misspelt key is not ignored.
func ExampleParseSettings() {
	_, err := walink.ParseSettings([]byte(`{"phone": "+55 11 98765-4321", "preferParingCode": true}`))
	fmt.Println(err)

	settings, err := walink.ParseSettings([]byte(`{"number": "5511987654321", "preferQr": false, "qrcode": true}`))
	fmt.Println(settings.Phone, settings.PreferPairingCode, settings.QRFallback, err)
	// Output:
	// walink: parse settings: invalid settings: "preferParingCode": unknown key. Write "preferPairingCode" if that is meant.
	// 5511987654321 true true <nil>
}

// What a web page or a webhook gets carries the payload; what is printed does not.
func ExampleMarshalEvent() {
	issued := time.Date(2026, time.November, 23, 9, 30, 0, 0, time.UTC)
	data, err := walink.MarshalEvent(walink.QRCode{Payload: "https://wa.me/…", Number: 1, Issued: issued, Expires: issued.Add(time.Minute)})
	fmt.Println(string(data), err)
	event, err := walink.UnmarshalEvent(data)
	fmt.Println(event, err)
	// Output:
	// {"kind":"qr_code","payload":"https://wa.me/…","number":1,"issued":"2026-11-23T09:30:00Z","expires":"2026-11-23T09:31:00Z"} <nil>
	// QR code 1, good until 09:31:00 <nil>
}

// The README's snippet is the package's Example, to the letter.
func TestReadmeShowsTheExample(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(source), "\nfunc Example() {\n")
	body, _, ok := strings.Cut(body, "\t// Output:")
	if !ok {
		t.Fatal("example_test.go has no Example with an Output")
	}
	body = regexp.MustCompile(`(?m)^.*// sandbox\n`).ReplaceAllString(body, "")
	body = regexp.MustCompile(`(?m) //nolint.*$`).ReplaceAllString(body, "")
	body = regexp.MustCompile(`(?m)^\t`).ReplaceAllString(body, "")
	body = strings.ReplaceAll(body, `":memory:"`, `"walink.db"`)

	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(readme), "\n```go\n")
	block, _, ok = strings.Cut(block, "```\n")
	if !ok {
		t.Fatal("README.md has no Go snippet")
	}
	if diff := cmp.Diff(body, block); diff != "" {
		t.Errorf("the first Go snippet of README.md is not the Example (-Example +README):\n%s", diff)
	}
}
