package kvtest_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/kvtest"
)

// A suite that cannot fail is worth nothing: each of these DBs does one thing
// wrong, and the case that is named must say so. In a bubble the time that the
// cases wait passes at once.
func TestSuiteFindsWhatIsBroken(t *testing.T) {
	t.Parallel()
	for _, test := range mutants() {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				end := make(chan struct{})
				t.Cleanup(func() { close(end) })
				found := strings.Join(kvtest.Try(t, test.by, newBroken(test.spoil, end), reopen), "\n")
				switch {
				case found == "":
					t.Errorf("%q found nothing", test.by)
				case !strings.Contains(found, test.says):
					t.Errorf("%q found: %s\nwant it to say %q", test.by, found, test.says)
				}
			})
		})
	}
}

func TestEveryCaseFindsSomething(t *testing.T) {
	t.Parallel()
	for _, name := range kvtest.Cases() {
		if !slices.ContainsFunc(mutants(), func(m mutant) bool { return m.by == name }) {
			t.Errorf("no broken DB shows that %q finds something", name)
		}
	}
}

// Of a DB that does nothing wrong the suite says nothing.
func TestSuiteFindsNothingElse(t *testing.T) {
	t.Parallel()
	kvtest.Run(t, func(*testing.T) kv.DB { return newBroken(func(*broken) {}, nil) },
		kvtest.WithReopen(func(_ *testing.T, closed kv.DB) kv.DB { return reopen(closed) }))
}

// mutant is a DB with one fault.
type mutant struct {
	name  string
	by    string // the case that finds it
	says  string // part of what that says
	spoil func(b *broken)
}

func mutants() []mutant {
	return slices.Concat(brokenTxns(), brokenReaders(), brokenTxs(), brokenScans(), brokenBytes(), brokenCtxs(), brokenCloses())
}
