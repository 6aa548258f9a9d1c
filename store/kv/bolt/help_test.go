package bolt_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/walink/walink/store/kv/bolt"
)

// paths knows the file of each DB and Store of a test.
type paths struct{ known sync.Map }

func (p *paths) add(of any, path string) { p.known.Store(of, path) }

func (p *paths) of(of any) string {
	path, _ := p.known.Load(of)
	text, _ := path.(string)
	return text
}

// open opens a new file.
func (p *paths) open(t *testing.T) *bolt.DB {
	t.Helper()
	path := temp(t)
	db := open(t, path)
	p.add(db, path)
	return db
}

// remedyOf returns the remedy of an error, "" if it has none.
func remedyOf(err error) string {
	var hint interface{ Remedy() string }
	if errors.As(err, &hint) {
		return hint.Remedy()
	}
	return ""
}
