package bolt_test

import (
	"path/filepath"
	"testing"

	"github.com/walink/walink/internal/storecrash"
	"github.com/walink/walink/store/kv"
)

func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir, fill, free := storecrash.SmallDisk(t, 8)
	path := filepath.Join(dir, "walink.bolt")
	st := kv.New(open(t, path))
	storecrash.Full(t, st, "Free space on the disk of the file.", fill, free)
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	if err := open(t, path).Close(); err != nil {
		t.Error(err)
	}
}
