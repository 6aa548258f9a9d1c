package faults_test

import (
	"fmt"
	"strings"
	"testing"
)

const introduction = `# Faults

This page says what comes of each fault at each stage of each way to a connected session. The tables are demands:
people write them, in internal/faults/table_*_test.go. "make faults" tries every cell with walinktest, fails
if the outcome is another one, and prints this page. "go test" tries a part of the cells with a pairing code.

A cell names the events of a Link, in their order:

| words | meaning |
|---|---|
| linked | Linked |
| resumed | Linked, with Resumed set |
| network, linked | Retrying with ErrNetwork, then Linked |
| network repeatedly | Retrying with ErrNetwork, at least twice, in at most 31 attempts, each with its codes |
| code withdrawn: code refused [phone] | Withdrawn with ErrCodeRefused; another code follows without a Retrying |
| code withdrawn: code refused [by hand] | the same, but the next code waits for Attend, or a minute |
| failed: closed | Failed with ErrClosed |
| failed: timeout (network) | Failed with ErrTimeout, whose cause is an ErrNetwork |
| failed: timeout (network?) | the same, or without the cause: a code that has just been shown clears it |
| network [clock] | ErrNetwork with its own remedy, which is in the table at the end |
| 2 codes, 2 challenges, 2 attempts | that many pairing codes or QR codes, passkey challenges, attempts; several codes are three to eight |
| linked or pairing, linked | one or the other: it depends on which of two events comes first |
| - | the fault makes no sense at this stage |

Without a number a cell demands one code, one challenge if the account has a passkey, one attempt, and another attempt
for each Retrying. A resumed session shows no code.

Every cell demands as well:

- The channel has one terminal event, its last one. It comes within a minute, or within the time that the fault sets.
- Every error has a remedy. A rate limit and a temporary ban say how long to wait.
- After Linked the Store has one session, the phone lists its device, and WhatsApp answers the client.
- After Failed the next Link, without the fault, ends with a client that works. If the session is stored and the phone
  lists its device, that Link resumes it. If nothing is stored, it links afresh. If the session is stored and the phone
  does not list its device, as the confirmation of pair-success was lost, a Retrying with ErrLoggedOut reports it, the
  session is dropped, and the Link goes on afresh.
- No goroutine is left.

The names of the faults:

- "refused" is the error of a request, or the HTTP status of the websocket; "failure" is a failure node.
- "for ever" is every time, with a Timeout of two minutes. Every other fault happens once.
- A spoilt frame does not decrypt. After rubbish, and after a frame that comes twice, nothing decrypts any more on that
  connection.
- The names from "unknown node" to "challenge without content" are nodes that the client did not ask for. They arrive
  while the stage is three seconds late. "wrong id" is silence, and the answer to another request.
- "ctx canceled" and "Close" happen three seconds after the start, in the silence of the stage.
- A call of the Store that hangs does so until its context ends.
`

// page returns what testdata/faults.md has to be.
func page(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(introduction)
	for _, f := range flows() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| fault |", f.name, f.about)
		for _, s := range f.stages {
			fmt.Fprintf(&b, " %s |", s.name)
		}
		b.WriteString("\n|---|" + strings.Repeat("---|", len(f.stages)) + "\n")
		for _, row := range f.rows(t) {
			fmt.Fprintf(&b, "| %s |", row[0].fault.name)
			for _, c := range row {
				want := c.want
				if want == "" {
					want = "-"
				}
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
