package passkey_test

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink/passkey"
)

func TestSnippetCannotBeBrokenOut(t *testing.T) {
	t.Parallel()
	for _, options := range []string{
		challenge,
		`{"rpId":"whatsapp.com","challenge":"</script><script>alert(1)</script>"}`,
		`{"rpId":"whatsapp.com","challenge":"<!--` + "\u2028\u2029" + `"}`,
		`{"rpId":"whatsapp.com","challenge":"\"}); alert(1); ({\"","timeout":"` + "`${alert(1)}`" + `"}`,
		`{"rpId":"whatsapp.com","challenge":"` + "\u202e\u009b31m" + `","extensions":{"prf":{}},"x":1}`,
	} {
		snippet, err := passkey.Snippet(json.RawMessage(options))
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(snippet, "\u2028\u2029\u202e\u009b") || strings.Contains(snippet, "</") || strings.Contains(snippet, "<!") {
			t.Errorf("not escaped: %s", snippet)
		}
		_, literal, _ := strings.Cut(snippet, "await askForPasskey(")
		literal, _, _ = strings.Cut(literal, ");\nif (error)")
		var got any
		var want map[string]any
		if err := json.Unmarshal([]byte(literal), &got); err != nil {
			t.Errorf("the challenge is not JSON in the snippet: %v", err)
		}
		if err := json.Unmarshal([]byte(options), &want); err != nil {
			t.Fatal(err)
		}
		for _, unused := range []string{"extensions", "x"} {
			delete(want, unused)
		}
		if diff := cmp.Diff(any(want), got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestSnippetRefusesWhatIsNotWhatsApps(t *testing.T) {
	t.Parallel()
	for _, options := range unfit {
		snippet, err := passkey.Snippet(json.RawMessage(options))
		if !remedied(err) || snippet != "" {
			t.Errorf("%s gives %q, %v", options, snippet, err)
		}
	}
}

func TestParsePasted(t *testing.T) {
	t.Parallel()
	escaped, err := json.Marshal(assertion)
	if err != nil {
		t.Fatal(err)
	}
	half := len(assertion) / 2
	newer := strings.ReplaceAll(assertion, "aWQ", "bmV3")
	for name, test := range map[string]struct{ pasted, want string }{
		"as it is":            {assertion, assertion},
		"single quotes":       {"'" + assertion + "'", assertion},
		"a string of it":      {string(escaped), assertion},
		"typographic quotes":  {"“" + assertion + "”", assertion},
		"a newline":           {assertion + "\r\n", assertion},
		"broken into lines":   {assertion[:half] + "\r\n  " + assertion[half:half+20] + "\n" + assertion[half+20:], assertion},
		"indented":            {strings.ReplaceAll(assertion, ",", ",\n\t"), assertion},
		"invisible":           {"\ufeff" + assertion[:half] + "\u200b\u00a0" + assertion[half:], assertion},
		"bracketed paste":     {"\x1b[200~" + assertion + "\x1b[201~", assertion},
		"with the console":    {"VM42:7 " + assertion + "\nVM42:8 Copied. Paste it into the terminal.\n> {}", assertion},
		"an array":            {"[" + assertion + "]", assertion},
		"inside another":      {`{"answer":` + assertion + `}`, assertion},
		"after the challenge": {challenge + assertion, assertion},
		"the newest":          {assertion + "\n" + newer, newer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := passkey.ParsePasted(test.pasted)
			if err != nil || string(got) != test.want {
				t.Errorf("%s, %v, want %s", got, err, test.want)
			}
		})
	}
}

func TestParsePastedWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for name, pasted := range map[string]string{
		"nothing":           "",
		"something else":    "yes",
		"the challenge":     challenge,
		"half":              assertion[:len(assertion)/2],
		"other half":        assertion[len(assertion)/2:],
		"without signature": strings.Replace(assertion, `"cw"`, `""`, 1),
		"far too long":      strings.Repeat(" ", 16<<10) + assertion,
		"deep":              strings.Repeat(`{"a":`, 3000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := passkey.ParsePasted(pasted)
			if err == nil || got != nil {
				t.Errorf("found %s, %v", got, err)
			}
			if pasted != "" && err != nil && strings.Contains(err.Error(), pasted) {
				t.Errorf("quoted in %v", err)
			}
		})
	}
}

func FuzzParsePasted(f *testing.F) {
	f.Add("", "", 0)
	f.Add("> '", "'\n", 7)
	f.Add(`{"a":"`, `\"}`, 40)
	f.Fuzz(func(t *testing.T, before, after string, at int) {
		got, err := passkey.ParsePasted(before + after)
		if err == nil {
			again, err := passkey.ParsePasted(string(got))
			if err != nil || !json.Valid(got) || string(again) != string(got) {
				t.Errorf("found %s, then %s, %v", got, again, err)
			}
		}
		// An answer with nothing around it is found, wherever its line is broken.
		at = max(0, at%len(assertion))
		got, err = passkey.ParsePasted(assertion[:at] + "\r\n" + assertion[at:])
		if err != nil || string(got) != assertion {
			t.Errorf("broken at %d: %s, %v", at, got, err)
		}
	})
}

// A text that somebody pastes may come from somebody else. The test reads what is allocated
// instead of a clock.
func TestParsePastedReadsEachByteAFewTimes(t *testing.T) { //nolint:paralleltest // it counts what the process allocates
	allocated := func(depth int) uint64 {
		pasted := strings.Repeat(`{"a":`, depth)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := passkey.ParsePasted(pasted); err == nil {
			t.Fatal("the text is an answer")
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	allocated(10)
	if some, twice := allocated(1500), allocated(3000); twice > 3*some {
		t.Errorf("a text of twice the length takes %d bytes, and not about twice %d", twice, some)
	}
}
