package wire

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// TestPace tests the bound on logins whoever opens the sockets, and that whatsmeow leaves
// some for walink.
func TestPace(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			var p Pace
			var logins []time.Time
			rest := time.Duration(random.Int64N(int64(30 * time.Second)))
			for range 2000 {
				own := random.IntN(2) == 0
				linked := !own || random.IntN(5) > 0
				wait, err := p.take(own, linked)
				time.Sleep(wait)
				switch {
				case err == nil && linked:
					logins = append(logins, time.Now())
				case own && err != nil, !linked && wait > 0:
					t.Fatalf("a socket of walink waits for %v: %v", wait, err)
				}
				if n := len(logins); n > 60 && logins[n-1].Sub(logins[n-61]) < 15*time.Minute {
					t.Fatalf("seed %d: 61 logins in %v", seed, logins[n-1].Sub(logins[n-61]))
				}
				time.Sleep(time.Duration(random.Int64N(int64(rest) + 1)))
			}
		})
	}
	var p Pace
	for err := error(nil); err == nil; {
		_, err = p.take(false, true)
	}
	if wait, err := p.take(true, true); wait > 0 || err != nil {
		t.Error("whatsmeow has left no login for walink")
	}
}
