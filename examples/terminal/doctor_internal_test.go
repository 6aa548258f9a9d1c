package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/walink/walink/doctor"
	"github.com/walink/walink/store/sqlite"
)

func TestDoctorExamines(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := runIn(t.Context(), t, t.TempDir(), "-sandbox", "-doctor", "-db", memory)
		r.wants(t, exitLinked, r.stdout, "store", "noise", "3 of 3 pairing codes are left", "0 failed, 0 to look at")
		r = runIn(t.Context(), t, t.TempDir(), "-phone", "+55 11 98765-4321", "-doctor")
		r.wants(t, exitFailed, r.stdout, "✗ tcp", "cause: failed to send request", "network is unreachable", "remedy: ")
		r = runIn(t.Context(), t, t.TempDir(), "-sandbox", "-doctor", "-json")
		r.wants(t, exitLinked, r.stdout, `{"time":`, `"name":"noise","status":"ok"`)
	})
}

// TestDoctorReports gives the doctor what keeps the program from starting at all.
func TestDoctorReports(t *testing.T) {
	t.Parallel()
	healthy := func(t *testing.T, path string) {
		t.Helper()
		st, err := sqlite.Open(t.Context(), path)
		if err := errors.Join(err, st.Close()); err != nil {
			t.Fatal(err)
		}
	}
	write := func(mode os.FileMode, text string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			t.Helper()
			if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		make   func(t *testing.T, path string) // the database; nil for none
		args   []string
		file   string // of settings
		first  string // the first check that failed; "" if none did
		says   string // of the check that is first, or of the store
		remedy string
	}{
		"settings that contradict": {
			make: healthy, file: `{"linkingMode": "qr", "preferPairingCode": true}`, first: "settings", says: `contradicts "linkingMode" qr`,
			remedy: "Choose the mode auto or pairing for a pairing code, or drop the preference for one.",
		},
		"settings that are not JSON": {
			make: healthy, file: `{"phone": `, first: "settings", says: "not JSON", remedy: "Correct the JSON: write one object, and nothing after the object.",
		},
		"a misspelt key": {
			make: healthy, file: `{"proxi": "http://user:canary@127.0.0.1:1"}`, first: "settings", says: "unknown key", remedy: `Write "proxy" if that is meant.`,
		},
		"no settings file": {
			make: healthy, args: []string{"-settings", "nowhere.json"}, first: "settings", says: "the settings cannot be read: open nowhere.json",
			remedy: "Correct the settings that the error names.",
		},
		"a number without its country code": {
			make: healthy, args: []string{"-phone", "11987654321"}, first: "number", says: "no country code",
			remedy: "Put a + and the country code in front, such as +55 for Brazil.",
		},
		"no number for a code": {
			make: healthy, args: []string{"-both"}, first: "settings", says: "needed for a pairing code",
			remedy: "Set Phone to the account's number with its country code, or link by QR code.",
		},
		"no database": {
			args: []string{"-sandbox"}, says: "there is no such file",
			remedy: "Correct the path if a database should be there; otherwise link, which makes it.",
		},
		"something else in the database": {
			make: write(0o600, "not a database"), args: []string{"-sandbox"}, first: "store", says: "cannot be read",
			remedy: "Choose another file, or restore this one from a backup: it is not a database.",
		},
		"a database that others may read": {
			make: write(0o644, ""), args: []string{"-sandbox"}, first: "store", says: "cannot be read",
			remedy: "Run chmod 600 on sessions.db: whoever can read it can use the accounts in it.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				dir := t.TempDir()
				path, args := filepath.Join(dir, "sessions.db"), append([]string{"-doctor", "-json"}, test.args...)
				if test.make != nil {
					test.make(t, path)
				}
				if test.file != "" {
					file := filepath.Join(t.TempDir(), "settings.json")
					if err := os.WriteFile(file, []byte(test.file), 0o600); err != nil {
						t.Fatal(err)
					}
					args = append(args, "-settings", file)
				}
				before, err := os.ReadDir(dir)
				if err != nil {
					t.Fatal(err)
				}
				mode := modeOf(t, path)
				r := runIn(t.Context(), t, dir, args...)
				var report doctor.Report
				if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
					t.Fatalf("%v, stdout is %q, stderr %q", err, r.stdout, r.stderr)
				}
				exit, c := exitLinked, report.First()
				if test.first != "" {
					exit = exitFailed
				} else {
					c = &report.Checks[2]
				}
				if c == nil || r.exit != exit || test.first != "" && c.Name != test.first {
					t.Fatalf("exit code %d, and first is %+v, want %s", r.exit, c, test.first)
				}
				if !strings.Contains(c.Detail, test.says) || c.Err == nil || c.Err.Remedy() != test.remedy {
					t.Errorf("%s says %q, with the remedy %q, want %q and %q", c.Name, c.Detail, c.Err.Remedy(), test.says, test.remedy)
				}
				after, err := os.ReadDir(dir)
				if err != nil || len(after) != len(before) || modeOf(t, path) != mode {
					t.Errorf("the directory was changed: %v, %v, mode %v", after, err, modeOf(t, path))
				}
				if strings.Contains(r.stdout, "canary") {
					t.Errorf("a secret in %s", r.stdout)
				}
			})
		})
	}
}

// TestDoctorNamesTheWholePathOfAMissingDatabase is about a path that is mistyped.
func TestDoctorNamesTheWholePathOfAMissingDatabase(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	bubble(t, func(t *testing.T) {
		r := runIn(t.Context(), t, "", "-sandbox", "-doctor", "-db", "mistyped.db")
		r.wants(t, exitLinked, r.stdout, "! store", "mistyped.db\" was not opened", string(filepath.Separator)+"mistyped.db", "there is no such file")
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("there is now %v, %v", entries, err)
		}
	})
}

func modeOf(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Mode()
}
