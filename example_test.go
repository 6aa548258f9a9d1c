package walink_test

import (
	"context"
	"encoding/json"
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
	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink"
	"github.com/walink/walink/qr"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
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

// simulation is a person with a phone.
type simulation struct {
	sync.WaitGroup
	phone *walinktest.Phone
}

func simulate(number string, options ...walinktest.PhoneOption) (*walinktest.Server, *simulation) {
	srv, err := walinktest.Start()
	if err != nil {
		log.Panic(err)
	}
	return srv, &simulation{phone: srv.NewPhone(number, options...)}
}

func (s *simulation) enters(ctx context.Context, code string) {
	s.Go(func() {
		if err := s.phone.EnterCode(ctx, code); err != nil {
			log.Println("the phone says:", err)
		}
	})
}

func (s *simulation) scans(ctx context.Context, payload string) {
	s.Go(func() {
		if err := s.phone.ScanQR(ctx, payload); err != nil {
			log.Println("the phone says:", err)
		}
	})
}

// link links a new Linker on a Store in memory, by QR code.
func (s *simulation) link(ctx context.Context, settings walink.Settings) *walink.Linker {
	linker, err := walink.New(kv.New(memory.New()), settings)
	if err != nil {
		log.Panic(err)
	}
	events, err := linker.Link(ctx)
	if err != nil {
		log.Panic(err)
	}
	for event := range events {
		if code, ok := event.(walink.QRCode); ok {
			s.scans(ctx, code.Payload)
		}
	}
	s.Wait()
	return linker
}

// A service stays linked: the connection is lost and comes back, until the service
// shuts down.
func ExampleLinker_Supervise() {
	ctx, shutDown := context.WithCancel(context.Background())
	defer shutDown()
	srv, person := simulate("+5511987654321") // sandbox
	defer srv.Close()                         // sandbox
	defer person.Wait()                       // sandbox
	linker, err := walink.New(kv.New(memory.New()), walink.Settings{HTTPClient: srv.HTTPClient()})
	if err != nil {
		log.Println(err)
		return
	}
	defer linker.Close() //nolint:errcheck // it always returns nil

	events, err := linker.Supervise(ctx)
	if err != nil {
		log.Println(err)
		return
	}
	for event := range events {
		switch e := event.(type) {
		case walink.QRCode:
			// The program shows the QR code, as qr.Terminal draws it.
			person.scans(ctx, e.Payload) // sandbox
		case walink.Linked:
			fmt.Println("linked", e.Account.Phone.International())
			srv.Script(walinktest.StageLogin, walinktest.Delay(100*time.Millisecond)) // sandbox
			srv.Restart()                                                             // sandbox
		case walink.Disconnected:
			fmt.Println("disconnected:", e.Err.Reason)
		case walink.Reconnected:
			fmt.Println("connected again:", linker.Client().IsLoggedIn())
			shutDown()
		case walink.Retrying:
			fmt.Println("the next Link is at", e.At, "because of", e.Err)
		case walink.Failed:
			fmt.Println("the end:", e.Err.Reason)
		}
	}
	// Output:
	// linked +55 11 98765-4321
	// disconnected: network
	// connected again: true
	// the end: canceled
}

// Unlink takes the device off the phone's list, and the session out of the Store.
func ExampleLinker_Unlink() {
	ctx := context.Background()
	srv, person := simulate("+5511987654321")                                 // sandbox
	defer srv.Close()                                                         // sandbox
	linker := person.link(ctx, walink.Settings{HTTPClient: srv.HTTPClient()}) // as the first example does
	defer linker.Close()                                                      //nolint:errcheck // it always returns nil
	fmt.Println("devices on the phone:", len(person.phone.LinkedDevices()))

	if err := linker.Unlink(ctx); err != nil {
		fmt.Println("not unlinked:", err)
		if failure, ok := errors.AsType[*walink.Error](err); ok {
			fmt.Println("what to do:", failure.Remedy())
		}
	}
	fmt.Println("devices on the phone:", len(person.phone.LinkedDevices()))
	// Output:
	// devices on the phone: 1
	// devices on the phone: 0
}

// OnClient is where event handlers go: they miss nothing, as the client has not
// connected yet.
func ExampleSettings_onClient() {
	ctx := context.Background()
	srv, person := simulate("+5511987654321") // sandbox
	defer srv.Close()                         // sandbox
	connected := make(chan struct{})
	tell := sync.OnceFunc(func() { close(connected) })
	linker := person.link(ctx, walink.Settings{ // as the first example does
		HTTPClient: srv.HTTPClient(), // sandbox
		OnClient: func(client *whatsmeow.Client) {
			client.AddEventHandler(func(event any) {
				switch event.(type) {
				case *events.Message:
					// Answer it.
				case *events.Connected:
					tell()
				}
			})
		},
	})
	defer linker.Close() //nolint:errcheck // it always returns nil
	<-connected
	fmt.Println("the handler has seen the first Connected")
	// Output:
	// the handler has seen the first Connected
}

// Passkey answers for an account that has a passkey: a browser or another
// authenticator makes the assertion. Package passkey has one way to the person's browser.
func ExampleSettings_passkey() {
	ctx := context.Background()
	srv, person := simulate("+5511987654321", walinktest.WithPasskey()) // sandbox
	defer srv.Close()                                                   // sandbox
	authenticator := person.phone.Assert                                // sandbox
	linker := person.link(ctx, walink.Settings{                         // as the first example does
		HTTPClient: srv.HTTPClient(), // sandbox
		Passkey: func(_ context.Context, challenge json.RawMessage) (json.RawMessage, error) {
			fmt.Println("WhatsApp wants a passkey")
			return authenticator(challenge)
		},
	})
	defer linker.Close() //nolint:errcheck // it always returns nil
	fmt.Println("linked:", linker.Client().IsLoggedIn())
	// Output:
	// WhatsApp wants a passkey
	// linked: true
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

// A web page gets Publish of an event, and a webhook Redact. The text that fmt prints has no code either.
func ExampleMarshalEvent() {
	issued := time.Date(2026, time.November, 23, 9, 30, 0, 0, time.UTC)
	code := walink.QRCode{Payload: "https://wa.me/…", Number: 1, Issued: issued, Expires: issued.Add(time.Minute)}
	page, err := walink.MarshalEvent(walink.Publish(code))
	fmt.Println(string(page), err)
	hook, err := walink.MarshalEvent(walink.Redact(code))
	fmt.Println(string(hook), err)
	event, err := walink.UnmarshalEvent(page)
	fmt.Println(event, err)
	// Output:
	// {"kind":"qr_code","payload":"https://wa.me/…","number":1,"issued":"2026-11-23T09:30:00Z","expires":"2026-11-23T09:31:00Z"} <nil>
	// {"kind":"qr_code","number":1,"issued":"2026-11-23T09:30:00Z","expires":"2026-11-23T09:31:00Z"} <nil>
	// QR code 1 is good until 09:31:00. <nil>
}

// What the person at the phone may see of a failure of the database.
func ExamplePublish() {
	failed := walink.Failed{Err: &walink.Error{
		Reason: walink.ErrStore, Op: "load session", Err: errors.New("cannot reach db1.internal as walink"),
	}}
	fmt.Println(failed)
	fmt.Println(walink.Publish(failed))
	// Output:
	// The Link has failed: load session: store: cannot reach db1.internal as walink.
	// The Link has failed: load session: store.
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
