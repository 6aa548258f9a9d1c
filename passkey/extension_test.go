package passkey_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink/passkey"
)

type manifest struct {
	Version     int      `json:"manifest_version"`
	Key         string   `json:"key"`
	Permissions []string `json:"permissions"`
	Hosts       []string `json:"host_permissions"`
}

func TestManifest(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "extension")
	for range 2 { // the second time over the files of the first
		if err := passkey.WriteExtension(dir); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	// The id is the start of the key's hash, with a to p for 0 to f.
	key, err := base64.StdEncoding.DecodeString(m.Key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(key)
	id := strings.Map(func(r rune) rune { return 'a' + rune(strings.IndexRune("0123456789abcdef", r)) }, hex.EncodeToString(sum[:16]))
	if id != passkey.ExtensionID {
		t.Errorf("the key gives %s", id)
	}
	m.Key = ""
	want := manifest{Version: 3, Permissions: []string{"scripting"}, Hosts: []string{"https://web.whatsapp.com/*", "http://127.0.0.1/*"}}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("the manifest allows the extension more or less than it needs:\n%s", diff)
	}
}

// On the way to many a folder are links of this user, and folders like /tmp, where nobody can
// replace another user's files.
func TestWriteExtensionFollowsWhatItsUserMade(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("links need rights here")
	}
	folder, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	if err := errors.Join(os.Chmod(folder, 0o777|fs.ModeSticky), os.Symlink(folder, link)); err != nil {
		t.Fatal(err)
	}
	if err := passkey.WriteExtension(filepath.Join(link, "a", "b")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "a", "b", "manifest.json")); err != nil {
		t.Error(err)
	}
}

// A browser may be reading the files, so WriteExtension touches only those that differ.
func TestWriteExtensionTouchesOnlyWhatDiffers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := passkey.WriteExtension(dir); err != nil {
		t.Fatal(err)
	}
	changed, same := filepath.Join(dir, "page.js"), filepath.Join(dir, "page.html")
	long := time.Unix(1_000_000, 0)
	if err := errors.Join(os.WriteFile(changed, []byte("old"), 0o600), os.Chtimes(changed, long, long), os.Chtimes(same, long, long)); err != nil {
		t.Fatal(err)
	}
	if err := passkey.WriteExtension(dir); err != nil {
		t.Fatal(err)
	}
	for name, touched := range map[string]bool{changed: true, same: false} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.ModTime().Equal(long) == touched {
			t.Errorf("%s is of %v", name, info.ModTime())
		}
	}
}

func TestWriteExtensionSaysWhyItCannot(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := passkey.WriteExtension(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("the error is %v", err)
	}
	err := passkey.WriteExtension(filepath.Join(file, strings.Repeat("long\n", 200)))
	if err == nil || len(err.Error()) > 500 || strings.Contains(err.Error(), "\n") {
		t.Errorf("the error is %v, want one line", err)
	}
}

// remedyOf returns the remedy of an error, "" if it has none.
func remedyOf(err error) string {
	var hint interface{ Remedy() string }
	if errors.As(err, &hint) {
		return hint.Remedy()
	}
	return ""
}

// Whoever can change the extension's files is in the person's browser.
func TestWriteExtensionWritesNothingWhereOthersCanWrite(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("links need rights here, and modes do not say who may write")
	}
	give := func(t *testing.T, path string) error {
		t.Helper()
		if os.Geteuid() != 0 {
			t.Skip("only root can give a file to another user")
		}
		return os.Lchown(path, 65534, 65534)
	}
	const file = "page.js"
	for name, harm := range map[string]func(t *testing.T, dir, elsewhere string) (string, error){
		"the folder is a link": func(_ *testing.T, dir, elsewhere string) (string, error) {
			return dir, errors.Join(os.Remove(dir), os.Symlink(elsewhere, dir))
		},
		"the folder is a link with a slash": func(_ *testing.T, dir, elsewhere string) (string, error) {
			return dir + "/", errors.Join(os.Remove(dir), os.Symlink(elsewhere, dir))
		},
		"the folder is a link to nothing": func(_ *testing.T, dir, elsewhere string) (string, error) {
			return dir, errors.Join(os.Remove(dir), os.Symlink(filepath.Join(elsewhere, "planted"), dir))
		},
		"all can write to the folder":             func(_ *testing.T, dir, _ string) (string, error) { return dir, os.Chmod(dir, 0o777) },
		"all can write to the folder, as in /tmp": func(_ *testing.T, dir, _ string) (string, error) { return dir, os.Chmod(dir, 0o777|fs.ModeSticky) },
		"a group can write to the folder": func(t *testing.T, dir, _ string) (string, error) {
			t.Helper()
			if os.Geteuid() != 0 {
				t.Skip("only root can give a folder to any group")
			}
			return dir, errors.Join(os.Chown(dir, 0, 65534), os.Chmod(dir, 0o770))
		},
		"the folder is another user's": func(t *testing.T, dir, _ string) (string, error) { t.Helper(); return dir, give(t, dir) },
		"all can write to a folder above": func(_ *testing.T, dir, _ string) (string, error) {
			return filepath.Join(dir, "a", "b", "c"), errors.Join(os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700), os.Chmod(dir, 0o777))
		},
		"a folder above is another user's": func(t *testing.T, dir, _ string) (string, error) {
			t.Helper()
			return filepath.Join(dir, "a", "b"), errors.Join(os.Mkdir(filepath.Join(dir, "a"), 0o700), give(t, dir))
		},
		"a folder above is another user's link": func(t *testing.T, dir, elsewhere string) (string, error) {
			t.Helper()
			return filepath.Join(dir, "a", "b"), errors.Join(os.Remove(dir), os.Symlink(elsewhere, dir), give(t, dir))
		},
		"a link of this user leads over another user's": func(t *testing.T, dir, elsewhere string) (string, error) {
			t.Helper()
			link := filepath.Join(filepath.Dir(dir), "link")
			return filepath.Join(link, "a"), errors.Join(os.Remove(dir), os.Symlink(elsewhere, dir), give(t, dir), os.Symlink("extension/.", link))
		},
		"the folders above go round in a circle": func(_ *testing.T, dir, _ string) (string, error) {
			return filepath.Join(dir, "a"), errors.Join(os.Remove(dir), os.Symlink(dir, dir))
		},
		"a file is a link to a file": func(_ *testing.T, dir, elsewhere string) (string, error) {
			return dir, os.Symlink(filepath.Join(elsewhere, "victim"), filepath.Join(dir, file))
		},
		"a file is a link to nothing": func(_ *testing.T, dir, elsewhere string) (string, error) {
			return dir, os.Symlink(filepath.Join(elsewhere, "planted"), filepath.Join(dir, file))
		},
		"a file is another user's": func(t *testing.T, dir, _ string) (string, error) {
			t.Helper()
			return dir, errors.Join(os.WriteFile(filepath.Join(dir, file), nil, 0o600), give(t, filepath.Join(dir, file)))
		},
		"all can write to a file": func(_ *testing.T, dir, _ string) (string, error) {
			return dir, errors.Join(os.WriteFile(filepath.Join(dir, file), nil, 0o600), os.Chmod(filepath.Join(dir, file), 0o666))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, elsewhere := filepath.Join(t.TempDir(), "extension"), t.TempDir()
			victim := filepath.Join(elsewhere, "victim")
			if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(victim, []byte("victim"), 0o600)); err != nil {
				t.Fatal(err)
			}
			path, err := harm(t, dir, elsewhere)
			if err != nil {
				t.Fatal(err)
			}
			if err := passkey.WriteExtension(path); err == nil || !strings.Contains(err.Error(), dir) || remedyOf(err) == "" {
				t.Errorf("WriteExtension: %v, with the remedy %q", err, remedyOf(err))
			}
			if content, err := os.ReadFile(victim); err != nil || string(content) != "victim" {
				t.Errorf("the file elsewhere has %q, %v", content, err)
			}
			for folder, most := range map[string]int{elsewhere: 1, dir: 1} { // the victim, and what was there
				if entries, _ := os.ReadDir(folder); len(entries) > most {
					t.Errorf("%s holds %v", folder, entries)
				}
			}
		})
	}
}

// A file that is replaced in place could be read by a browser when half of it is written.
func TestWriteExtensionReplacesAFileInOneStep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "page.js")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	reading, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reading.Close() }()
	if err := passkey.WriteExtension(dir); err != nil {
		t.Fatal(err)
	}
	if content, err := io.ReadAll(reading); err != nil || string(content) != "old" {
		t.Errorf("a browser reads %q, %v", content, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o022 != 0 {
		t.Errorf("the file has mode %v, %v", info.Mode(), err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) != 0 {
		t.Errorf("%q is left, %v", left, err)
	}
}
