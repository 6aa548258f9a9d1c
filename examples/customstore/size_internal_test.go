package main

import (
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The Journal takes less than 150 lines of code, in all the files that it needs on one
// system.
func TestLinesOfCode(t *testing.T) {
	t.Parallel()
	total := 0
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") || path == "main.go" || path == "lock_other.go" {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files := token.NewFileSet()
		file := files.AddFile(path, -1, len(content))
		var s scanner.Scanner
		s.Init(file, content, nil, 0) // mode 0 skips comments
		lines := map[int]bool{}
		for {
			pos, tok, text := s.Scan()
			if tok == token.EOF {
				break
			}
			if tok != token.SEMICOLON || text == ";" { // the scanner adds semicolons at ends of lines
				lines[file.Line(pos)] = true
			}
		}
		total += len(lines)
	}
	if total == 0 || total >= 150 {
		t.Errorf("%d lines, want less than 150", total)
	}
}
