package release_test

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// file is a file of a module, which [zip.Create] reads.
type file struct{ name, path string }

var _ zip.File = file{}

func (f file) Path() string                 { return f.name }
func (f file) Lstat() (fs.FileInfo, error)  { return os.Lstat(f.path) }
func (f file) Open() (io.ReadCloser, error) { return os.Open(f.path) }

// files returns what a commit of the working tree would have in folder.
func files(t *testing.T, folder string) []zip.File {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("There is no git, which knows the files of a commit.")
	}
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = folder
	out, err := list.Output()
	if err != nil {
		t.Skipf("The source is not in a working tree of git: %v", err)
	}
	var found []zip.File
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if _, err := os.Lstat(path); err == nil { // git still lists what was deleted
			found = append(found, file{name, path})
		}
	}
	return found
}

// publish puts a version of the module in folder into a module proxy made of
// files (go help goproxy). The zip leaves out what belongs to modules in folders
// of the module's, as that of a tag does.
func publish(t *testing.T, proxy, folder string, mod module.Version) {
	t.Helper()
	escaped, err := module.EscapePath(mod.Path)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	goMod, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := json.Marshal(struct {
		Version string
		Time    time.Time
	}{mod.Version, time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := zip.Create(&archive, mod, files(t, folder)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"list": []byte(mod.Version + "\n"), mod.Version + ".info": info, mod.Version + ".mod": goMod, mod.Version + ".zip": archive.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// fileURL returns the URL of a folder.
func fileURL(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") { // a drive of Windows
		path = "/" + path
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}
