package passkey

import (
	"bytes"
	"embed"
	"os"
	"path"
	"path/filepath"

	"github.com/walink/walink/internal/redact"
)

// ExtensionID is the id that browsers give the extension, in whatever folder it
// lies. Browsers derive the id from the "key" in the manifest.
const ExtensionID = "kbkbhmknhcoidhdpfkcnlcjoachmamlb"

const extensionFolder = "extension"

//go:embed extension
var extensionFiles embed.FS

// WriteExtension writes the extension's files into the folder dir, and makes dir
// if it does not exist. A person then adds dir to Chromium, Chrome, Edge, Brave,
// Opera or Vivaldi with "Load unpacked" on chrome://extensions, in developer mode.
// WriteExtension replaces the files of an earlier version, and does not touch
// files that are up to date.
func WriteExtension(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return redact.Errorf("passkey: write extension: %w", err)
	}
	files, err := extensionFiles.ReadDir(extensionFolder)
	if err != nil {
		return redact.Errorf("passkey: write extension: %w", err)
	}
	for _, file := range files {
		data, err := extensionFiles.ReadFile(path.Join(extensionFolder, file.Name()))
		if err != nil {
			return redact.Errorf("passkey: write extension: %w", err)
		}
		name := filepath.Join(dir, file.Name())
		if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, data) {
			continue
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			return redact.Errorf("passkey: write extension: %w", err)
		}
	}
	return nil
}
