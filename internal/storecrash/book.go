package storecrash

import (
	"fmt"
	"slices"
	"sync"
)

// book records what the load has reported as stored. It also checks each report
// against the earlier ones, because the load has read what is stored before.
type book struct {
	mu      sync.Mutex
	rounds  [writers]map[int]bool
	last    [writers]int
	links   [linkers]link
	done    [writers + linkers]int // steps that have ended
	wrong   []string
	changed chan struct{} // has a token when something was reported
}

// link is what is known of a session that is linked and deleted in turn.
type link struct {
	phase  string // the last report; empty for none
	token  string // the last device's
	digest string // the digest of its prekeys, once they are known to be stored
}

func newBook() *book {
	b := &book{changed: make(chan struct{}, 1)}
	for i := range b.rounds {
		b.rounds[i] = map[int]bool{}
	}
	return b
}

// hear records a line of a load.
func (b *book) hear(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() {
		select {
		case b.changed <- struct{}{}:
		default:
		}
	}()
	var word, token, digest string
	var number, round int
	if n, _ := fmt.Sscanf(line, "round %d %d", &number, &round); n == 2 && number < writers {
		if round <= b.last[number] {
			b.wrongf("%s is at round %d after %d", writerName(number), round, b.last[number])
		}
		b.rounds[number][round], b.last[number] = true, round
		b.done[number]++
		return
	}
	if n, _ := fmt.Sscan(line, &word, &number, &token, &digest); n < 2 || number >= linkers {
		b.wrongf("an incomplete report: %q", line)
		return
	}
	l := &b.links[number]
	linked := l.phase == "linked" || l.phase == "keys"
	switch word {
	case "found":
		if (linked || l.phase == "deleting") != (l.token == token) {
			b.wrongf("%s has device %s after %+v", linkerName(number), token, *l)
		}
		if l.token != token { // Save has stored it, but the load did not learn that
			*l = link{phase: "linked", token: token}
		}
		return
	case "gone":
		if linked {
			b.wrongf("%s is gone after %+v", linkerName(number), *l)
		}
		l.phase, l.digest = "deleted", ""
		return
	case "linked":
		*l = link{token: token}
	case "keys":
		l.digest = digest
	}
	l.phase = word
	if word == "keys" || word == "deleted" {
		b.done[writers+number]++
	}
}

func (b *book) wrongf(format string, args ...any) {
	b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
}

// progress returns how often each step of the load has ended.
func (b *book) progress() [writers + linkers]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.done
}

// complaints returns the reports that contradict earlier ones, each only once.
func (b *book) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	wrong := slices.Clone(b.wrong)
	b.wrong = nil
	return wrong
}

func (b *book) String() string {
	done := b.progress()
	return fmt.Sprintf("%v rounds of messages, %v sessions linked or deleted", done[:writers], done[writers:])
}
