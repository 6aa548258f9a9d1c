package main

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// inFolder is a place that is a folder of files.
type inFolder struct {
	path     string
	openPath func(ctx context.Context, path string) (opened, error)
}

// folder returns what makes an empty folder under dir for each store.
func folder(dir string, open func(ctx context.Context, path string) (opened, error)) func(context.Context) (place, error) {
	return func(context.Context) (place, error) {
		path, err := os.MkdirTemp(dir, "store-*")
		return inFolder{path, open}, err
	}
}

func (f inFolder) open(ctx context.Context) (opened, error) { return f.openPath(ctx, f.path) }

func (f inFolder) size(context.Context) (int64, error) { return sizeOf(f.path) }

func (f inFolder) remove() error { return os.RemoveAll(f.path) }

// sizeOf adds up what the file system has given to the files in a folder: a
// file can be longer than that.
func sizeOf(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			size += stat.Blocks * 512
		}
		return nil
	})
	return size, err
}
