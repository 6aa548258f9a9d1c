package interop_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFakewaTestsABaileysBot runs the program of walinktest's manual.
func TestFakewaTestsABaileysBot(t *testing.T) {
	t.Parallel()
	node := installed(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := filepath.Join(t.TempDir(), "fakewa")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", command, "../walinktest/fakewa").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	fakewa := exec.CommandContext(ctx, command, "-addr", "127.0.0.1:0", "-control", "127.0.0.1:0")
	stdout, err := fakewa.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := fakewa.Start(); err != nil {
		t.Fatal(err)
	}
	var line struct{ Control string }
	reader := bufio.NewReader(stdout)
	if ready, err := reader.ReadString('\n'); ready != "ready\n" {
		t.Fatalf("fakewa prints %q: %v", ready, err)
	}
	if err := json.NewDecoder(reader).Decode(&line); err != nil {
		t.Fatal(err)
	}
	program := exec.CommandContext(ctx, node, "fakewa.mjs", line.Control, t.TempDir())
	program.Dir = "baileys"
	if out, err := program.CombinedOutput(); err != nil {
		t.Errorf("the program ends with %v\n%s", err, out)
	}
	if err := fakewa.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := fakewa.Wait(); err != nil {
		t.Errorf("fakewa ends with %v", err)
	}
}

func TestManualShowsTheProgram(t *testing.T) {
	t.Parallel()
	program, err := os.ReadFile("baileys/fakewa.mjs")
	if err != nil {
		t.Fatal(err)
	}
	manual, err := os.ReadFile("../walinktest/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(program), "\n"), "\n")
	shown := strings.ReplaceAll("//\t"+strings.Join(lines, "\n//\t")+"\n//\n", "//\t\n", "//\n")
	if len(lines) > 30 || !strings.Contains(string(manual), shown) {
		t.Error("walinktest/doc.go does not show interop/baileys/fakewa.mjs in at most 30 lines")
	}
}
