package redis

import (
	"bytes"
	"errors"
	"slices"
)

// The limits for reading again: keys in one call, keys in one transaction, and
// bytes to remember.
const (
	mostPlanned    = 20_000
	mostLookedUp   = 100_000
	mostRemembered = 64 << 20 // bytes
)

// planned is what a reader has read so far. When somebody writes meanwhile, the
// reader reads all of it again in one call. If nothing differs, the reader
// continues in the newer state; otherwise it begins again with the values of
// that state. So a reader ends even if others never stop writing other keys.
type planned struct {
	gets  map[string][]byte
	pages map[span]page
	size  int // the number of keys
	bytes int
}

// span is the range of a page of a scan, and the largest number of keys in the
// page.
type span struct {
	from, to string
	size     int
}

// page is a part of the result of a scan.
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

// tooMuch reports whether this is too much to read again in one call.
func (p *planned) tooMuch() bool { return p.size > mostPlanned || p.bytes > mostRemembered }

// equal reports whether everything that was read is the same in now.
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

// renew reads everything known again, in one state. If something differs from
// before, it returns errTorn.
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

// load reads everything that r knows again, in one state.
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

var errShort = errors.New("the answer of the server is incomplete")
