package passkey

import (
	"embed"
	"io/fs"

	"github.com/walink/walink/internal/ownfile"
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
//
// Whoever can change the files can act as the person in that browser. So
// WriteExtension writes nothing, and returns an error with a remedy, if dir or a
// file to be written is a symbolic link, belongs to another user or can be
// written by others. It does so too if a folder above dir, or a symbolic link on the
// way to dir, belongs to another user than root, or if others can write to such a
// folder and it is not sticky as /tmp is.
func WriteExtension(dir string) error {
	files, err := fs.Sub(extensionFiles, extensionFolder)
	if err == nil {
		err = ownfile.Copy(dir, files)
	}
	if err != nil {
		return redact.Errorf("passkey: write extension: %w", err)
	}
	return nil
}
