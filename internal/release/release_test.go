// Package release_test has walink as those have it who import a version of it
// and have no copy of the repository.
package release_test

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

const (
	root   = "../.."
	walink = "github.com/walink/walink"
)

// released is a module that gets its own tags, and the version that it
// requires of walink.
type released struct{ path, folder, requires string }

// modules returns the modules of go.work that are released, but for the root.
func modules(t *testing.T) []released {
	t.Helper()
	work, err := modfile.ParseWork("go.work", content(t, "go.work"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var found []released
	for _, use := range work.Use {
		name := path.Clean(use.Path)
		if name == "." || strings.HasPrefix(name, "bench/") || strings.HasPrefix(name, "examples/") { // nobody imports these
			continue
		}
		mod, err := modfile.Parse(name, content(t, path.Join(name, "go.mod")), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, require := range mod.Require {
			if require.Mod.Path == walink {
				found = append(found, released{mod.Module.Mod.Path, filepath.Join(root, filepath.FromSlash(name)), require.Mod.Version})
			}
		}
	}
	if len(found) == 0 {
		t.Fatal("go.work has no module that requires walink")
	}
	return found
}

func content(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// terminal is the command that README.md shows, without its arguments.
func terminal(version string) string { return walink + "/examples/terminal@" + version }

// TestVersionsAgree compares the versions that docs/releasing.md says to set.
func TestVersionsAgree(t *testing.T) {
	t.Parallel()
	all := modules(t)
	version := all[0].requires
	for _, m := range all {
		if m.requires != version {
			t.Errorf("%s requires walink at %s, %s at %s", all[0].path, version, m.path, m.requires)
		}
	}
	if !strings.Contains(string(content(t, "README.md")), "go run "+terminal(version)+" -sandbox\n") {
		t.Errorf("README.md does not show: go run %s -sandbox", terminal(version))
	}
	if heading := "\n## [" + strings.TrimPrefix(version, "v") + "]"; !strings.Contains(string(content(t, "CHANGELOG.md")), heading) {
		t.Errorf("CHANGELOG.md has no heading:%s", heading)
	}
}

// TestImporter publishes the working tree in a module proxy made of files, and
// builds what somebody else's program builds of it.
func TestImporter(t *testing.T) {
	if os.Getenv("WALINK_IMPORTER") == "" {
		t.Skip("This takes minutes; make importer runs it.")
	}
	t.Parallel()
	all := modules(t)
	version := all[0].requires
	proxy := t.TempDir()
	publish(t, proxy, root, module.Version{Path: walink, Version: version})
	for _, m := range all {
		publish(t, proxy, m.folder, module.Version{Path: m.path, Version: version})
	}
	importer := newImporter(t, proxy, all)

	for _, m := range append([]released{{path: walink}}, all...) {
		t.Run(path.Base(m.path), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			importer.write(t, dir, "go.mod", "module example.com/importer\n\ngo 1.26.0\n")
			importer.write(t, dir, "main.go", fmt.Sprintf("package main\n\nimport _ %q\n\nfunc main() {}\n", m.path))
			importer.run(t, dir, "get", m.path+"@"+version)
			importer.run(t, dir, "vet", ".")
			importer.run(t, dir, "build", ".")
			if got := importer.run(t, dir, "list", "-m", walink); got != walink+" "+version+"\n" {
				t.Errorf("the importer gets %s", got)
			}
		})
	}
	t.Run("terminal", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		db := filepath.Join(dir, "session.db")
		out := importer.run(t, dir, "run", terminal(version), "-sandbox", "-db", db)
		if !strings.Contains(out, "\nLinked: ") || !strings.Contains(out, ", as device ") {
			t.Errorf("the terminal prints:\n%s\nwant a line that says who is linked", out)
		}
		if info, err := os.Stat(db); err != nil || info.Size() == 0 {
			t.Errorf("no database was written: %v", err)
		}
	})
}

// importer runs the go command with an empty module cache and two proxies: the
// one made of files, and what this machine's own cache has downloaded.
type importer struct{ env []string }

func newImporter(t *testing.T, proxy string, all []released) *importer {
	t.Helper()
	here := &importer{append(os.Environ(), "GOWORK=off")}
	for _, m := range append([]released{{path: walink, folder: root}}, all...) {
		if out, err := here.command(t, m.folder, "mod", "download").CombinedOutput(); err != nil {
			t.Skipf("The modules that %s needs cannot be downloaded: %v\n%s", m.path, err, out)
		}
	}
	cache := strings.TrimSpace(here.run(t, root, "env", "GOMODCACHE"))
	return &importer{append(here.env,
		"GOPROXY="+fileURL(proxy)+","+fileURL(filepath.Join(cache, "cache", "download")),
		"GOMODCACHE="+t.TempDir(),
		"GOENV=off", "GOPRIVATE=", "GONOPROXY=", // everything comes from these proxies
		"GOSUMDB=off", // what the cache has was verified when it was downloaded
		// With -trimpath the build cache knows a package by its version and not by
		// its folder, which is another one each time.
		"GOFLAGS=-mod=mod -modcacherw -trimpath -buildvcs=false",
	)}
}

func (i *importer) command(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir, cmd.Env = dir, i.env
	return cmd
}

// run returns what a command printed on its standard output.
func (i *importer) run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := i.command(t, dir, args...)
	var problem strings.Builder
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s%s", strings.Join(args, " "), err, out, &problem)
	}
	return string(out)
}

func (i *importer) write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
