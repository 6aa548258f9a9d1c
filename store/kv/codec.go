package kv

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/store"
)

// ErrDamaged is [store.ErrDamaged]. It is in the chain of the error about a
// value that is not what was stored: the value was cut off, changed, or moved
// to another key, which only [Encrypt] notices. The error names the key,
// without the digits of phone numbers, and the session if the value belongs to
// one. Other values are not affected.
var ErrDamaged = store.ErrDamaged

// valueVersion is the first byte of every value. It changes with the fields.
const valueVersion = 1

// encoder writes the fields of a value one after the other.
type encoder struct{ b []byte }

func newEncoder(size int) *encoder {
	return &encoder{append(make([]byte, 0, size+16), valueVersion)}
}

func (e *encoder) uint(n uint64) *encoder {
	e.b = binary.AppendUvarint(e.b, n)
	return e
}

func (e *encoder) int(n int64) *encoder {
	e.b = binary.AppendVarint(e.b, n)
	return e
}

func (e *encoder) bool(b bool) *encoder {
	if b {
		return e.uint(1)
	}
	return e.uint(0)
}

func (e *encoder) bytes(b []byte) *encoder {
	e.uint(uint64(len(b)))
	e.b = append(e.b, b...)
	return e
}

func (e *encoder) string(s string) *encoder {
	e.uint(uint64(len(s)))
	e.b = append(e.b, s...)
	return e
}

// decoder reads the fields of a value. After a missing field all fields are
// zero, and end returns an error.
type decoder struct {
	key, rest []byte
	err       error
}

func decode(key, value []byte) *decoder {
	d := &decoder{key: key}
	switch {
	case len(value) == 0:
		d.err = errors.New("the value is empty")
	case value[0] != valueVersion:
		d.err = fmt.Errorf("the value begins with %d", value[0])
	default:
		d.rest = value[1:]
	}
	return d
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = errors.New(what)
	}
	d.rest = nil
}

func (d *decoder) uint() uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.fail("a number is cut off")
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.rest)
	if size <= 0 {
		d.fail("a number is cut off")
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) bool() bool { return d.uint() != 0 }

// view returns bytes that are valid until the transaction ends.
func (d *decoder) view() []byte {
	size := d.uint()
	if size > uint64(len(d.rest)) {
		d.fail("the value is cut off")
		return nil
	}
	b := d.rest[:size]
	d.rest = d.rest[size:]
	return b
}

// bytes returns a copy, or nil for no bytes.
func (d *decoder) bytes() []byte { return append([]byte(nil), d.view()...) }

func (d *decoder) string() string { return string(d.view()) }

// fixed fills to. The field must have the same length.
func (d *decoder) fixed(to []byte) {
	b := d.view()
	if d.err == nil && len(b) != len(to) {
		d.fail(fmt.Sprintf("a field has %d bytes, want %d", len(b), len(to)))
	}
	copy(to, b)
}

// end returns an error unless the value was complete.
func (d *decoder) end() error {
	if d.err == nil && len(d.rest) > 0 {
		d.fail("the value is too long")
	}
	if d.err != nil {
		return damaged(d.key, d.err)
	}
	return nil
}

func damaged(key []byte, why error) error {
	return fmt.Errorf("key %q: %w: %w", redact.Numbers(string(key)), ErrDamaged, why)
}
