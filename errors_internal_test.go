package walink

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/walink/walink/internal/process"
	"github.com/walink/walink/store"
)

// The table is complete and without dead rows, and each remedy fits what the person sees.
func TestEveryRowOfTheTableOfRemedies(t *testing.T) {
	t.Parallel()
	// words are those that a remedy must not have, because the person has left them behind.
	words := map[situation][]string{
		atCode:       {"scan"},
		atQR:         {"pairing code", "Enter"},
		atWrongPhone: {"pairing code", "scan", "Enter"},
		atPasskey:    {"pairing code", "scan", "Enter"},
		atCompare:    {"pairing code", "scan", "Enter"},
		atPhone:      {"pairing code", "scan", "Enter"},
		atPaired:     {"pairing code", "scan", "enter"},
		atLinked:     {"pairing code", "scan", "Enter", "code"},
		atUnlink:     {"pairing code", "scan", "Enter", "code", "ready to link"},
	}
	table := remedies()
	for i, row := range table {
		e := &Error{Reason: row.reason, Op: row.op, at: row.at}
		if row.at == atThisProgram {
			e.Err = &store.BusyError{Lease: store.Lease{HolderID: process.ID()}}
		}
		want := strings.Replace(row.text, "%s", "a while", 1)
		if got := e.Remedy(); got != want {
			t.Errorf("row %d cannot be reached: %q comes first", i, got)
		}
		if strings.ToUpper(want[:1]) != want[:1] || !strings.HasSuffix(want, ".") {
			t.Errorf("row %d, %q, is not a sentence", i, want)
		}
		if row.op == "" && row.at == anywhere && slices.ContainsFunc(table[i+1:], func(a advice) bool { return a.reason == row.reason }) {
			t.Errorf("rows of %q follow the one that fits every step", row.reason)
		}
	}
	for _, reason := range []Reason{ErrTimeout, ErrCanceled, ErrStalled} {
		for at, forbidden := range words {
			for _, op := range []string{"link", "supervise", "pair", "log in", "passkey", "answer passkey"} {
				remedy := (&Error{Reason: reason, Op: op, at: at}).Remedy()
				for _, word := range forbidden {
					if at == atPaired && strings.Contains(remedy, "no new code") {
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
			if remedy := (&Error{Reason: ErrRateLimited, Op: op, RetryAfter: d}).Remedy(); !strings.HasPrefix(remedy, "Wait "+want) {
				t.Errorf("%v at %s: %q", d, op, remedy)
			}
		}
		if remedy := (&Error{Reason: ErrTemporarilyBanned, RetryAfter: d}).Remedy(); !strings.HasPrefix(remedy, "Wait "+want) {
			t.Errorf("%v of a ban: %q", d, remedy)
		}
	}
}
