package walink_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/hint"
)

var update = flag.Bool("update", false, "write the golden files")

const (
	secretCode    = "ABCD-EFGH"
	secretPayload = "https://wa.me/settings/linked_devices#2@ref,noisekey,identitykey,advsecret,1"
	secretNumber  = "5511987654321"
)

// sampleEvents returns every event, with every field set.
func sampleEvents(t *testing.T) map[string]walink.Event {
	t.Helper()
	phone, err := walink.ParsePhone("+" + secretNumber)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	account := walink.Account{
		JID: types.NewADJID(secretNumber, 0, 7), LID: types.JID{User: "111222333", Device: 7, Server: types.HiddenUserServer},
		Phone: phone, BusinessName: "Padaria", Platform: "android",
	}
	fault := &walink.Error{
		Reason: walink.ErrRateLimited, Op: "request code", RetryAfter: 15 * time.Minute,
		Err: errors.New("WhatsApp answered 429 rate-overlimit"),
	}
	return map[string]walink.Event{
		"connecting":   walink.Connecting{Attempt: 2},
		"pairing_code": walink.PairingCode{Code: secretCode, Phone: phone, Number: 1, Issued: now, Expires: now.Add(3 * time.Minute)},
		"qr_code":      walink.QRCode{Payload: secretPayload, Number: 3, Issued: now, Expires: now.Add(time.Minute)},
		"qr_code_fallback": walink.QRCode{
			Payload: secretPayload, Number: 1, Issued: now, Expires: now.Add(time.Minute), Fallback: fault,
		},
		"withdrawn": walink.Withdrawn{
			Method: walink.MethodPairing, Number: 1, Reason: walink.WithdrawnRefused,
			Err: &walink.Error{Reason: walink.ErrCodeRefused, Op: "enter code"}, Alternatives: phone.Alternatives(),
		},
		"withdrawn_expired":    walink.Withdrawn{Method: walink.MethodQR, Number: 6, Reason: walink.WithdrawnExpired},
		"passkey_required":     walink.PasskeyRequired{Challenge: json.RawMessage(`{"challenge":"c2VjcmV0"}`), Expires: now, HandoffExpires: now},
		"passkey_confirmation": walink.PasskeyConfirmation{Code: secretCode, Automatic: true},
		"paired":               walink.Paired{Account: account},
		"retrying":             walink.Retrying{Attempt: 3, Err: fault, At: now},
		"linked":               walink.Linked{Account: account, Resumed: true},
		"failed":               walink.Failed{Err: fault},
		"failed_stopped":       walink.Failed{Err: &walink.Error{Reason: walink.ErrClosed, Op: "supervise"}, Stopped: true},
		"disconnected":         walink.Disconnected{Err: &walink.Error{Reason: walink.ErrNetwork, Op: "connection"}},
		"reconnected":          walink.Reconnected{Account: account},
		"standby":              walink.Standby{Holder: "walink, process 7 on db1", Err: &walink.Error{Reason: walink.ErrSessionBusy, Op: "lease session"}},
	}
}

func TestEventsKeepTheirJSONForm(t *testing.T) {
	t.Parallel()
	for name, event := range sampleEvents(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := walink.MarshalEvent(event)
			if err != nil {
				t.Fatal(err)
			}
			var indented bytes.Buffer
			if err := json.Indent(&indented, got, "", "  "); err != nil {
				t.Fatal(err)
			}
			indented.WriteByte('\n')
			file := filepath.Join("testdata", "events", name+".json")
			if *update {
				if err := os.WriteFile(file, indented.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), indented.String()); diff != "" {
				t.Errorf("JSON (-golden +got):\n%s", diff)
			}
			back, err := walink.UnmarshalEvent(got)
			if err != nil {
				t.Fatal(err)
			}
			again, err := walink.MarshalEvent(back)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(got), string(again)); diff != "" {
				t.Errorf("JSON of what comes back (-want +got):\n%s", diff)
			}
			if back.Kind() != event.Kind() || fmt.Sprintf("%T", back) != fmt.Sprintf("%T", event) {
				t.Errorf("UnmarshalEvent returns a %T of kind %q, want a %T of kind %q", back, back.Kind(), event, event.Kind())
			}
		})
	}
}

func TestEventsDoNotShowTheirSecrets(t *testing.T) {
	t.Parallel()
	for name, event := range sampleEvents(t) {
		var buf bytes.Buffer
		log := slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug}))
		log.Info("event", "event", event)
		jsonLog := slog.New(slog.NewJSONHandler(&buf, nil))
		jsonLog.Info("event", "event", event)
		for _, verb := range allVerbs {
			fmt.Fprintf(&buf, "%"+string(verb)+"\n", event)
			fmt.Fprintf(&buf, "%+#"+string(verb)+"\n", event)
		}
		for _, secret := range []string{secretCode, "advsecret", "noisekey", "c2VjcmV0", secretNumber, "551187654321"} {
			if strings.Contains(buf.String(), secret) {
				t.Errorf("%s shows %q:\n%s", name, secret, buf.String())
			}
		}
	}
}

func TestEventsLogTheirErrors(t *testing.T) {
	t.Parallel()
	err := &walink.Error{Reason: walink.ErrPasskey, Op: "read challenge"}
	for _, event := range []walink.Event{
		walink.QRCode{Fallback: err},
		walink.Withdrawn{Err: err},
		walink.PasskeyRequired{Err: err},
		walink.Retrying{Err: err},
		walink.Failed{Err: err},
		walink.Disconnected{Err: err},
		walink.Standby{Err: err},
	} {
		var buf bytes.Buffer
		slog.New(slog.NewTextHandler(&buf, nil)).Info("event", "event", event)
		if !strings.Contains(buf.String(), "read challenge") {
			t.Errorf("the log of %s is %s", event.Kind(), &buf)
		}
	}
}

func TestEventsPrintAsSentences(t *testing.T) {
	t.Parallel()
	for name, event := range sampleEvents(t) {
		text := fmt.Sprint(event)
		if !strings.HasSuffix(text, ".") || strings.ToUpper(text[:1]) != text[:1] || strings.Contains(text, "{") {
			t.Errorf("%s prints as %q", name, text)
		}
	}
}

// slog's JSON handler gives what is inside another value to encoding/json.
func TestEventsInsideOtherValuesDoNotShowTheirSecrets(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	var all []walink.Event
	for _, event := range sampleEvents(t) {
		all = append(all, event)
	}
	value := struct {
		Events []walink.Event
		Code   *walink.PairingCode
	}{all, &walink.PairingCode{Code: secretCode}}
	slog.New(slog.NewJSONHandler(&buf, nil)).Info("events", "all", all, "in a struct", value)
	slog.New(slog.NewTextHandler(&buf, nil)).Info("events", "all", all, "in a struct", value)
	fmt.Fprintf(&buf, "%v %+v %#v %v", all, all, all, value)
	for _, secret := range []string{secretCode, "advsecret", "c2VjcmV0", secretNumber, "551187654321"} {
		if strings.Contains(buf.String(), secret) {
			t.Errorf("the log shows %q:\n%s", secret, &buf)
		}
	}
	if text := buf.String(); !strings.Contains(text, `"kind":"pairing_code"`) || !strings.Contains(text, `"number":1`) {
		t.Errorf("the log does not say what happened:\n%s", text)
	}
}

func TestUnmarshalEventReturnsWhatMarshalEventGot(t *testing.T) {
	t.Parallel()
	for name, event := range sampleEvents(t) {
		for _, event := range []walink.Event{event, walink.Publish(event), walink.Redact(event)} {
			data, err := walink.MarshalEvent(event)
			if err != nil {
				t.Fatal(err)
			}
			back, err := walink.UnmarshalEvent(data)
			if err != nil {
				t.Fatal(err)
			}
			same := cmp.Options{
				cmp.Comparer(func(a, b walink.Phone) bool { return a == b }),
				cmp.Comparer(func(a, b *walink.Error) bool {
					return a == b || a != nil && b != nil && a.Error() == b.Error() && a.Remedy() == b.Remedy() && a.RetryAfter == b.RetryAfter
				}),
			}
			if diff := cmp.Diff(event, back, same); diff != "" {
				t.Errorf("%s comes back as another event (-want +got):\n%s", name, diff)
			}
		}
	}
}

func TestMarshalEventTakesPointers(t *testing.T) {
	t.Parallel()
	event := walink.PairingCode{Code: secretCode}
	want, err := walink.MarshalEvent(event)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := walink.MarshalEvent(&event); string(got) != string(want) || err != nil {
		t.Errorf("MarshalEvent of a pointer is %s, %v, want %s", got, err, want)
	}
	if got, err := walink.MarshalEvent((*walink.PairingCode)(nil)); err == nil {
		t.Errorf("MarshalEvent of a nil pointer is %s", got)
	}
	if redacted, ok := walink.Redact(&event).(walink.PairingCode); !ok || redacted.Code != "" || event.Code != secretCode {
		t.Errorf("Redact of a pointer is %#v", redacted)
	}
	if walink.Publish((*walink.PairingCode)(nil)) != nil {
		t.Error("Publish of a nil pointer is an event")
	}
}

// inside is an error that says what a tenant must not read.
func inside(reason walink.Reason) *walink.Error {
	return &walink.Error{Reason: reason, Op: "load session", RetryAfter: time.Minute, Err: &walink.Error{
		Reason: walink.ErrStore, Op: "open",
		Err: hint.New(errors.New("postgres://walink@db1.internal/tenants: refused to walink, process 7 on host9"), "Start db1.internal."),
	}}
}

func TestPublishShowsThePersonTheirPartOnly(t *testing.T) {
	t.Parallel()
	events := sampleEvents(t)
	for _, reason := range allReasons() {
		err := inside(reason)
		events["failed "+string(reason)] = walink.Failed{Err: err}
		events["retrying "+string(reason)] = walink.Retrying{Err: err}
		events["disconnected "+string(reason)] = walink.Disconnected{Err: err}
		events["withdrawn "+string(reason)] = walink.Withdrawn{Err: err}
		events["qr "+string(reason)] = walink.QRCode{Payload: secretPayload, Fallback: err}
		events["passkey "+string(reason)] = walink.PasskeyRequired{Challenge: json.RawMessage(`{"challenge":"c2VjcmV0"}`), Err: err}
		events["standby "+string(reason)] = walink.Standby{Holder: "walink, process 7 on host9", Err: err}
		events["failed plainly "+string(reason)] = walink.Failed{Err: &walink.Error{Reason: reason}}
	}
	marshal := func(event walink.Event) string {
		data, err := walink.MarshalEvent(event)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	operators := []string{"db1.internal", "host9", "process 7", "walink@", "database", "web.whatsapp.com on port", "Linker", "proxy that", "other program that"}
	for name, event := range events {
		published, redacted := walink.Publish(event), walink.Redact(event)
		status, err := json.Marshal(walink.Status{}.Apply(event).Publish())
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{marshal(published), marshal(redacted), string(status), fmt.Sprintf("%v %#v", published, redacted)} {
			for _, word := range operators {
				if strings.Contains(strings.ReplaceAll(text, "the people who run this service", ""), word) {
					t.Errorf("%s shows %q: %s", name, word, text)
				}
			}
		}
		for _, secret := range []string{secretCode, "advsecret", "c2VjcmV0"} {
			if strings.Contains(marshal(redacted), secret) {
				t.Errorf("Redact of %s shows %q", name, secret)
			}
			if all := marshal(event); strings.Contains(all, secret) != strings.Contains(marshal(published), secret) {
				t.Errorf("Publish of %s loses %q", name, secret)
			}
		}
		if again := marshal(walink.Publish(published)); again != marshal(published) {
			t.Errorf("%s published twice is %s, and once %s", name, again, marshal(published))
		}
		if failed, ok := published.(walink.Failed); ok {
			before, _ := event.(walink.Failed)
			if failed.Err.Reason != before.Err.Reason || failed.Err.RetryAfter != before.Err.RetryAfter || failed.Err.Remedy() == "" {
				t.Errorf("Publish of %s loses the reason, the wait or the remedy: %s", name, marshal(published))
			}
		}
	}
}

func TestPublishKeepsARemedyForThePerson(t *testing.T) {
	t.Parallel()
	const remedy = "Wait some hours before another scan."
	failed := walink.Failed{Err: &walink.Error{Reason: walink.ErrPairing, Op: "scan", Err: hint.ForPerson(errors.New("db1"), remedy)}}
	timeout := walink.Failed{Err: &walink.Error{Reason: walink.ErrTimeout, Op: "link", Err: failed.Err}}
	for _, event := range []walink.Event{failed, timeout} {
		published, ok := walink.Publish(event).(walink.Failed)
		if !ok || published.Err.Remedy() != remedy || strings.Contains(published.Err.Error(), "db1") {
			t.Errorf("Publish of %v is %v with the remedy %q", event, published, published.Err.Remedy())
		}
	}
}

func TestUnmarshalEventRefusesWhatIsNotAnEvent(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		``, `null`, `{}`, `[]`, `{"kind":"unheard_of"}`, `{"kind":7}`, `{"kind":"failed"}`, `{"kind":"retrying"}`,
		`{"kind":"linked","account":5}`,
	} {
		if event, err := walink.UnmarshalEvent([]byte(in)); err == nil {
			t.Errorf("UnmarshalEvent(%s) returns %#v", in, event)
		}
	}
	if _, err := walink.MarshalEvent(nil); err == nil {
		t.Error("MarshalEvent(nil) returns no error")
	}
}

func FuzzUnmarshalEvent(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "events", "*.json"))
	if err != nil || len(files) == 0 {
		f.Fatal("no golden files", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		event, err := walink.UnmarshalEvent(data)
		if err != nil {
			return
		}
		first, err := walink.MarshalEvent(event)
		if err != nil {
			return // RFC 3339 has no time after the year 9999
		}
		back, err := walink.UnmarshalEvent(first)
		if err != nil {
			t.Fatalf("UnmarshalEvent(%s): %v", first, err)
		}
		second, err := walink.MarshalEvent(back)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(first), string(second)); diff != "" {
			t.Fatalf("JSON of what comes back (-want +got):\n%s", diff)
		}
	})
}
