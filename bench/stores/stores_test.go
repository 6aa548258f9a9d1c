package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestShort runs all of it in small, and looks at no time.
func TestShort(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := run(t.Context(), []string{"-short"}, &out); err != nil {
		t.Fatal(err)
	}
	rows := []string{tuned, usual, "store/sqlite", "kv/memory", "kv/memory, encrypted", "kv/bolt", "kv/bolt, encrypted"}
	if installed("initdb", "/usr/lib/postgresql/*/bin/initdb") {
		rows = append(rows, server, "store/postgres")
	} else if !strings.Contains(out.String(), "PostgreSQL is not installed") {
		t.Error("nothing says that PostgreSQL is not installed")
	}
	if installed("redis-server", "") {
		rows = append(rows, "kv/redis")
	} else if !strings.Contains(out.String(), "Redis is not installed") {
		t.Error("nothing says that Redis is not installed")
	}
	const columns = 10
	for _, row := range rows {
		var times, durable int
		for line := range strings.Lines(out.String()) {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			if strings.TrimSpace(cells[0]) != row {
				continue
			}
			switch len(cells) {
			case 3:
				durable++
			case 1 + columns:
				times++
				for i, cell := range cells {
					if strings.TrimSpace(cell) == "" {
						t.Errorf("%s: column %d is empty", row, i)
					}
				}
			}
		}
		ratios := strings.Count(out.String(), "| "+row+" : ")
		want := 1
		if row == tuned || row == usual || row == server {
			want = 0
		}
		if times != 1 || durable != 1 || ratios != want {
			t.Errorf("%s: %d rows of times, %d of durability and %d of ratios, want 1, 1 and %d", row, times, durable, ratios, want)
		}
	}
}

func installed(name, pattern string) bool {
	found, _ := filepath.Glob(pattern)
	_, err := exec.LookPath(name)
	return err == nil || len(found) > 0
}
