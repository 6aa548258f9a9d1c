package walink_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/nyaruka/phonenumbers"

	"github.com/walink/walink"
)

func mustPhone(t *testing.T, s string) walink.Phone {
	t.Helper()
	p, err := walink.ParsePhone(s)
	if err != nil {
		t.Fatalf("ParsePhone(%q): %v", s, err)
	}
	return p
}

func TestParsePhoneUnderstands(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, want string }{
		"E.164":                           {"+5511987654321", "+5511987654321"},
		"spaces and dash":                 {"+55 11 98765-4321", "+5511987654321"},
		"parentheses and dots":            {"+55 (11) 98765.4321", "+5511987654321"},
		"slash":                           {"+49 170/1234567", "+491701234567"},
		"surrounding space and newline":   {"  +55 11 98765-4321\n", "+5511987654321"},
		"no-break spaces":                 {"+55\u00a011\u202f98765\u20114321", "+5511987654321"},
		"direction marks of a chat":       {"\u202a+55 11 98765-4321\u202c\u200e", "+5511987654321"},
		"zero-width characters":           {"\ufeff+55\u200b11987654321", "+5511987654321"},
		"00 in place of +":                {"0055 11 98765-4321", "+5511987654321"},
		"no +":                            {"5511987654321", "+5511987654321"},
		"no +, North America":             {"1 (202) 555-0123", "+12025550123"},
		"tel URL":                         {"tel:+55-11-98765-4321", "+5511987654321"},
		"whatsapp URL, any case":          {"WhatsApp:+5511987654321", "+5511987654321"},
		"full-width":                      {"＋５５（１１）９８７６５－４３２１", "+5511987654321"},
		"Arabic digits":                   {"+٥٥١١٩٨٧٦٥٤٣٢١", "+5511987654321"},
		"Persian digits":                  {"+۵۵۱۱۹۸۷۶۵۴۳۲۱", "+5511987654321"},
		"Arabic digits with 00":           {"٠٠٥٥١١٩٨٧٦٥٤٣٢١", "+5511987654321"},
		"Devanagari digits":               {"+९१९८७६५४३२१०", "+919876543210"},
		"Italy keeps its zero":            {"+39 06 1234 5678", "+390612345678"},
		"short island number":             {"+683 4002", "+6834002"},
		"Brazil without the ninth digit":  {"+55 61 9167-4800", "+556191674800"},
		"Brazilian landline":              {"+55 11 3333-4444", "+551133334444"},
		"Mexico":                          {"+52 55 1234 5678", "+525512345678"},
		"Mexico with the 1":               {"+52 1 55 1234 5678", "+5215512345678"},
		"Argentina":                       {"+54 11 2345-6789", "+541123456789"},
		"Argentina with the 9":            {"+54 9 11 2345-6789", "+5491123456789"},
		"Mexico with the 1, without +":    {"5215512345678", "+5215512345678"},
		"Brazil, 12 digits and without +": {"556191674800", "+556191674800"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := mustPhone(t, tt.in)
			if p.String() != tt.want || p.Digits() != tt.want[1:] || p.IsZero() {
				t.Errorf("ParsePhone(%q) = %q, digits %q; want %q", tt.in, p, p.Digits(), tt.want)
			}
		})
	}
}

// digitRun matches what no error may hold: a number, or most of one.
var digitRun = regexp.MustCompile(`\d{5}`)

func TestParsePhoneSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, sentence, remedy string }{
		"empty":                         {"", "is empty", "country code"},
		"blank":                         {" \u00a0\t", "is empty", "country code"},
		"only punctuation":              {"(-)", "no digits", "country code"},
		"only a +":                      {"+", "no digits", "country code"},
		"missing country code":          {"11 98765-4321", "no country code", "Put a + and the country code in front"},
		"missing country code, Germany": {"170 1234567", "no country code", "Put a + and the country code in front"},
		"national zero, no code":        {"0170 1234567", "begins with a 0", "in place of the leading 0"},
		"national 8 of Russia, no code": {"8 916 123-45-67", "no country code", "in front"},
		"trunk zero, Germany":           {"+49 0170 1234567", "the 0 after the country code", "Remove the 0 after +49."},
		"trunk zero in parentheses":     {"+44 (0)20 7946 0958", "the 0 after the country code", "Remove the 0 after +44."},
		"trunk zero, no +":              {"4901701234567", "the 0 after the country code", "Remove the 0 after +49."},
		"trunk zero and 00":             {"0049 0170 1234567", "the 0 after the country code", "Remove the 0 after +49."},
		"Brazilian carrier":             {"+55 015 11 98765-4321", "the 015 after the country code", "Remove the 015 after +55."},
		"old Mexican 01":                {"+52 01 55 1234 5678", "the 01 after the country code", "Remove the 01 after +52."},
		"Russian 8":                     {"+7 8 916 123-45-67", "dialled only inside the country", "Remove the 8 after +7."},
		"American 1 twice":              {"+1 1 202 555 0123", "dialled only inside the country", "Remove the 1 after +1."},
		"Argentine 15":                  {"+54 11 15 2345-6789", "dialled only inside the country", "Put a 9 after +54 and remove the 15"},
		"+ and 00":                      {"+0055 11 98765-4321", "both a + and 00", "Remove the 00"},
		"+ and 0":                       {"+0170 1234567", "a 0 where its country code should be", "in place of the 0"},
		"letters":                       {"+1 800 FLOWERS", "the letter 'F'", "digits only"},
		"extension":                     {"+1 202 555 0123 ext 5", "the letter 'e'", "without an extension"},
		"the letter O for a zero":       {"+55 11 9876O-4321", "the letter 'O'", "the digit 0"},
		"a JID":                         {"5511987654321@s.whatsapp.net", "an @", "without the @"},
		"two numbers":                   {"+55 11 98765-4321 / +55 11 98765-4322", "more than one number", "one whole number"},
		"another character":             {"+55 11 98765*4321", "the character '*'", "Remove the character"},
		"a redacted number":             {"+55•••••••••21", "the character '•'", "Remove the character"},
		"a control character":           {"+55\x0011987654321", "cannot be shown", "one whole number"},
		"not UTF-8":                     {"+55\xff11987654321", "not text", "one whole number"},
		"too short":                     {"+55 11", "too short", "one whole number"},
		"too short for its country":     {"+1 202 555 012", "too short for +1", "has 10"},
		"no area code, Brazil":          {"+55 98765-4321", "no area code", "area code after +55"},
		"too long for its country":      {"+55 11 98765-43210", "too long for +55 (BR)", "has 11"},
		"too long":                      {"+55 11 98765-43210987", "too long", "one whole number"},
		"far too long":                  {"+55" + strings.Repeat("1", 300), "too long", "one whole number"},
		"unknown country code":          {"+999 123 4567", "+999 is not a country code", "after the +"},
		"impossible for its country":    {"+55 11 58765-4321", "impossible for +55 (BR)", "after +55"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := walink.ParsePhone(tt.in)
			if !errors.Is(err, walink.ErrInvalidPhone) || !p.IsZero() {
				t.Fatalf("ParsePhone(%q) = %v, %v; want ErrInvalidPhone", tt.in, p, err)
			}
			var e *walink.Error
			if !errors.As(err, &e) {
				t.Fatalf("%T is not an *Error", err)
			}
			if !strings.Contains(err.Error(), tt.sentence) || !strings.Contains(e.Remedy(), tt.remedy) {
				t.Errorf("ParsePhone(%q): %q, remedy %q; want %q, %q", tt.in, err, e.Remedy(), tt.sentence, tt.remedy)
			}
			if digitRun.MatchString(err.Error()) || digitRun.MatchString(e.Remedy()) {
				t.Errorf("the error shows a number: %q, remedy %q", err, e.Remedy())
			}
		})
	}
}

func TestPhoneHasFormsForPeopleAndForLogs(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, region, international, redacted string }{
		{"+5511987654321", "BR", "+55 11 98765-4321", "+55•••••••••21"},
		{"+551187654321", "BR", "+55 11 8765-4321", "+55••••••••21"},
		{"+5215512345678", "MX", "+52 1 55 1234 5678", "+52•••••••••78"},
		{"+525512345678", "MX", "+52 55 1234 5678", "+52••••••••78"},
		{"+5491123456789", "AR", "+54 9 11 2345-6789", "+54•••••••••89"},
		{"+12025550123", "US", "+1 202-555-0123", "+1••••••••23"},
		{"+14165550123", "CA", "+1 416-555-0123", "+1••••••••23"},
		{"+390612345678", "IT", "+39 06 1234 5678", "+39••••••••78"},
		{"+6834002", "NU", "+683 4002", "+683••••"},
		{"+870773123456", "", "+870 773 123 456", "+870•••••••56"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			t.Parallel()
			p := mustPhone(t, tt.in)
			got := []string{p.Region(), p.International(), p.Redacted()}
			if diff := cmp.Diff([]string{tt.region, tt.international, tt.redacted}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPhoneIsRedactedByslog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("linking", "phone", mustPhone(t, "+5511987654321"))
	_, line, _ := strings.Cut(out.String(), "msg=") // without the time
	if !strings.Contains(line, "•21") || digitRun.MatchString(line) {
		t.Errorf("the log line is %q", out.String())
	}
}

func TestZeroPhoneIsNoNumber(t *testing.T) {
	t.Parallel()
	var p walink.Phone
	if !p.IsZero() || p.String()+p.Digits()+p.Region()+p.International()+p.Redacted() != "" || p.Alternatives() != nil {
		t.Errorf("the zero Phone is %#v", p)
	}
	if p.SameAccount(p) {
		t.Error("no number is an account, and the same as no number")
	}
}

func TestPhoneAlternativeIsTheOtherFormOfTheAccount(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, want string }{
		"Brazil, ninth digit off":              {"+5511987654321", "+551187654321"},
		"Brazil, ninth digit on":               {"+556191674800", "+5561991674800"},
		"Brazil, mobile with a landline's end": {"+5511933334444", ""},
		"Brazil, landline":                     {"+551133334444", ""},
		"Mexico, 1 on":                         {"+525512345678", "+5215512345678"},
		"Mexico, 1 off":                        {"+5215512345678", "+525512345678"},
		"Argentina, 9 on":                      {"+541123456789", "+5491123456789"},
		"Argentina, 9 off":                     {"+5491123456789", "+541123456789"},
		"Germany":                              {"+491701234567", ""},
		"North America":                        {"+12025550123", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := mustPhone(t, tt.in)
			if tt.want == "" {
				if got := p.Alternatives(); got != nil {
					t.Errorf("%s has the alternatives %v, want none", p, got)
				}
				return
			}
			other := mustPhone(t, tt.want)
			if diff := cmp.Diff([]walink.Phone{other}, p.Alternatives(), cmp.Comparer(equal)); diff != "" {
				t.Error(diff)
			}
			if p == other || !p.SameAccount(other) || !other.SameAccount(p) {
				t.Errorf("%s and %s are not two forms of one account", p, other)
			}
		})
	}
}

func equal(a, b walink.Phone) bool { return a == b }

func TestPhoneSameAccountIsForOneNumberOnly(t *testing.T) {
	t.Parallel()
	p := mustPhone(t, "+55 11 98765-4321")
	if other := mustPhone(t, "5511987654321"); p != other || !p.SameAccount(other) {
		t.Error("two spellings of one number are not equal")
	}
	for _, other := range []string{"+5511987654322", "+5521987654321", "+12025550123"} {
		if p.SameAccount(mustPhone(t, other)) {
			t.Errorf("%s is said to be the account of %s", other, p)
		}
	}
	if mustPhone(t, "+5511933334444").SameAccount(mustPhone(t, "+551133334444")) {
		t.Error("a landline is said to be the account of the mobile number that ends like it")
	}
}

func TestPhoneSurvivesJSON(t *testing.T) {
	t.Parallel()
	type event struct {
		Phone walink.Phone `json:"phone"`
	}
	// No table knows the last number. WhatsApp may know it.
	for _, s := range []string{"", "+5511987654321", "+5215512345678", "+99912345678901"} {
		data := []byte(`{"phone":"` + s + `"}`)
		var e event
		if err := json.Unmarshal(data, &e); err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(e)
		if err != nil || string(got) != string(data) || e.Phone.String() != s {
			t.Errorf("%s comes back as %s, %v", data, got, err)
		}
	}
	for _, s := range []string{"5511987654321", "+55 11 98765-4321", "+", "++55", "+55a", "x"} {
		var p walink.Phone
		if err := p.UnmarshalText([]byte(s)); !errors.Is(err, walink.ErrInvalidPhone) || digitRun.MatchString(fmt.Sprint(err)) {
			t.Errorf("UnmarshalText(%q) = %v, want ErrInvalidPhone", s, err)
		}
	}
}

func TestPhoneReadsTheDigitsOfEveryScript(t *testing.T) {
	t.Parallel()
	number := []rune("5511987654321")
	for zero := rune(1); zero <= unicode.MaxRune; zero++ {
		// Decimal digits come in runs of ten, one after the other.
		if !unicode.IsDigit(zero) || unicode.IsDigit(zero-1) {
			continue
		}
		for ; unicode.IsDigit(zero); zero += 10 {
			written := "+"
			for _, d := range number {
				written += string(zero + d - '0')
			}
			if p, err := walink.ParsePhone(written); err != nil || p.Digits() != string(number) {
				t.Errorf("ParsePhone(%q) = %v, %v", written, p, err)
			}
		}
	}
}

func TestParsePhoneKnowsEveryCountry(t *testing.T) {
	t.Parallel()
	for region := range phonenumbers.GetSupportedRegions() {
		example := phonenumbers.GetExampleNumberForType(region, phonenumbers.MOBILE)
		if example == nil {
			continue
		}
		e164 := phonenumbers.Format(example, phonenumbers.E164)
		international := phonenumbers.Format(example, phonenumbers.INTERNATIONAL)
		for _, written := range []string{e164, e164[1:], "00" + e164[1:], international} {
			if p, err := walink.ParsePhone(written); err != nil || p.String() != e164 || p.Region() == "" {
				t.Errorf("ParsePhone(%q) = %v of %q, %v; want a number of %s", written, p, p.Region(), err, region)
			}
		}
	}
}

func FuzzParsePhone(f *testing.F) {
	for _, s := range []string{
		"", "+", "+55 11 98765-4321", "5511987654321", "0055 11 98765 4321", "+551187654321", "+5215512345678", "+525512345678",
		"+5491123456789", "+541123456789", "+54 11 15 2345 6789", "+49 (0)170 1234567", "+39 06 1234 5678", "+7 8 916 123 45 67",
		"11 98765-4321", "0170 1234567", "+1-800-FLOWERS", "＋５５１１９８７６５４３２１", "\u202a+55 11 98765-4321\u202c", "+٥٥١١٩٨٧٦٥٤٣٢١",
		"tel:+5511987654321;ext=5", "+870773123456", "+999123456", "+55\xff", "5511987654321@s.whatsapp.net", "+6834002", "+0055",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := walink.ParsePhone(s)
		if err != nil {
			var e *walink.Error
			if !errors.As(err, &e) || e.Reason != walink.ErrInvalidPhone || !p.IsZero() {
				t.Fatalf("ParsePhone(%q) = %v, %v", s, p, err)
			}
			if digitRun.MatchString(err.Error()) || digitRun.MatchString(e.Remedy()) || e.Remedy() == "" {
				t.Fatalf("ParsePhone(%q): the error %q with the remedy %q", s, err, e.Remedy())
			}
			return
		}
		if again, err := walink.ParsePhone(p.String()); err != nil || again != p {
			t.Fatalf("%s parses to %v, %v", p, again, err)
		}
		if again, err := walink.ParsePhone(p.International()); err != nil || again != p {
			t.Fatalf("%s is %q for people, which parses to %v, %v", p, p.International(), again, err)
		}
		if digitRun.MatchString(p.Redacted()) {
			t.Fatalf("redacted %q", p.Redacted())
		}
		if !p.SameAccount(p) {
			t.Fatalf("%s is not its own account", p)
		}
		for _, other := range p.Alternatives() {
			if other == p || !slices.Contains(other.Alternatives(), p) || !p.SameAccount(other) || !other.SameAccount(p) {
				t.Fatalf("%s has the alternative %s, which has %v", p, other, other.Alternatives())
			}
			if again, err := walink.ParsePhone(other.String()); err != nil || again != other {
				t.Fatalf("the alternative %s parses to %v, %v", other, again, err)
			}
		}
	})
}

func ExampleParsePhone() {
	p, err := walink.ParsePhone("0055 (11) 98765-4321")
	fmt.Println(p, p.Region(), p.Redacted(), err)

	_, err = walink.ParsePhone("+49 (0)170 1234567")
	var e *walink.Error
	fmt.Println(errors.As(err, &e), e.Remedy())
	// Output:
	// +5511987654321 BR +55•••••••••21 <nil>
	// true Remove the 0 after +49.
}
