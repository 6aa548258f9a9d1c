package walink_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/walinktest"
)

// Each row of docs/pains.md names a test of this repository that begins with the
// row's number, and each such test is named there.
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
	declared := regexp.MustCompile(`(?m)^func (TestPains\d\d\w+)\(`)
	err = filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.Name() == "node_modules":
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		for _, match := range declared.FindAllSubmatch(source, -1) {
			is[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
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
	if len(rows) != 37 {
		t.Errorf("docs/pains.md has %d rows", len(rows))
	}
	for _, row := range rows {
		if !strings.Contains(row[0], "TestPains"+strings.Repeat("0", 2-len(row[1]))+row[1]) {
			t.Errorf("row %s does not name its own test", row[1])
		}
	}
}

func TestPains01TheNumberIsNeverLost(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, pairing())
		r.Link(t.Context())
		r.Enter(rig.Await[walink.PairingCode](r))
		account := r.Linked().Account
		again := r.Again(pairing())
		if !r.Phone.Remove(account.JID) {
			t.Fatal("the phone does not know the device")
		}
		again.Server.Script(walinktest.StageCompanionHello, walinktest.Drop()) // the connection is lost, too
		again.Link(t.Context())
		code := rig.Await[walink.PairingCode](again)
		if code.Code == "" || code.Phone != account.Phone {
			t.Errorf("the event is %v", code)
		}
		again.Enter(code)
		again.Linked()
	})
}

func TestPains03NoCodeBeforeTheServersConfirmation(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		const delay = 10 * time.Second
		r := rig.New(t, pairing())
		r.Server.Script(walinktest.StageCompanionHello, walinktest.Delay(delay))
		start := time.Now()
		r.Link(t.Context())
		code := rig.Await[walink.PairingCode](r)
		if took := time.Since(start); took < delay {
			t.Errorf("the code is shown after %v, before WhatsApp confirms it", took)
		}
		if code.Issued.Sub(start) >= delay {
			t.Error("the life of the code does not begin with the request")
		}
		r.Enter(code)
		r.Linked()
	})
}

func TestPains04TheRequestWaitsForTheServer(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		const delay = 15 * time.Second
		r := rig.New(t, pairing())
		r.Server.Script(walinktest.StagePairDevice, walinktest.Delay(delay))
		start := time.Now()
		r.Link(t.Context())
		code := rig.Await[walink.PairingCode](r)
		if after := code.Issued.Sub(start); after < delay {
			t.Errorf("the code is requested after %v, before the server is ready", after)
		}
		r.Enter(code)
		r.Linked()
		if strings.Contains(r.Kinds(), "retrying") {
			t.Errorf("there is more than one attempt:\n%s", r.Story())
		}
	})
}

func TestPains06TheCodeOutlivesTheQRCodes(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{Phone: rig.Number, LinkingMode: walink.ModeBoth})
		r.Link(t.Context())
		code := rig.Await[walink.PairingCode](r)
		for {
			event, ok := r.NextBefore(code.Expires.Add(-time.Second))
			if !ok {
				break
			}
			switch e := event.(type) {
			case walink.QRCode:
			case walink.Withdrawn:
				if e.Method != walink.MethodQR {
					t.Fatalf("the event is %v", e)
				}
			default:
				t.Fatalf("the event is %s %v", e.Kind(), e)
			}
		}
		if status := r.Linker.Status(); status.QRCode != nil || status.PairingCode == nil {
			t.Errorf("the status has the codes %v and %v", status.QRCode, status.PairingCode)
		}
		r.Enter(code)
		r.Linked()
	})
}

func TestPains24TheOtherFormOfARefusedNumberIsProposed(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, pairing())
		r.Server.Script(walinktest.StageCompanionHello, walinktest.Refuse(400))
		r.Link(t.Context())
		withdrawn := rig.Await[walink.Withdrawn](r)
		if len(withdrawn.Alternatives) != 1 || withdrawn.Alternatives[0].String() != "+551187654321" {
			t.Fatalf("the alternatives are %v", withdrawn.Alternatives)
		}
		rig.WantReason(t, r.Failed(), walink.ErrCodeRefused)

		settings := pairing()
		settings.Phone = withdrawn.Alternatives[0].String()
		other := r.Again(settings)
		other.Link(t.Context())
		if code := rig.Await[walink.PairingCode](other); code.Phone.String() != settings.Phone {
			t.Errorf("the code is for %v", code.Phone)
		}
	})
}
