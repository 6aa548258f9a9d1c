package main

import (
	"os"
	"strings"
)

// processor returns the model of the processor, as Linux tells it.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "a processor that does not tell its model"
}

// fileSystem returns the kind of file system that a folder is on, as Linux
// tells it. On tmpfs nothing is durable, and a sync costs nothing.
func fileSystem(dir string) string {
	text, _ := os.ReadFile("/proc/self/mounts")
	kind, longest := "a file system that is not known", ""
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		under := strings.TrimSuffix(fields[1], "/") + "/"
		if strings.HasPrefix(dir, under) && len(under) >= len(longest) {
			kind, longest = fields[2], under
		}
	}
	return kind
}
