package queue_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/walink/walink/internal/queue"
)

func TestTakeReturnsEverythingInOrder(t *testing.T) {
	t.Parallel()
	q := queue.New[int]()
	for i := range 3 {
		q.Put(i)
	}
	<-q.Ready()
	if got := q.Take(); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("took %v", got)
	}
	if got := q.Take(); len(got) != 0 {
		t.Errorf("took %v from an empty queue", got)
	}
}

func TestClosedQueueKeepsNothing(t *testing.T) {
	t.Parallel()
	q := queue.New[int]()
	q.Put(1)
	q.Close()
	q.Put(2)
	if got := q.Take(); len(got) != 0 {
		t.Errorf("took %v", got)
	}
}

func TestHeadSendsOneItemAtATime(t *testing.T) {
	t.Parallel()
	q := queue.New[string]()
	to := make(chan string, 2)
	if out, _ := q.Head(to); out != nil {
		t.Error("an empty queue sends")
	}
	q.Put("a")
	q.Put("b")
	for range 2 {
		out, item := q.Head(to)
		out <- item
		q.Sent()
	}
	if a, b := <-to, <-to; a != "a" || b != "b" {
		t.Errorf("sent %s, %s", a, b)
	}
	if out, _ := q.Head(to); out != nil {
		t.Error("an empty queue sends")
	}
}

func TestEachCallHasItsReplyOnce(t *testing.T) {
	t.Parallel()
	var calls queue.Replies
	one, first := calls.Begin()
	nobody := calls.Number()
	two, second := calls.Begin()
	failed := errors.New("refused")
	calls.Reply(nobody, failed)
	calls.Reply(two, failed)
	calls.Reply(two, nil) // would block if the call still waited
	calls.Reply(one, nil)
	if err := <-first; err != nil {
		t.Errorf("the first call ended with %v", err)
	}
	if err := <-second; !errors.Is(err, failed) {
		t.Errorf("the second call ended with %v", err)
	}
	if one == two || one == nobody || two == nobody {
		t.Errorf("the numbers are %d, %d and %d", one, nobody, two)
	}
}
