package walink_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/walinktest"
)

// TestEveryPainHasATest keeps docs/pains.md true: each of its rows names a test
// of this repository that begins with the row's number, and each such test is
// named there.
func TestEveryPainHasATest(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("docs", "pains.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, name := range regexp.MustCompile(`TestPains\d\d\w+`).FindAllString(string(page), -1) {
		named[name] = true
	}
	is := map[string]bool{}
	for _, pattern := range []string{"*_test.go", "*/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range regexp.MustCompile(`(?m)^func (TestPains\d\d\w+)\(`).FindAllStringSubmatch(string(source), -1) {
				is[match[1]] = true
			}
		}
	}
	for name := range named {
		if !is[name] {
			t.Errorf("docs/pains.md names %s, which does not exist", name)
		}
	}
	for name := range is {
		if !named[name] {
			t.Errorf("docs/pains.md does not name %s", name)
		}
	}
	rows := regexp.MustCompile(`(?m)^\| (\d+) \|.*`).FindAllStringSubmatch(string(page), -1)
	if len(rows) != 27 {
		t.Errorf("docs/pains.md has %d rows", len(rows))
	}
	for _, row := range rows {
		if !strings.Contains(row[0], "TestPains"+strings.Repeat("0", 2-len(row[1]))+row[1]) {
			t.Errorf("row %s names no test of its own", row[1])
		}
	}
}

func TestPains01TheNumberIsNeverLost(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, pairing())
		r.link(t.Context())
		r.enter(await[walink.PairingCode](r))
		account := r.linked().Account
		again := r.again(pairing()) // as after a restart
		if !r.phone.Remove(account.JID) {
			t.Fatal("the phone does not know the device")
		}
		again.srv.Script(walinktest.StageCompanionHello, walinktest.Drop()) // and the connection is lost, too
		again.link(t.Context())
		code := await[walink.PairingCode](again)
		if code.Code == "" || code.Phone != account.Phone {
			t.Errorf("unexpected %v", code)
		}
		again.enter(code)
		again.linked()
	})
}

func TestPains03NoCodeBeforeTheServersConfirmation(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		const delay = 10 * time.Second
		r := newRig(t, pairing())
		r.srv.Script(walinktest.StageCompanionHello, walinktest.Delay(delay))
		start := time.Now()
		r.link(t.Context())
		code := await[walink.PairingCode](r)
		if took := time.Since(start); took < delay {
			t.Errorf("the code is shown after %v, before WhatsApp knows it", took)
		}
		if code.Issued.Sub(start) >= delay {
			t.Error("the code's life does not count from the request")
		}
		r.enter(code)
		r.linked()
	})
}

func TestPains04TheRequestWaitsForTheServer(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		const delay = 15 * time.Second
		r := newRig(t, pairing())
		r.srv.Script(walinktest.StagePairDevice, walinktest.Delay(delay))
		start := time.Now()
		r.link(t.Context())
		code := await[walink.PairingCode](r)
		if asked := code.Issued.Sub(start); asked < delay {
			t.Errorf("the code is asked for after %v, before the server was ready", asked)
		}
		r.enter(code)
		r.linked()
		if strings.Contains(r.kinds(), "retrying") {
			t.Errorf("it took more than one attempt:\n%s", r.story())
		}
	})
}

func TestPains06TheCodeOutlivesTheQRCodes(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{Phone: number, LinkingMode: walink.ModeBoth})
		r.link(t.Context())
		code := await[walink.PairingCode](r)
		last := time.NewTimer(time.Until(code.Expires) - time.Second)
		for waiting := true; waiting; {
			select {
			case event := <-r.events:
				r.seen = append(r.seen, event)
				switch e := event.(type) {
				case walink.QRCode:
				case walink.Withdrawn:
					if e.Method != walink.MethodQR {
						t.Fatalf("unexpected %v", e)
					}
				default:
					t.Fatalf("unexpected %s %v", e.Kind(), e)
				}
			case <-last.C:
				waiting = false
			}
		}
		if status := r.linker.Status(); status.QRCode != nil || status.PairingCode == nil {
			t.Errorf("on the screen are %v and %v", status.QRCode, status.PairingCode)
		}
		r.enter(code)
		r.linked()
	})
}

func TestPains24TheOtherFormOfARefusedNumberIsProposed(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, pairing())
		r.srv.Script(walinktest.StageCompanionHello, walinktest.Refuse(400))
		r.link(t.Context())
		withdrawn := await[walink.Withdrawn](r)
		if len(withdrawn.Alternatives) != 1 || withdrawn.Alternatives[0].String() != "+551187654321" {
			t.Fatalf("proposed is %v", withdrawn.Alternatives)
		}
		wantReason(t, r.failed(), walink.ErrCodeRefused)

		settings := pairing()
		settings.Phone = withdrawn.Alternatives[0].String()
		other := r.again(settings)
		other.link(t.Context())
		if code := await[walink.PairingCode](other); code.Phone.String() != settings.Phone {
			t.Errorf("the code is for %v", code.Phone)
		}
	})
}
