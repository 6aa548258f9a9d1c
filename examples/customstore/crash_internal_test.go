package main

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/walink/walink/internal/storecrash"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
)

func openStore(_ context.Context, path string) (store.Store, error) {
	db, err := OpenJournal(path)
	if err != nil {
		return nil, err
	}
	return kv.New(db), nil
}

// A crash of the program loses nothing that the Journal has reported as stored.
func TestCrash(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "walink.journal")
	storecrash.Kill(t, storecrash.Config{Where: path, Open: openStore, Empty: func(t *testing.T) {
		t.Helper()
		db, err := OpenJournal(path)
		if err != nil {
			t.Fatal(err)
		}
		storecrash.CheckEmpty(t, db)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}})
}
