package memory_test

import (
	"testing"

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

func BenchmarkMessages(b *testing.B) {
	kvtest.Benchmark(b, func(*testing.B) store.Store { return kv.New(memory.New()) })
}
