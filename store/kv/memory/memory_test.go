package memory_test

import (
	"testing"
	"testing/synctest"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/kvtest"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/storetest"
)

func TestDB(t *testing.T) {
	t.Parallel()
	kvtest.Run(t, func(*testing.T) kv.DB { return memory.New() })
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) store.Store { return kv.New(memory.New()) })
}

func TestCloseDropsEverything(t *testing.T) {
	t.Parallel()
	db := memory.New()
	st := kv.New(db)
	storetest.Link(t, st, "default", storetest.JID("5511987654321", 1))
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Sessions(t.Context()); err == nil {
		t.Error("Sessions after Close returns no error")
	}
	if sessions, err := kv.New(memory.New()).Sessions(t.Context()); err != nil || len(sessions) != 0 {
		t.Errorf("another DB has %v, %v", sessions, err)
	}
}

func TestCloseWaitsForReaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := memory.New()
		closed := make(chan struct{})
		err := db.Txn(t.Context(), false, func(kv.Tx) error {
			go func() {
				defer close(closed)
				if err := db.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}()
			synctest.Wait()
			select {
			case <-closed:
				t.Error("Close returned while a reader ran")
			default:
			}
			return nil
		})
		if err != nil {
			t.Errorf("Txn: %v", err)
		}
		<-closed
	})
}

func BenchmarkMessages(b *testing.B) {
	kvtest.Benchmark(b, func(*testing.B) store.Store { return kv.New(memory.New()) })
}
