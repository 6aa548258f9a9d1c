package walink_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"unicode"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/store"
	"github.com/walink/walink/walinktest"
)

// lockedBuffer is a bytes.Buffer for several goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// The Link goes by both methods, through every kind of trouble.
func TestLogHoldsNoSecretAtAnyLevel(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		var log lockedBuffer
		logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))
		r := rig.New(t, walink.Settings{Phone: rig.Number, LinkingMode: walink.ModeBoth, Logger: logger, CodeBudget: 10})
		r.Server.Script(walinktest.StagePairSuccess, walinktest.BadHMAC(), walinktest.Malformed(), walinktest.BadSignature())
		r.Server.Script(walinktest.StageLogin, walinktest.Failure(503))
		r.Link(t.Context())
		rig.Await[walink.PairingCode](r)
		if err := r.Phone.EnterCode(t.Context(), "1111-1111"); err == nil {
			t.Fatal("the phone takes a wrong code")
		}
		stranger := r.Server.NewPhone("+4915123456789")
		if err := stranger.ScanQR(t.Context(), r.Linker.Status().QRCode.Payload); err == nil {
			t.Fatal("a stranger's phone says that it is linked")
		}
		r.TakeUntilLinked()
		secrets := []string{"5511987654321", "4915123456789"}
		for _, event := range r.Seen {
			switch e := event.(type) {
			case walink.PairingCode:
				secrets = append(secrets, e.Code, strings.ReplaceAll(e.Code, "-", ""))
			case walink.QRCode:
				qr, err := walinktest.ParseQR(e.Payload)
				if err != nil {
					t.Fatal(err)
				}
				secrets = append(secrets, qr.Ref)
				for _, key := range [][]byte{qr.NoiseKey[:], qr.IdentityKey[:], qr.ADVSecret[:]} {
					secrets = append(secrets, base64.StdEncoding.EncodeToString(key)[:24])
				}
			default:
			}
		}
		got := log.String()
		for _, secret := range secrets {
			if strings.Contains(got, secret) {
				t.Errorf("the log holds a secret: …%s…", got[max(0, strings.Index(got, secret)-120):][:240])
			}
		}
		for _, want := range []string{`"msg":"link event"`, `"kind":"pairing_code"`, `"module":"Recv"`, "link_code_companion_reg"} {
			if !strings.Contains(got, want) {
				t.Errorf("the log lacks %s", want)
			}
		}
	})
}

func TestSessionNamedByANumberIsMaskedInTheLog(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		var log lockedBuffer
		r := rig.New(t, walink.Settings{
			Session: "5511987654321",
			Logger:  slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
		r.LinkByQR()
		if strings.Contains(log.String(), "5511987654321") {
			t.Error("the log holds the number")
		}
	})
}

// namingStore is a Store whose errors name the session, as SQL Stores do.
type namingStore struct{ store.Store }

func (s namingStore) Device(_ context.Context, session string) (*wastore.Device, error) {
	return nil, fmt.Errorf("sqlite: session %q: the database is gone", session)
}

func TestSessionsNamedLikeANumberAreMasked(t *testing.T) {
	t.Parallel()
	for _, session := range []string{"5511987654321", "+55 11 98765-4321", "55.11.98765.4321", "55_11_98765_4321"} {
		rig.Bubble(t, func(t *testing.T) {
			var log lockedBuffer
			logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))
			r := rig.New(t, walink.Settings{Session: session, Logger: logger}, rig.WithStore(namingStore{rig.MemoryStore(t)}))
			r.Link(t.Context())
			err := r.Failed()
			for _, text := range []string{err.Error(), fmt.Sprint(r.Seen), log.String()} {
				if strings.Contains(text, "4321") {
					t.Errorf("session %q is shown: %s", session, text)
				}
			}
		})
	}
}

// The owner of the account chose the names.
func TestNamesOfTheAccountAreShownAndNotObeyed(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		const evil = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\u009b31mPadaria\u202e\n"
		r := rig.New(t, walink.Settings{}, rig.WithPhone(walinktest.WithBusinessName(evil), walinktest.WithPlatform(evil)))
		account := r.LinkByQR().Account
		if want := "]52;c;ZXZpbA== [2J 31mPadaria"; account.BusinessName != want || account.Platform != want {
			t.Errorf("the account's names are %q and %q", account.BusinessName, account.Platform)
		}
		resumed := r.Again(walink.Settings{})
		resumed.Link(t.Context())
		r.Seen = append(r.Seen, resumed.Linked())
		// Events also come from JSON that another program has written.
		account.BusinessName = evil
		r.Seen = append(r.Seen, walink.Linked{Account: account})
		r.Seen = append(r.Seen, walink.Standby{Holder: evil, Err: &walink.Error{Reason: walink.ErrStore, Err: errors.New(evil)}})
		challenge, _ := json.Marshal(evil)
		r.Seen = append(r.Seen, walink.PasskeyRequired{Challenge: challenge}, walink.QRCode{Payload: evil})
		for _, event := range r.Seen {
			data, err := walink.MarshalEvent(event)
			status, err2 := json.Marshal(walink.Status{}.Apply(event))
			if err := errors.Join(err, err2); err != nil {
				t.Error(err)
			}
			logged := slog.AnyValue(event).Resolve().String()
			for _, text := range []string{string(data), string(status), fmt.Sprint(event), fmt.Sprintf("%#v", event), logged} {
				if strings.ContainsFunc(text, func(c rune) bool { return unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) }) {
					t.Errorf("%s shows %q", event.Kind(), text)
				}
			}
		}
	})
}
