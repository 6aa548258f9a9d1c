package redis

import (
	"errors"
)

// mostPlanned is how many keys the server looks up at once for a reader.
const mostPlanned = 20_000

// plan is what a reader has asked for so far. If that was torn, all of it is
// read at once before the reader begins again, which then mostly asks for
// nothing else: so readers end also beside writers that never pause.
type plan struct {
	gets  map[string]bool
	scans map[span]int // how many keys of it were read
}

// span is where a scan begins and ends.
type span struct{ from, to string }

func newPlan() *plan { return &plan{gets: map[string]bool{}, scans: map[span]int{}} }

// planned is what was read at once.
type planned struct {
	gets  map[string][]byte
	scans map[span]page
}

// page is a part of what a scan gives.
type page struct {
	keys, values []string
	whole        bool // there is no more
}

// load reads what the plan says, where that is not too much.
func (r *reader) load(p *plan) error {
	names := make([]any, 1, 1+len(p.gets)+3*len(p.scans))
	names[0] = len(p.gets)
	for name := range p.gets {
		names = append(names, name)
	}
	spans := make([]span, 0, len(p.scans))
	total := len(p.gets)
	for s, size := range p.scans {
		size += firstPage // in case that there are some more by now
		total += size
		spans = append(spans, s)
		names = append(names, s.from, s.to, size)
	}
	if total == 0 || total > mostPlanned {
		return nil
	}
	answer, err := r.db.run(r.ctx, planScript, names...).Slice()
	if err != nil {
		return err
	}
	if len(answer) != 3 {
		return errShort
	}
	gets, _ := answer[1].([]any)
	scans, _ := answer[2].([]any)
	if len(gets) != len(p.gets) || len(scans) != len(spans) {
		return errShort
	}
	if err := r.saw(answer[0]); err != nil {
		return err
	}
	known := planned{gets: map[string][]byte{}, scans: map[span]page{}}
	for i, value := range gets {
		name, _ := names[1+i].(string)
		known.gets[name] = nil
		if text, ok := value.(string); ok {
			known.gets[name] = []byte(text)
		}
	}
	for i, s := range spans {
		parts, _ := scans[i].([]any)
		if len(parts) != 2 {
			return errShort
		}
		keys, values, err := pairs(parts[0], parts[1])
		if err != nil {
			return err
		}
		known.scans[s] = page{keys, values, len(keys) < p.scans[s]+firstPage}
	}
	r.known = known
	return nil
}

var errShort = errors.New("the server gave no whole answer")
