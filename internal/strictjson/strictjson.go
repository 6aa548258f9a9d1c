// Package strictjson reads settings from one JSON object with a fixed set of keys, and
// reports every fault.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/walink/walink/internal/choice"
	"github.com/walink/walink/internal/redact"
)

// Fault is one fault of an Object.
type Fault struct {
	Key     string // shortened and masked if it is unknown
	Whole   bool   // the document is at fault, and no single key
	Value   string // what was written, safe to show; "" if there is nothing to show
	Problem string
	Fix     string // one sentence for a person
}

// Object is a JSON object. A missing value reads as zero. A value of the wrong type does
// too, and is a fault.
type Object struct {
	Faults []Fault
	values map[string]json.RawMessage
}

// Read splits the object into its values. A key that is not one of keys is a fault, and so
// is a repeated one. ok is false if data is no JSON object.
func Read(data []byte, keys []string) (o *Object, ok bool) {
	o = &Object{values: map[string]json.RawMessage{}}
	problem, fix := o.open(data, keys)
	if problem != "" {
		o.Faults = append(o.Faults, Fault{Whole: true, Problem: problem, Fix: fix})
	}
	return o, problem == ""
}

func (o *Object) open(data []byte, keys []string) (problem, fix string) {
	if !utf8.Valid(data) {
		return "not valid UTF-8", "Save the settings as UTF-8."
	}
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		return "not JSON: " + err.Error() + where(data, err), "Correct the JSON: write one object, and nothing after the object."
	}
	if kind := kindOf(whole); kind != "an object" {
		return kind + " where an object is wanted", `Write the settings as {"phone": "...", ...}.`
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	_, err := decoder.Token()
	for err == nil && decoder.More() {
		var token json.Token
		if token, err = decoder.Token(); err != nil {
			break
		}
		key, _ := token.(string)
		var value json.RawMessage
		err = decoder.Decode(&value)
		o.add(key, value, keys)
	}
	if err != nil {
		return "not JSON: " + err.Error(), "Correct the JSON."
	}
	return "", ""
}

func (o *Object) add(key string, value json.RawMessage, keys []string) {
	if !slices.Contains(keys, key) {
		fix := "Known are " + strings.Join(keys, ", ") + "."
		if near, ok := choice.Nearest(key, keys); ok {
			fix = fmt.Sprintf("Write %q if that is meant.", near)
		}
		o.Fault(redact.Value(key), "", "unknown key", fix)
		return
	}
	if _, doubled := o.values[key]; doubled {
		o.Fault(key, "", "written twice", "Keep one of the two.")
	}
	o.values[key] = value
}

// Fault adds a fault.
func (o *Object) Fault(key, value, problem, fix string) {
	o.Faults = append(o.Faults, Fault{Key: key, Value: value, Problem: problem, Fix: fix})
}

// Has reports whether the key is there, with a value that Bool has not reported as a fault.
func (o *Object) Has(key string) bool { return o.values[key] != nil }

// HasBool reports whether the key is there and its value is a boolean.
func (o *Object) HasBool(key string) bool {
	value := string(o.values[key])
	return value == "true" || value == "false"
}

// read unmarshals the value of key, if any.
func (o *Object) read(key string, into any, wanted, fix string) bool {
	value, ok := o.values[key]
	if !ok {
		return false
	}
	if string(value) == "null" || json.Unmarshal(value, into) != nil {
		o.Fault(key, "", kindOf(value)+" where "+wanted+" is wanted", fix)
		return false
	}
	return true
}

// Text reads a string.
func (o *Object) Text(key string) (s string) {
	o.read(key, &s, "a string", "Put the value in quotes, or leave the key out.")
	return s
}

// Bool reads a boolean. It may be called again: a fault is noted once.
func (o *Object) Bool(key string) (b bool) {
	if o.Has(key) && !o.HasBool(key) {
		o.read(key, &b, "true or false", "Write true or false, without quotes.")
		o.values[key] = nil
	}
	return string(o.values[key]) == "true"
}

// Integer reads a whole number.
func (o *Object) Integer(key string) (n int) {
	o.read(key, &n, "a whole number", "Write a whole number, without quotes.")
	return n
}

// Duration reads a Go duration string.
func (o *Object) Duration(key string) time.Duration {
	const fix = `Write a Go duration in quotes, such as "10m" or "1h30m".`
	var s string
	if !o.read(key, &s, "a duration string", fix) {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		o.Fault(key, redact.Quote(s), "not a duration", fix)
	}
	return d
}

// kindOf names the type of a JSON value.
func kindOf(value []byte) string {
	switch value = bytes.TrimSpace(value); value[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// where names the line of a syntax error.
func where(data []byte, err error) string {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return ""
	}
	read := data[:min(syntax.Offset, int64(len(data)))]
	return fmt.Sprintf(" (line %d)", 1+bytes.Count(read, []byte("\n")))
}
