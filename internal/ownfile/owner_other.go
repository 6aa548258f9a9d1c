//go:build !unix

package ownfile

import (
	"io/fs"

	"github.com/walink/walink/internal/hint"
)

// Trusted returns nil.
func Trusted(string) *hint.Error { return nil }

// The mode says nothing about other users here, and there is no owner in it.

func foreign(fs.FileInfo) bool { return false }

func sameOwner(_, _ fs.FileInfo) bool { return true }

func ownerOf(fs.FileInfo) string { return "another user" }

func open(fs.FileInfo) bool { return false }

func shared(fs.FileInfo) bool { return false }
