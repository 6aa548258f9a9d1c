package passkey_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
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
