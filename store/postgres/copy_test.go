package postgres_test

import (
	"testing"

	"github.com/walink/walink/internal/copytest"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/postgres"
)

func TestCopy(t *testing.T) {
	t.Parallel()
	s := running(t)
	copytest.Run(t, func(t *testing.T) store.Store {
		t.Helper()
		st, err := postgres.Open(t.Context(), s.url(s.database(t)))
		if err != nil {
			t.Fatal(err)
		}
		return st
	})
}
