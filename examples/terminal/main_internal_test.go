package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mau.fi/libsignal/logger"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink"
	"github.com/walink/walink/store/sqlite"
)

// result is what a run left behind.
type result struct {
	exit           int
	stdout, stderr string
}

// bubble runs a test in simulated time, and fails it if a goroutine is left.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// runIn runs the program with its database in dir, as if in a pipe.
func runIn(ctx context.Context, t *testing.T, dir string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p := program{stdout: &stdout, stderr: &stderr, transport: noNetwork{}}
	exit := p.run(ctx, append([]string{"-db", filepath.Join(dir, "sessions.db")}, args...))
	return result{exit, stdout.String(), stderr.String()}
}

// noNetwork is a network that is not there.
type noNetwork struct{}

func (noNetwork) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("network is unreachable")
}

// wants fails the test unless the run has this exit code and out has each of the words.
func (r result) wants(t *testing.T, exit int, out string, words ...string) {
	t.Helper()
	if r.exit != exit {
		t.Errorf("exit code %d, want %d", r.exit, exit)
	}
	for _, word := range words {
		if !strings.Contains(out, word) {
			t.Errorf("nothing says %q", word)
		}
	}
	if t.Failed() {
		t.Fatalf("stdout:\n%s\nstderr:\n%s", r.stdout, r.stderr)
	}
}

func TestSandboxLinksAndResumes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args  []string
		words []string
	}{
		"by code": {nil, []string{"Link with phone number instead", "Code 1 is good until", "simulated phone: enters the code"}},
		"by QR": {
			[]string{"-qr", "-phone", "+49 1512 3456789", "-session", "shop"},
			[]string{"Point the phone at the QR code", "▀", "simulated phone: scans the QR code", "+49 1512 3456789", `Session "shop"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				dir := t.TempDir()
				args := append([]string{"-sandbox"}, test.args...)
				r := runIn(t.Context(), t, dir, args...)
				r.wants(t, exitLinked, r.stdout, append(test.words, "simulated, nothing real", "Linked: ", dir)...)
				checkPlain(t, r.stdout)

				r = runIn(t.Context(), t, dir, args...)
				r.wants(t, exitLinked, r.stdout, "Resumed: ", "no code was needed", dir)
				if strings.Contains(r.stdout, "good until") {
					t.Errorf("a code was shown for a stored session:\n%s", r.stdout)
				}
			})
		})
	}
}

// TestReadmeCommands runs the sandbox as the README says, in one folder.
func TestReadmeCommands(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, test := range []struct {
		args  []string
		words []string
	}{
		{nil, []string{"Code 1 is good until", "Linked: ", "kept apart from real ones, in " + filepath.Join(dir, "walink-sandbox.db")}},
		{nil, []string{"Resumed: "}},
		{[]string{"-qr"}, []string{"QR code 1 is good until", "Linked: ", filepath.Join(dir, "walink-sandbox-qr.db")}},
		{[]string{"-qr"}, []string{"Resumed: "}},
		{[]string{"-both"}, []string{"Code 1 is good until", "QR code 1 is good until", "Linked: ", filepath.Join(dir, "walink-sandbox-both.db")}},
	} {
		bubble(t, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			p := program{stdout: &stdout, stderr: &stderr}
			exit := p.run(t.Context(), append([]string{"-sandbox"}, test.args...))
			result{exit, stdout.String(), stderr.String()}.wants(t, exitLinked, stdout.String(), test.words...)
		})
	}
}

// TestSandboxKeepsSessionsApart links two sessions of one account and one of
// another in one file, each in its own run, and resumes them all.
func TestSandboxKeepsSessionsApart(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		dir := t.TempDir()
		for _, outcome := range []string{"Linked: ", "Resumed: "} {
			for session, phone := range map[string]string{"a": sandboxPhone, "b": sandboxPhone, "c": "+49 1512 3456789"} {
				r := runIn(t.Context(), t, dir, "-sandbox", "-session", session, "-phone", phone)
				r.wants(t, exitLinked, r.stdout, outcome+phone, "Do not use "+dir, "without -sandbox")
			}
		}
	})
}

func TestInMemoryNothingIsKept(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := runIn(t.Context(), t, t.TempDir(), "-sandbox", "-db", ":memory:")
		r.wants(t, exitLinked, r.stdout, "Linked: ", "nothing is kept")
		for _, wrong := range []string{"/:memory:", "Start again", "Start the same command"} {
			if strings.Contains(r.stdout, wrong) {
				t.Errorf("the screen says %q of a session that is gone:\n%s", wrong, r.stdout)
			}
		}
	})
}

// TestLibsignalDoesNotPrint is not parallel, because stdout and the logger belong to
// the process.
func TestLibsignalDoesNotPrint(t *testing.T) { //nolint:paralleltest // see above
	file, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = file
	quiet()
	logger.Error("not JSON")
	os.Stdout = stdout
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if printed, err := os.ReadFile(file.Name()); err != nil || len(printed) > 0 {
		t.Errorf("printed %q, %v", printed, err)
	}
}

// checkPlain fails the test if anything but a QR code has colours or moves the cursor,
// or if a code is not alone on its line.
func checkPlain(t *testing.T, out string) {
	t.Helper()
	for line := range strings.Lines(out) {
		if strings.ContainsAny(line, "\x1b\r") && !strings.ContainsAny(line, "█▀▄") {
			t.Errorf("colours or movement in %q", line)
		}
	}
	if strings.Contains(out, "\nCode 1") && !regexp.MustCompile(`(?m)^ +[1-9A-Z]{4}-[1-9A-Z]{4}$`).MatchString(out) {
		t.Errorf("the code is not alone on its line:\n%s", out)
	}
}

// TestScriptsGetEventsAndALogWithoutSecrets links by both, for a script.
func TestScriptsGetEventsAndALogWithoutSecrets(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := runIn(t.Context(), t, t.TempDir(), "-sandbox", "-both", "-json", "-verbose")
		r.wants(t, exitLinked, r.stderr, "level=DEBUG", "Linked: ", "simulated phone", "Code 1 is good until", "QR code 1 is good until")
		secrets := []string{"5511987654321", "98765-4321"}
		var last walink.Event
		for line := range strings.Lines(r.stdout) {
			event, err := walink.UnmarshalEvent([]byte(line))
			if err != nil {
				t.Fatalf("%v in %q", err, line)
			}
			last = event
			switch e := event.(type) {
			case walink.PairingCode:
				secrets = append(secrets, e.Code, strings.ReplaceAll(e.Code, "-", ""))
			case walink.QRCode:
				_, fields, _ := strings.Cut(e.Payload, "#")
				secrets = append(secrets, strings.Split(fields, ",")[:4]...)
			case walink.Connecting, walink.Withdrawn, walink.PasskeyRequired, walink.PasskeyConfirmation, walink.Paired,
				walink.Retrying, walink.Linked, walink.Failed:
			}
		}
		if _, ok := last.(walink.Linked); !ok || len(secrets) < 8 {
			t.Errorf("the last event is %v, of %d secrets", last, len(secrets))
		}
		for line := range strings.Lines(r.stderr) {
			for _, secret := range secrets {
				if strings.HasPrefix(line, "time=") && strings.Contains(line, secret) {
					t.Errorf("a secret in %q", line)
				}
			}
		}
	})
}

func TestBadUsage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad, contradiction := filepath.Join(dir, "bad.json"), filepath.Join(dir, "contradiction.json")
	for path, text := range map[string]string{
		bad:           `{"preferParingCode": true, "mode": "sideways", "phone": "12"}`,
		contradiction: `{"linkingMode": "qr", "preferPairingCode": true}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		args  []string
		words []string
	}{
		"unknown flag":          {[]string{"-no-such-flag"}, []string{"-no-such-flag", "-h"}},
		"qr and both":           {[]string{"-sandbox", "-qr", "-both"}, []string{"-qr and -both contradict", "leave out"}},
		"number without quotes": {[]string{"-phone", "+55", "11", "98765-4321"}, []string{`unexpected argument "11"`, "quotes"}},
		"no country code":       {[]string{"-phone", "11987654321"}, []string{"no country code", "Put a +"}},
		"both without a number": {[]string{"-both"}, []string{"needed for a pairing code"}},
		"no such settings file": {[]string{"-settings", "nowhere.json"}, []string{"nowhere.json"}},
		"every fault of a file": {[]string{"-settings", bad}, []string{`"preferPairingCode"`, "sideways", "too short"}},
		"contradicting file":    {[]string{"-settings", contradiction}, []string{"contradicts"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := runIn(t.Context(), t, dir, test.args...)
			r.wants(t, exitUsage, r.stderr, test.words...)
			if _, err := os.Stat(filepath.Join(dir, "sessions.db")); err == nil || r.stdout != "" {
				t.Errorf("the program did something in spite of that: %v\n%s", err, r.stdout)
			}
		})
	}
}

func TestFlagsOverrideTheSettingsFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "settings.json")
	text := `{"phone": "+49 1512 3456789", "session": "file", "preferPairingCode": true, "proxy": "http://127.0.0.1:9", "timeout": "1m"}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		want options
	}{
		"nothing": {nil, options{db: "walink.db", settings: walink.Settings{QRFallback: true}}},
		"phone": {
			[]string{"-phone", "+5511987654321"},
			options{db: "walink.db", settings: walink.Settings{Phone: "+5511987654321", PreferPairingCode: true, QRFallback: true}},
		},
		"sandbox": {
			[]string{"-sandbox"},
			options{db: sandboxDB, apart: true, sandbox: true, settings: walink.Settings{Phone: sandboxPhone, PreferPairingCode: true, QRFallback: true}},
		},
		"file": {
			[]string{"-settings", file},
			options{db: "walink.db", settings: walink.Settings{
				Phone: "+49 1512 3456789", Session: "file", PreferPairingCode: true, Proxy: "http://127.0.0.1:9", Timeout: time.Minute,
			}},
		},
		"file and flags": {
			[]string{"-settings", file, "-session", "flag", "-phone", "+5511987654321", "-qr", "-timeout", "90s", "-sandbox", "-db", "x"},
			options{db: "x", sandbox: true, settings: walink.Settings{
				Phone: "+5511987654321", Session: "flag", LinkingMode: walink.ModeQR, QRFallback: false, Timeout: 90 * time.Second,
			}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parse(test.args)
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(options{})); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	r := runIn(t.Context(), t, t.TempDir(), "-h")
	r.wants(t, exitLinked, r.stdout, "-sandbox", "-phone", "Exit codes")
}

func TestNoNetwork(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := runIn(t.Context(), t, t.TempDir(), "-phone", "+55 11 98765-4321")
		r.wants(t, exitFailed, r.stderr, "Not linked: ", "network is unreachable", "What to do: Check that this machine can reach")
		r.wants(t, exitFailed, r.stdout, "Attempt 1 failed: ", "Attempt 2 failed: see above.", "Trying again")
	})
}

func TestUnusableDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sessions.db"), []byte("not a database"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := runIn(t.Context(), t, dir, "-phone", "+55 11 98765-4321")
	r.wants(t, exitFailed, r.stderr, "Not linked: ", "sessions.db", "What to do: ")
}

// TestSandboxLeavesRealSessionsAlone gives the sandbox a session of another WhatsApp, with
// its own LID or from before there were LIDs, or a device that another whatsmeow
// program has stored. A login to the sandbox would make the session useless there.
func TestSandboxLeavesRealSessionsAlone(t *testing.T) {
	t.Parallel()
	lid := types.NewADJID("123456789012345", types.LIDDomain, 1)
	for name, test := range map[string]struct {
		lid  types.JID
		sql  string
		says string
	}{
		"with a LID":          {lid, "", "was not linked to a server of this package"},
		"without a LID":       {types.JID{}, "", "was not linked to a server of this package"},
		"without a name":      {lid, "DELETE FROM walink_session", "devices of another whatsmeow program"},
		"of another program":  {lid, dropTables, "this program will upgrade it"},
		"not even a database": {lid, "", "not a database"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testSandboxLeavesAlone(t, test.lid, test.sql, test.says)
		})
	}
}

const dropTables = "DROP TABLE walink_session; DROP TABLE walink_lease; DROP TABLE walink_code; DROP TABLE walink_version"

// change runs statements on the database at path.
func change(t *testing.T, path, statements string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), statements); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func testSandboxLeavesAlone(t *testing.T, lid types.JID, statement, says string) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		dir := t.TempDir()
		r := runIn(t.Context(), t, dir, "-sandbox")
		r.wants(t, exitLinked, r.stdout)
		st, err := sqlite.Open(t.Context(), filepath.Join(dir, "sessions.db"))
		if err != nil {
			t.Fatal(err)
		}
		device, err := st.Device(t.Context(), "default")
		if err != nil {
			t.Fatal(err)
		}
		device.LID = lid
		if err := errors.Join(device.Save(t.Context()), st.Close()); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "sessions.db")
		change(t, path, statement)
		if says == "not a database" {
			if err := os.WriteFile(path, []byte("a letter"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"-sandbox"}, {"-sandbox", "-session", "other"}, {"-sandbox", "-qr"}, {"-sandbox", "-phone", "+49 1512 3456789"}} {
			r = runIn(t.Context(), t, dir, args...)
			r.wants(t, exitFailed, r.stderr, "the sandbox cannot use", says, "-db")
		}
		after, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(before, after) {
			t.Errorf("the sandbox has changed the file: %v", err)
		}
	})
}
