package postgres_test

import (
	"sync"
	"testing"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/postgres"
	"github.com/walink/walink/store/storetest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	s := running(t)
	var urls sync.Map // by Store
	storetest.Run(t, func(t *testing.T) store.Store {
		t.Helper()
		url := s.url(s.database(t))
		st, err := postgres.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		urls.Store(st, url)
		return st
	}, storetest.WithReopen(func(t *testing.T, closed store.Store) store.Store {
		t.Helper()
		url, _ := urls.Load(closed)
		st, err := postgres.Open(t.Context(), url.(string)) //nolint:errcheck // see above
		if err != nil {
			t.Fatal(err)
		}
		urls.Store(st, url)
		return st
	}), storetest.WithTextKeys(2000))
}
