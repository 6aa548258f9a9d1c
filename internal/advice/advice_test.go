package advice_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/walink/walink/internal/advice"
	"github.com/walink/walink/internal/machine"
)

// The table is complete and without dead rows, and each remedy fits what the person sees.
func TestEveryRowOfTheTableOfRemedies(t *testing.T) {
	t.Parallel()
	// words are those that a remedy must not have, because the person has left them behind.
	words := map[advice.Situation][]string{
		advice.AtCode:       {"scan"},
		advice.AtQR:         {"pairing code", "Enter"},
		advice.AtWrongPhone: {"pairing code", "scan", "Enter"},
		advice.AtPasskey:    {"pairing code", "scan", "Enter"},
		advice.AtCompare:    {"pairing code", "scan", "Enter"},
		advice.AtPhone:      {"pairing code", "scan", "Enter"},
		advice.AtPaired:     {"pairing code", "scan", "enter"},
		advice.AtLinked:     {"pairing code", "scan", "Enter", "code"},
		advice.AtUnlink:     {"pairing code", "scan", "Enter", "code", "ready to link"},
	}
	table := advice.Table()
	for i, row := range table {
		want := strings.Replace(row.Text, "%s", "a while", 1)
		if got := advice.For(row.Reason, row.Op, row.At, 0).Text; got != want {
			t.Errorf("row %d cannot be reached: %q comes first", i, got)
		}
		if strings.ToUpper(want[:1]) != want[:1] || !strings.HasSuffix(want, ".") {
			t.Errorf("row %d, %q, is not a sentence", i, want)
		}
		if row.Op == "" && row.At == advice.Anywhere && slices.ContainsFunc(table[i+1:], func(a advice.Row) bool { return a.Reason == row.Reason }) {
			t.Errorf("rows of %q follow the one that fits every step", row.Reason)
		}
	}
	for _, reason := range []machine.Reason{machine.ReasonTimeout, machine.ReasonCanceled, machine.ReasonStalled} {
		for at, forbidden := range words {
			for _, op := range []string{"link", "supervise", "pair", "log in", "passkey", "answer passkey"} {
				remedy := advice.For(reason, op, at, 0).Text
				for _, word := range forbidden {
					if at == advice.AtPaired && strings.Contains(remedy, "no new code") {
						continue
					}
					if strings.Contains(remedy, word) {
						t.Errorf("%s at %q in situation %d: %q speaks of %q", reason, op, at, remedy, word)
					}
				}
			}
		}
	}
}

func TestRemedySaysHowLongToWait(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "a while", time.Nanosecond: "1 second", 1500 * time.Millisecond: "2 seconds", time.Minute: "1 minute", 90 * time.Second: "90 seconds",
		15 * time.Minute: "15 minutes", 15*time.Minute - 1: "15 minutes", time.Hour: "1 hour", 90 * time.Minute: "90 minutes",
		5*time.Hour + 1: "6 hours",
	} {
		for _, op := range []string{"request code", "answer passkey", "connect", "log in", "unlink"} {
			if remedy := advice.For(machine.ReasonRateLimited, op, advice.Anywhere, d).Text; !strings.HasPrefix(remedy, "Wait "+want) {
				t.Errorf("%v at %s: %q", d, op, remedy)
			}
		}
		if remedy := advice.For(machine.ReasonTemporarilyBanned, "log in", advice.Anywhere, d).Text; !strings.HasPrefix(remedy, "Wait "+want) {
			t.Errorf("%v of a ban: %q", d, remedy)
		}
	}
}
