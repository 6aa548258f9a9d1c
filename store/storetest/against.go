package storetest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/walink/walink/store"
)

// seedVariable is the environment variable that does what [WithSeed] does.
const seedVariable = "STORETEST_SEED"

// WithSeed repeats the random sequences of calls of an earlier run, whose
// failure names the seed. The environment variable STORETEST_SEED does the
// same.
func WithSeed(seed uint64) Option {
	return func(o *options) { o.seed = &seed }
}

// seedOf returns the given seed, or a new one.
func seedOf(t *testing.T, o options) uint64 {
	t.Helper()
	if o.seed != nil {
		return *o.seed
	}
	text := os.Getenv(seedVariable)
	if text == "" {
		return rand.Uint64()
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", seedVariable, err)
	}
	return seed
}

// against is one comparison with whatsmeow's sqlstore.
type against struct {
	name   string
	fields []string // of wastore.Device; none means all of them, and changes of sessions
	steps  int
}

func comparisons() []against {
	const steps = 250 / thin
	return []against{
		{"identities", []string{"Identities"}, steps},
		// MigratePNToLID moves all three.
		{"sessions", []string{"Sessions", "Identities", "SenderKeys"}, 2 * steps},
		{"prekeys", []string{"PreKeys"}, steps},
		{"sender keys", []string{"SenderKeys"}, steps / 2},
		{"app state keys", []string{"AppStateKeys"}, steps},
		{"app state", []string{"AppState"}, steps},
		{"contacts", []string{"Contacts"}, steps},
		{"chat settings", []string{"ChatSettings"}, steps},
		// Both are also found under the other JID of a user.
		{"message secrets", []string{"MsgSecrets", "LIDs"}, steps},
		{"privacy tokens", []string{"PrivacyTokens", "LIDs"}, steps},
		{"NCT salt", []string{"NCTSalt"}, steps / 2},
		{"event buffer", []string{"EventBuffer"}, steps},
		{"LID map", []string{"LIDs"}, steps},
		{"everything", nil, 4 * steps},
	}
}

func runAgainst(t *testing.T, open func(t *testing.T) store.Store, reopen func(*testing.T, store.Store) store.Store, o options) {
	t.Helper()
	seed := seedOf(t, o)
	for i, a := range comparisons() {
		t.Run("oracle: "+a.name, func(t *testing.T) {
			t.Parallel()
			s, err := newSequence(t, open(t), seed+uint64(i), a.fields...)
			if err != nil {
				t.Fatal(err)
			}
			if reopen != nil {
				s.reopen = func(st store.Store) store.Store { return reopen(t, st) }
			}
			if err := s.run(t.Context(), a.steps); err != nil {
				t.Fatal(fmt.Errorf("%w\nfor the same calls set %s=%d", err, seedVariable, seed))
			}
		})
	}
	t.Run("oracle: every store of whatsmeow is compared", func(t *testing.T) {
		t.Parallel()
		compared := map[string]bool{"Container": true} // tested by the cases of the clauses
		for _, a := range comparisons() {
			for _, field := range a.fields {
				compared[field] = true
			}
		}
		for _, m := range methods() {
			if !compared[m.field] {
				t.Errorf("whatsmeow has a store Device.%s, which storetest does not compare", m.field)
			}
		}
	})
}
