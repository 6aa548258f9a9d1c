package redis

import (
	"bytes"
	"errors"
	"slices"
)

// What the server looks up at once for a reader at most, and for all of what
// a reader does.
const (
	mostPlanned    = 20_000
	mostLookedUp   = 100_000
	mostRemembered = 64 << 20 // bytes
)

// planned is what a reader has read so far. When somebody writes meanwhile, all
// of it is read again at once: if it is the same the reader goes on in the
// newer state, and otherwise it begins again with it. So those who read end
// also beside those who never pause to write something else.
type planned struct {
	gets  map[string][]byte
	pages map[span]page
	size  int // how many keys that is
	bytes int
}

// span is where a page of a scan begins and ends, and how many keys it has at
// most.
type span struct {
	from, to string
	size     int
}

// page is a part of what a scan gives.
type page struct{ keys, values []string }

func newPlanned() *planned { return &planned{gets: map[string][]byte{}, pages: map[span]page{}} }

func (p *planned) get(name string, value []byte) {
	p.gets[name] = value
	p.size++
	p.bytes += len(name) + len(value)
}

func (p *planned) page(s span, found page) {
	p.pages[s] = found
	p.size += s.size
	for i, key := range found.keys {
		p.bytes += len(key) + len(found.values[i])
	}
}

// tooMuch reports whether the server cannot look all of it up at once.
func (p *planned) tooMuch() bool { return p.size > mostPlanned || p.bytes > mostRemembered }

// equal reports whether what was read before is the same as now.
func (p *planned) equal(now *planned) bool {
	for name, value := range p.gets {
		if !bytes.Equal(value, now.gets[name]) {
			return false
		}
	}
	for s, found := range p.pages {
		if !slices.Equal(found.keys, now.pages[s].keys) || !slices.Equal(found.values, now.pages[s].values) {
			return false
		}
	}
	return true
}

// renew reads what is known again, in the state of now. Where that differs from
// what was read before it returns errTorn.
func (r *reader) renew(before *planned) error {
	r.looked += r.known.size
	if r.known.tooMuch() || r.looked > mostLookedUp {
		r.torn = true
		return errTorn
	}
	version, now, err := r.db.load(r)
	if err != nil {
		return err
	}
	r.version, r.known = version, now
	if before != nil && !before.equal(now) {
		r.torn = true
		return errTorn
	}
	return nil
}

// load reads what r knows once more, all of one state.
func (db *DB) load(r *reader) (version string, now *planned, err error) {
	args := []any{len(r.known.gets)}
	names := make([]string, 0, len(r.known.gets))
	for name := range r.known.gets {
		names, args = append(names, name), append(args, name)
	}
	spans := make([]span, 0, len(r.known.pages))
	for s := range r.known.pages {
		spans, args = append(spans, s), append(args, s.from, s.to, s.size)
	}
	answer, err := db.run(r.ctx, planScript, args...).Slice()
	if err != nil {
		return "", nil, err
	}
	if len(answer) != 3 {
		return "", nil, errShort
	}
	version, _ = answer[0].(string)
	values, _ := answer[1].([]any)
	pages, _ := answer[2].([]any)
	if len(values) != len(names) || len(pages) != len(spans) {
		return "", nil, errShort
	}
	now = newPlanned()
	for i, name := range names {
		value, ok := values[i].(string)
		if ok {
			now.get(name, []byte(value))
		} else {
			now.get(name, nil)
		}
	}
	for i, s := range spans {
		parts, _ := pages[i].([]any)
		if len(parts) != 2 {
			return "", nil, errShort
		}
		found, err := pageOf(parts[0], parts[1])
		if err != nil {
			return "", nil, err
		}
		now.page(s, found)
	}
	return version, now, nil
}

var errShort = errors.New("the server gave no whole answer")
