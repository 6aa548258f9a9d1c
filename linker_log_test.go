package walink_test

import (
	"bytes"
	"encoding/base64"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/walink/walink"
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

// TestLogHoldsNoSecretAtAnyLevel links by both methods, with every kind of
// trouble on the way, and looks for what must not be in the log.
func TestLogHoldsNoSecretAtAnyLevel(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		var log lockedBuffer
		logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))
		r := newRig(t, walink.Settings{Phone: number, LinkingMode: walink.ModeBoth, Logger: logger, CodeBudget: 10})
		r.srv.Script(walinktest.StagePairSuccess, walinktest.BadHMAC(), walinktest.Malformed(), walinktest.BadSignature())
		r.srv.Script(walinktest.StageLogin, walinktest.Failure(503))
		r.link(t.Context())
		await[walink.PairingCode](r)
		if err := r.phone.EnterCode(t.Context(), "1111-1111"); err == nil {
			t.Fatal("the phone takes a wrong code")
		}
		stranger := r.srv.NewPhone("+4915123456789")
		if err := stranger.ScanQR(t.Context(), r.linker.Status().QRCode.Payload); err == nil {
			t.Fatal("the stranger is linked")
		}
		untilLinked(r)
		secrets := []string{"5511987654321", "4915123456789"}
		for _, event := range r.seen {
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
