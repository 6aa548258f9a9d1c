package walink_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// expensive reports whether a cell is left out under the race detector. What is
// run there are the ends of a connection, where whatsmeow and walink let go of it
// at the same time, and none of those with a pairing code, which cost seconds each.
func (c *cell) expensive() bool {
	if !raceDetector {
		return false
	}
	ends := []string{"drop", "Close", "stream error 515"}
	if c.flow.passkey {
		ends = []string{"Close"}
	}
	return c.flow.settings.Phone != "" || !slices.Contains(ends, c.fault.name)
}

// TestFaults runs every cell of the tables in a bubble of its own, which ends
// only if no goroutine is left, and keeps docs/faults.md current.
func TestFaults(t *testing.T) {
	t.Parallel()
	all := slices.Concat(qrFlows(), codeFlows(), passkeyFlows(), loginFlows())
	t.Run("cells", func(t *testing.T) {
		for _, c := range cells(t, all) {
			t.Run(c.String(), func(t *testing.T) {
				t.Parallel()
				if c.expensive() {
					t.Skip("slow under the race detector; the cell runs without it")
				}
				bubble(t, func(t *testing.T) {
					outcome := c.run(t)
					if !c.wants(outcome) {
						t.Errorf("%s: %q, the table demands %q", c, outcome, c.want)
					}
				})
			})
		}
	})
	file := filepath.Join("docs", "faults.md")
	page := faultsPage(all)
	if *update {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	is, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(is), page); diff != "" {
		t.Errorf("%s is not current, run go test -run TestFaults -update (-is +should be):\n%s", file, diff)
	}
}

// String is the cell's name.
func (c *cell) String() string {
	return fmt.Sprintf("%s/%s/%s", c.flow.name, c.stage.name, c.fault.name)
}

// wants reports whether the outcome is what the table demands. A cause with a
// question mark may be missing: a code that has just been shown clears it.
func (c *cell) wants(outcome string) bool {
	if slices.Contains(strings.Split(c.want, " or "), outcome) {
		return true
	}
	without, in, unsure := strings.Cut(c.want, " (")
	return unsure && strings.HasSuffix(in, "?)") &&
		(outcome == without || outcome == without+" ("+strings.TrimSuffix(in, "?)")+")")
}

// rows reads a table: the name of a fault, and an outcome for each stage.
func rows(table string) []row {
	var list []row
	for line := range strings.Lines(strings.TrimSpace(table)) {
		columns := strings.Split(line, "|")
		for i := range columns {
			if columns[i] = strings.TrimSpace(columns[i]); columns[i] == "=" && columns[i-1] != "-" {
				columns[i] = columns[i-1]
			}
		}
		list = append(list, row{fault{name: columns[0]}, columns[1:]})
	}
	return list
}

// cells are the cells of all tables that make sense.
func cells(t *testing.T, all []*flow) []*cell {
	t.Helper()
	byName := faults()
	var list []*cell
	for _, f := range all {
		for _, row := range f.rows {
			what, ok := byName[row.fault.name]
			if !ok || len(row.want) != len(f.stages) {
				t.Fatalf("%s: the row %q has %d cells", f.name, row.fault.name, len(row.want))
			}
			for i, want := range row.want {
				if want == "-" {
					continue
				}
				c := &cell{f, f.stages[i], what, want}
				if what.store != nil && !what.staged {
					c.stage.at = ""
				}
				if what.wire != untouched && c.stage.frame == [2]int{} {
					t.Fatalf("%s: the stage has no frame", c)
				}
				list = append(list, c)
			}
		}
	}
	return list
}

const faultsIntroduction = `# Faults

What comes of a fault at each stage of each way to a connected session. The tables are demands, written by hand in
faults_table_*_test.go; this page is printed from them by "go test -run TestFaults -update", and
TestFaults runs every cell against walinktest and fails where something else happens, or where this page is not current.

A cell tells what the events tell, in their order. "network, linked" is a Retrying with ErrNetwork and then Linked; "resumed" is
a Linked with Resumed set; "failed: timeout (network)" is a Failed with ErrTimeout whose cause is an ErrNetwork; "code withdrawn"
is a Withdrawn with its reason, after which another code comes by itself; "repeatedly" is twice or more. A cell that makes no
sense is "-".

A Link shows one code, in one attempt and one more for each Retrying, and a resumed session none: where a cell says nothing else
of codes, challenges and attempts, that is demanded, and otherwise what it says ("2 codes"; "several" is three to eight). "repeatedly" is up to 31 attempts,
each with its codes. "timeout (network?)" may lack its cause: a code that was just shown clears it. Where
two outcomes stand with "or" it depends on who is faster. "network [clock]" is an error
with a remedy of its own; the remedies that are demanded stand at the end.

Besides, for every cell:

- The channel carries one terminal event, as its last, within a time that the fault sets: most within a minute.
- Every error has a remedy, and a rate limit and a ban say how long to wait.
- After Linked one session is stored, the phone lists its device, and the client answers.
- After Failed the next Link, with the fault gone, ends with a client that works: resumed where the session is stored and the
  phone lists it, afresh where nothing is stored. Where the session is stored and the phone does not list it, because the
  confirmation was lost after pair-success, it is told (a Retrying with ErrLoggedOut), dropped and linked afresh.
- No goroutine is left.

The faults: "refused" is the error of a request, or the HTTP status of the websocket; "failure" a failure node; "for ever" is every
time, with a Timeout of two minutes, and otherwise once. A spoilt frame does not decrypt; after rubbish, and after a frame that
comes twice, nothing of that connection decrypts any more. The nodes after "unknown node" in the list arrive unasked, while the
stage is three seconds late. "wrong id" is silence, and an answer to another question. "ctx canceled" and "Close" come three seconds
after the start, in the silence of the stage. A call of the store that hangs does so until its context ends.
`

// faultsPage is docs/faults.md.
func faultsPage(all []*flow) string {
	var b strings.Builder
	b.WriteString(faultsIntroduction)
	for _, f := range all {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| fault |", f.name, f.about)
		for _, s := range f.stages {
			fmt.Fprintf(&b, " %s |", s.name)
		}
		b.WriteString("\n|---|" + strings.Repeat("---|", len(f.stages)) + "\n")
		for _, row := range f.rows {
			fmt.Fprintf(&b, "| %s |", row.fault.name)
			for _, want := range row.want {
				fmt.Fprintf(&b, " %s |", want)
			}
			b.WriteString("\n")
		}
	}
	b.WriteString("\n## Remedies\n\n| error | remedy |\n|---|---|\n")
	for _, r := range remedies() {
		fmt.Fprintf(&b, "| %s | %s |\n", r.words, r.text)
	}
	return b.String()
}
