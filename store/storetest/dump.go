package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	wastore "go.mau.fi/whatsmeow/store"
)

// dump asks every reading method of the stores of a device but the LID map,
// which all devices share, for all that a pool may have put there.
func dump(ctx context.Context, device *wastore.Device) map[string]any {
	const draws = 30 / thin // with few keys, most of them
	p, known, answers := newPool(rand.New(rand.NewPCG(1, 1))), generators(), map[string]any{}
	for _, m := range methods() {
		if !reading(m.name) || m.field == "LIDs" {
			continue
		}
		for range draws {
			c := p.draw(m, known)
			a := c.on(ctx, device)
			if a.err != nil {
				answers[c.String()] = "an error" // as for an outgoing event that is not there
				continue
			}
			for i, result := range a.results {
				if list, ok := result.([]*wastore.AppStateSyncKey); ok {
					result = ordered(list)
				}
				a.results[i] = filled(result)
			}
			answers[c.String()] = a.results
			if len(c.args) == 0 {
				break
			}
		}
	}
	return answers
}

// sameDump names the calls that are answered differently.
func sameDump(what string, want, got map[string]any) error {
	if cmp.Equal(want, got) {
		return nil
	}
	return fmt.Errorf("%s (-before +after):\n%s", what, cmp.Diff(want, got))
}

// fill writes to every store of a device but the LID map: random values under
// the keys of the pool. Some calls fail, as for an event that is there already.
func fill(ctx context.Context, device *wastore.Device, seed uint64) {
	const draws = 4 + 10/thin
	p, known := newPool(rand.New(rand.NewPCG(seed, 2))), generators()
	alone := func(m method) bool { // those that fail at times, and those that sqlstore caches
		return m.field == "Contacts" || m.name == "PutBufferedEvent" || m.name == "PutAppStateMutationMACs"
	}
	_ = device.EventBuffer.DoDecryptionTxn(ctx, func(ctx context.Context) error { // one commit for many
		for _, m := range methods() {
			if writing(m) && !alone(m) {
				for range draws {
					p.draw(m, known).on(ctx, device)
				}
			}
		}
		return nil
	})
	for _, m := range methods() {
		if writing(m) && alone(m) {
			for range draws / 3 {
				p.draw(m, known).on(ctx, device)
			}
		}
	}
}

// writing says that a method puts something into a store that is the device's
// own.
func writing(m method) bool {
	return m.field != "Container" && m.field != "LIDs" && !reading(m.name) && !slices.ContainsFunc(
		[]string{"Delete", "Remove", "Clear", "Migrate", "DoDecryptionTxn"},
		func(prefix string) bool { return strings.HasPrefix(m.name, prefix) },
	)
}

// drawFull makes a call that is not answered without looking at the store.
func (p *pool) drawFull(m method, known map[string]generator) call {
	for {
		c := p.draw(m, known)
		if !slices.ContainsFunc(c.args, func(arg any) bool {
			v := reflect.ValueOf(arg)
			return (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0
		}) {
			return c
		}
	}
}

// join is errors.Join for what is found one after the other.
func join(errs *[]error, err error) {
	if err != nil {
		*errs = append(*errs, err)
	}
}

// failf says what was found, where an error is part of it that may be nil.
func failf(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	return errors.New(text)
}
