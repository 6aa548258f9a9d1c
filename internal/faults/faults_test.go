package faults_test

import (
	"flag"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink"
	"github.com/walink/walink/walinktest"
)

var update = flag.Bool("update", false, "print the page")

// flow is a way to a connected session, with the stages that it passes.
type flow struct {
	name, about string
	settings    walink.Settings
	passkey     bool // the account has one
	byHand      bool // the person answers the passkey, and compares the codes
	resume      bool // the session is stored
	stages      []stage
}

// stage is a point of a flow, with what the table demands for each fault there.
type stage struct {
	name  string
	at    walinktest.Stage
	skip  int   // how often the flow has been at that point before
	frame frame // which the server sends there; zero if it sends none
	want  outcomes
}

// frame is a frame from the server: the first connection of a Link is 1, and so
// is the server's hello, the first frame of a connection.
type frame struct{ connection, number int }

// outcomes has, for each outcome, the faults that lead to it. The page explains
// the words of an outcome. A fault that makes no sense at the stage is in none.
type outcomes map[string][]string

// cell is a fault at a stage.
type cell struct {
	flow  *flow
	stage stage
	fault fault
	want  string // "" if it makes no sense
}

// flows returns the tables.
func flows() []*flow {
	return []*flow{
		qrFlow(), codeFlow(), passkeyFlow(), passkeyAfterCodeFlow(), passkeyByHandFlow(), loginFlow(), resumeFlow(),
	}
}

// TestFaults tries the cells of the tables, and demands that the page is current. Of the
// cells with a pairing code it tries some, others in each run: WALINK_SEED repeats a run, and
// WALINK_FAULTS=all tries every cell, as CI does.
func TestFaults(t *testing.T) {
	t.Parallel()
	t.Run("cells", func(t *testing.T) {
		lot, _ := seed(t)
		t.Logf("WALINK_SEED=%d", lot)
		for _, f := range flows() {
			for _, row := range f.rows(t) {
				for _, c := range row {
					if c.want == "" {
						continue
					}
					t.Run(f.name+"/"+c.stage.name+"/"+c.fault.name, func(t *testing.T) {
						t.Parallel()
						if c.isExpensive() && (slow || !c.isDrawn(lot)) {
							t.Skip("pairing codes take much time; with WALINK_FAULTS=all the cell runs, but not under the race detector or on 32 bits")
						}
						c.run(t)
					})
				}
			}
		}
	})
	t.Run("page", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join("testdata", "faults.md")
		want := page(t)
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s is not current, run go test ./internal/faults -run TestFaults/page -update (-want +got):\n%s", file, diff)
		}
	})
}

// seed returns the WALINK_SEED that is set, or another number in each run.
func seed(t *testing.T) (n uint64, isSet bool) {
	t.Helper()
	text := os.Getenv("WALINK_SEED")
	if text == "" {
		return rand.Uint64(), false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n, true
}

// rows returns a cell for each stage and each fault of the flow: a row for each
// fault, in the order of the page.
func (f *flow) rows(t *testing.T) [][]*cell {
	t.Helper()
	wants := make([]map[string]string, len(f.stages))
	for i, s := range f.stages {
		wants[i] = map[string]string{}
		for want, names := range s.want {
			for _, name := range names {
				if wants[i][name] != "" {
					t.Fatalf("%s, %s: %q has two outcomes", f.name, s.name, name)
				}
				wants[i][name] = want
			}
		}
	}
	var rows [][]*cell
	for _, fault := range allFaults() {
		row := make([]*cell, len(f.stages))
		for i, s := range f.stages {
			row[i] = &cell{f, s, fault, wants[i][fault.name]}
			delete(wants[i], fault.name)
			if row[i].want != "" && fault.frame != untouched && s.frame == (frame{}) {
				t.Fatalf("%s, %s: %q needs a frame", f.name, s.name, fault.name)
			}
		}
		if slices.ContainsFunc(row, func(c *cell) bool { return c.want != "" }) {
			rows = append(rows, row)
		}
	}
	for i, unknown := range wants {
		if len(unknown) > 0 {
			t.Fatalf("%s, %s: no such faults: %v", f.name, f.stages[i].name, unknown)
		}
	}
	return rows
}

// isExpensive reports whether a cell takes much time: with a pairing code, and where that is
// slow all cells but the ends of a connection, where whatsmeow and walink close the
// connection at the same time.
func (c *cell) isExpensive() bool {
	ends := []string{"drop", "Close", "stream error 515"}
	if c.flow.passkey {
		ends = []string{"Close"}
	}
	return c.flow.settings.Phone != "" || slow && !slices.Contains(ends, c.fault.name)
}

// isDrawn reports whether an expensive cell is one of those that this run tries: an eighth.
func (c *cell) isDrawn(lot uint64) bool {
	if os.Getenv("WALINK_FAULTS") == "all" {
		return true
	}
	name := fnv.New64()
	_, _ = io.WriteString(name, c.flow.name+"/"+c.stage.name+"/"+c.fault.name)
	return (name.Sum64()+lot)%8 == 0
}

// allows reports whether the table allows the outcome. A cause with a question
// mark may be missing: a code that has just been shown clears it.
func (c *cell) allows(outcome string) bool {
	for want := range strings.SplitSeq(c.want, " or ") {
		without, _, _ := strings.Cut(want, " (")
		with := strings.Replace(want, "?)", ")", 1)
		if outcome == with || with != want && outcome == without {
			return true
		}
	}
	return false
}
