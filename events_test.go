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
		fmt.Fprintf(&buf, "%v\n%+v\n%s\n%#v\n", event, event, event, event)
		for _, secret := range []string{secretCode, "advsecret", "noisekey", "c2VjcmV0", secretNumber, "551187654321"} {
			if strings.Contains(buf.String(), secret) {
				t.Errorf("%s shows %q:\n%s", name, secret, buf.String())
			}
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
