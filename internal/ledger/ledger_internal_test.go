package ledger

import (
	"testing"
	"time"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/storetest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.RunLedger(t, func(*testing.T) store.Ledger { return new(Memory) })
}

func TestNumbersAreForgotten(t *testing.T) {
	t.Parallel()
	var ledger Memory
	start := time.Now()
	take := func(number string, at time.Duration) {
		t.Helper()
		if _, err := ledger.TakeCode(t.Context(), number, start.Add(at), 3, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	for _, number := range []string{"1", "2", "3"} {
		take(number, 0)
	}
	take("4", memory+time.Minute)
	if _, kept := ledger.taken["4"]; len(ledger.taken) != 1 || !kept {
		t.Errorf("%d numbers are remembered, want the one of the last day", len(ledger.taken))
	}
}
