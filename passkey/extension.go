package passkey

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path"
	"path/filepath"
)

// ExtensionID is the id that a browser gives the extension wherever it is
// unpacked: it follows from the "key" in the manifest.
const ExtensionID = "kbkbhmknhcoidhdpfkcnlcjoachmamlb"

const extensionFolder = "extension"

//go:embed extension
var extensionFiles embed.FS

// WriteExtension writes the extension's files into dir, which it makes if it
// is not there. A person then adds it to Chromium, Chrome, Edge, Brave or Opera
// with "Load unpacked" on chrome://extensions, in developer mode. Files of an
// earlier version are replaced; those that are as they should be are not touched.
func WriteExtension(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("passkey: write extension: %w", err)
	}
	files, err := extensionFiles.ReadDir(extensionFolder)
	if err != nil {
		return fmt.Errorf("passkey: write extension: %w", err)
	}
	for _, file := range files {
		data, err := extensionFiles.ReadFile(path.Join(extensionFolder, file.Name()))
		if err != nil {
			return fmt.Errorf("passkey: write extension: %w", err)
		}
		name := filepath.Join(dir, file.Name())
		if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, data) {
			continue
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			return fmt.Errorf("passkey: write extension: %w", err)
		}
	}
	return nil
}
