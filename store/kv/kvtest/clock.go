package kvtest

import (
	"errors"
	"fmt"
	"time"

	"github.com/walink/walink/store/kv"
)

func (t *trial) clock() {
	if _, ok := t.db.db.(kv.Clock); !ok {
		t.Skip("the DB is no kv.Clock")
	}
}

// clockGoesOn waits until the clock shows a later time, which takes less than a
// second.
func clockGoesOn(t *trial) {
	t.clock()
	now := func() time.Time {
		now, err := t.db.Now(t.Context())
		if err != nil {
			t.Fatalf("Now: %v", err)
		}
		return now
	}
	first := now()
	if first.Year() < 2000 {
		t.Errorf("Now is %v, want a time", first)
	}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	last := first
	for begun := time.Now(); !last.After(first.Add(moment)); {
		<-ticker.C
		next := now()
		if next.Before(last) {
			t.Fatalf("Now was %v and then %v: it went back", last, next)
		}
		if last = next; time.Since(begun) > 5*time.Second {
			t.Fatalf("Now was %v, and is %v after five seconds", first, last)
		}
	}
	together(8, func(int) {
		if _, err := t.db.Now(t.Context()); err != nil {
			t.Errorf("Now in several goroutines: %v", err)
		}
	})
	t.set(pair{"a", "1"})
	t.want("", pair{"a", "1"})
}

func clockEnds(t *trial) {
	t.clock()
	for want, ctx := range t.ended() {
		if _, err := t.db.Now(ctx); !errors.Is(err, want) {
			t.Errorf("Now whose ctx had ended: %v, want %v", err, want)
		}
	}
}

func named(t *trial) {
	name, ok := t.db.db.(fmt.Stringer)
	if !ok {
		t.Skip("the DB is no fmt.Stringer")
	}
	open := name.String()
	if open == "" {
		t.Errorf("String is empty")
	}
	t.close()
	if closed := name.String(); closed != open {
		t.Errorf("String was %q and is %q after Close", open, closed)
	}
}
