package strictjson_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink/internal/strictjson"
)

var keys = []string{"name", "count", "wait", "push"}

// values are those of an object with the keys.
type values struct {
	Name    string
	Count   int
	Wait    time.Duration
	Push    bool
	HasPush bool
}

func read(data string) (values, []strictjson.Fault) {
	o, ok := strictjson.Read([]byte(data), keys)
	if !ok {
		return values{}, o.Faults
	}
	v := values{o.Text("name"), o.Integer("count"), o.Duration("wait"), o.Bool("push"), o.HasBool("push")}
	v.Push = o.Bool("push") // once more, without a second fault
	return v, o.Faults
}

func TestEachValueIsRead(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]values{
		"{}":               {},
		`{"push": false}`:  {HasPush: true},
		` { "name": "" } `: {},
		`{"name": "a", "count": -3, "wait": "1h30m", "push": true}`: {"a", -3, 90 * time.Minute, true, true},
	} {
		got, faults := read(data)
		if diff := cmp.Diff(want, got); diff != "" || len(faults) > 0 {
			t.Errorf("%s: %v, %s", data, faults, diff)
		}
	}
}

func TestEachFaultIsReported(t *testing.T) {
	t.Parallel()
	for data, want := range map[string][]string{
		``:                          {"whole: not JSON: unexpected end of JSON input (line 1)"},
		"{\"name\": \"a\",\n}":      {"whole: not JSON: invalid character '}' looking for beginning of object key string (line 2)"},
		`{} {}`:                     {"whole: not JSON: invalid character '{' after top-level value (line 1)"},
		`[]`:                        {"whole: an array where an object is wanted"},
		"{\"name\": \"\xff\"}":      {"whole: not valid UTF-8"},
		`{"naem": "a"}`:             {`naem: unknown key. Write "name" if that is meant.`},
		`{"": 1}`:                   {": unknown key. Known are name, count, wait, push."},
		`{"name": "a", "name": 1}`:  {"name: written twice", "name: a number where a string is wanted"},
		`{"name": null}`:            {"name: null where a string is wanted"},
		`{"count": 1.5}`:            {"count: a number where a whole number is wanted"},
		`{"wait": 60}`:              {"wait: a number where a duration string is wanted"},
		`{"wait": "60"}`:            {`wait "60": not a duration`},
		`{"push": "true"}`:          {"push: a string where true or false is wanted"},
		`{"push": {}, "count": []}`: {"count: an array where a whole number is wanted", "push: an object where true or false is wanted"},
	} {
		_, faults := read(data)
		var got []string
		for _, f := range faults {
			text := f.Key
			if f.Whole {
				text = "whole"
			}
			if f.Value != "" {
				text += " " + f.Value
			}
			text += ": " + f.Problem
			if f.Problem == "unknown key" {
				text += ". " + f.Fix
			}
			if f.Fix == "" {
				t.Errorf("%s: %q has no remedy", data, text)
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", data, diff)
		}
	}
}
