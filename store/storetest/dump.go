package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"

	wastore "go.mau.fi/whatsmeow/store"
)

// dump calls every reading method of the stores of a device, for everything
// that a pool may have stored. It leaves out the LID map, which all devices
// share.
func dump(ctx context.Context, device *wastore.Device) map[string]any {
	const draws = 30 / thin // there are few keys, so this is most of them
	p, known, answers := newPool(rand.New(rand.NewPCG(1, 1))), generators(), map[string]any{}
	for _, m := range methods() {
		if !reading(m.name) || m.field == "LIDs" {
			continue
		}
		for range draws {
			c := p.draw(m, known)
			a := c.on(ctx, device)
			if a.err != nil {
				answers[c.String()] = "an error" // as for an outgoing event that does not exist
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

// sameDump returns an error that lists the calls with different answers.
func sameDump(what string, want, got map[string]any) error {
	if diff := different(want, got); diff != "" {
		return fmt.Errorf("%s (-before +after):\n%s", what, diff)
	}
	return nil
}

// fill writes to every store of a device except the LID map: random values
// under the keys of the pool. Some calls fail, for example for an event that
// already exists.
func fill(ctx context.Context, device *wastore.Device, seed uint64) {
	const draws = 4 + 10/thin
	p, known := newPool(rand.New(rand.NewPCG(seed, 2))), generators()
	alone := func(m method) bool { // methods that sometimes fail, and those that sqlstore caches
		return m.field == "Contacts" || m.name == "PutBufferedEvent" || m.name == "PutAppStateMutationMACs"
	}
	_ = device.EventBuffer.DoDecryptionTxn(ctx, func(ctx context.Context) error { // one commit for many calls
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

// writing reports whether a method writes to a store of the device alone.
func writing(m method) bool {
	return m.field != "Container" && m.field != "LIDs" && !reading(m.name) && !slices.ContainsFunc(
		[]string{"Delete", "Remove", "Clear", "Migrate", "DoDecryptionTxn"},
		func(prefix string) bool { return strings.HasPrefix(m.name, prefix) },
	)
}

// drawFull makes a call that cannot be answered without reading the store.
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

// join adds err to errs.
func join(errs *[]error, err error) {
	if err != nil {
		*errs = append(*errs, err)
	}
}

// failf returns an error with a text and err, which may be nil.
func failf(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	return errors.New(text)
}
