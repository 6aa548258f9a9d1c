package walink

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// Phone is the number of a WhatsApp account, with its country code.
//
// It is a value: two Phones with the same digits are equal under ==. The zero
// value is no number at all, and IsZero tells it. A Phone keeps the digits that
// were written: where WhatsApp knows a number in two forms, none is turned
// silently into the other; see Alternatives and SameAccount.
type Phone struct {
	digits string
}

// ParsePhone reads a number as a person writes it, with its country code:
// "+55 11 98765-4321", "0055 (11) 98765.4321", "tel:+5511987654321". Spaces,
// punctuation, invisible marks, and the digits of every script are understood.
// A number without + is read as if it had one where that makes it valid.
//
// The error is an *Error with ErrInvalidPhone. It says what is wrong and how to
// mend it, and never holds the whole number.
func ParsePhone(s string) (Phone, error) {
	digits, plus, fault := scanPhone(s)
	if fault == nil && !acceptablePhone(digits) {
		fault = diagnosePhone(digits, plus)
	}
	if fault != nil {
		return Phone{}, &Error{Reason: ErrInvalidPhone, Op: "parse phone", Err: fault}
	}
	return Phone{digits: digits}, nil
}

// phoneFromDigits makes the Phone of a number that comes from WhatsApp, which
// knows numbers that no table knows: it never fails. Without a digit it is zero.
func phoneFromDigits(digits string) Phone {
	return Phone{digits: strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, digits)}
}

// IsZero reports whether p is no number.
func (p Phone) IsZero() bool { return p.digits == "" }

// String returns the number in E.164, such as "+5511987654321", and "" for the
// zero value. Use Redacted for what is logged.
func (p Phone) String() string {
	if p.IsZero() {
		return ""
	}
	return "+" + p.digits
}

// Digits returns the digits alone, as WhatsApp's JIDs write them.
func (p Phone) Digits() string { return p.digits }

// Region returns the country of the number in two letters (ISO 3166), such as
// "BR", and "" where none is known.
func (p Phone) Region() string {
	number := exactNumber(p.digits)
	if number == nil {
		return ""
	}
	region := phonenumbers.GetRegionCodeForNumber(number)
	if len(region) != 2 || region == phonenumbers.UNKNOWN_REGION {
		return ""
	}
	return region
}

// International returns the number grouped for people, "+55 11 98765-4321". It
// has the same digits as the Phone.
func (p Phone) International() string {
	d := p.digits
	if f, ok := twoForms(d); ok && d == f.short && f.style == styleBrazil {
		return "+55 " + d[2:4] + " " + d[4:8] + "-" + d[8:]
	} else if ok && d == f.long && f.style == styleMexico {
		return "+52 1" + strings.TrimPrefix(formatInternational(f.short), "+52")
	}
	return formatInternational(d)
}

// Redacted returns the country code and the last two digits, "+55•••••••••21":
// enough to tell accounts apart in a log, too little to call anyone.
func (p Phone) Redacted() string {
	if p.IsZero() {
		return ""
	}
	code := countryCode(p.digits)
	return "+" + code + maskDigits(p.digits[len(code):])
}

// LogValue redacts: slog never writes a whole number.
func (p Phone) LogValue() slog.Value { return slog.StringValue(p.Redacted()) }

// SameAccount reports whether p and other are the same account at WhatsApp:
// the same number, or the two forms of one. The zero value is nobody's.
func (p Phone) SameAccount(other Phone) bool {
	if p.IsZero() || other.IsZero() {
		return false
	}
	return p == other || slices.Contains(p.Alternatives(), other)
}

// Alternatives returns the other forms in which WhatsApp may know the number:
// a Brazilian mobile number with or without its ninth digit, a Mexican one with
// or without the 1 after +52, an Argentine one with or without the 9 after +54.
// It is nil for every other number.
func (p Phone) Alternatives() []Phone {
	f, ok := twoForms(p.digits)
	switch {
	case !ok:
		return nil
	case p.digits == f.long:
		return []Phone{{digits: f.short}}
	default:
		return []Phone{{digits: f.long}}
	}
}

// MarshalText writes E.164, and nothing for the zero value.
func (p Phone) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText wrote: "+" and digits, or nothing. It does
// not ask whether the number can exist, because WhatsApp may know it all the same;
// use ParsePhone for what a person wrote. The error is an ErrInvalidPhone.
func (p *Phone) UnmarshalText(text []byte) error {
	s := string(text)
	digits := strings.TrimPrefix(s, "+")
	read := phoneFromDigits(digits)
	if read.digits != digits || s != read.String() {
		return &Error{Reason: ErrInvalidPhone, Op: "parse phone", Err: &phoneFault{
			sentence: "the number is not in the form of E.164: a + and digits",
			remedy:   "Write a + and the digits of the number with its country code, and nothing else.",
		}}
	}
	*p = read
	return nil
}

// phoneStyle is the habit behind a number with two forms.
type phoneStyle int

const (
	styleBrazil    phoneStyle = iota + 1 // the ninth digit
	styleMexico                          // the 1 after +52
	styleArgentina                       // the 9 after +54
)

// phoneForms are the two forms of one account.
type phoneForms struct {
	style       phoneStyle
	long, short string
}

// twoForms returns the forms of a number that WhatsApp knows in two. They are
// derived from one predicate, so both forms lead to the same pair.
func twoForms(d string) (phoneForms, bool) {
	var f phoneForms
	switch {
	case strings.HasPrefix(d, "55") && len(d) == 13 && d[4] == '9':
		f = phoneForms{styleBrazil, d, d[:4] + d[5:]}
	case strings.HasPrefix(d, "55") && len(d) == 12:
		f = phoneForms{styleBrazil, d[:4] + "9" + d[4:], d}
	case strings.HasPrefix(d, "521") && len(d) == 13:
		f = phoneForms{styleMexico, d, "52" + d[3:]}
	case strings.HasPrefix(d, "52") && len(d) == 12:
		f = phoneForms{styleMexico, "521" + d[2:], d}
	case strings.HasPrefix(d, "549") && len(d) == 13:
		f = phoneForms{styleArgentina, d, "54" + d[3:]}
	case strings.HasPrefix(d, "54") && len(d) == 12:
		f = phoneForms{styleArgentina, "549" + d[2:], d}
	default:
		return phoneForms{}, false
	}
	switch f.style {
	case styleBrazil:
		// Eight digits that begin with 2 to 5 are a landline of somebody else: the
		// mobile numbers that got a ninth digit began with 6 to 9.
		return f, f.short[4] >= '6' && isMobile(f.long)
	case styleMexico:
		return f, isValid(f.short)
	case styleArgentina:
		return f, isMobile(f.long)
	}
	return phoneForms{}, false
}

// acceptablePhone reports whether the digits can be an account: a valid number,
// or the other form of one.
func acceptablePhone(digits string) bool {
	if len(digits) < minPhoneDigits || len(digits) > maxPhoneDigits {
		return false
	}
	_, ok := twoForms(digits)
	return ok || isValid(digits)
}

// exactNumber is the number with exactly these digits, or nil where the library
// reads them only by rewriting them (a trunk zero, for example).
func exactNumber(digits string) *phonenumbers.PhoneNumber {
	number, err := phonenumbers.Parse("+"+digits, "")
	if err != nil || phonenumbers.Format(number, phonenumbers.E164) != "+"+digits {
		return nil
	}
	return number
}

func isValid(digits string) bool {
	number := exactNumber(digits)
	return number != nil && phonenumbers.IsValidNumber(number)
}

func isMobile(digits string) bool {
	number := exactNumber(digits)
	return number != nil && phonenumbers.GetNumberType(number) == phonenumbers.MOBILE
}

// formatInternational groups the digits and changes none of them.
func formatInternational(digits string) string {
	if number := exactNumber(digits); number != nil {
		grouped := phonenumbers.Format(number, phonenumbers.INTERNATIONAL)
		if phoneFromDigits(grouped).digits == digits {
			return grouped
		}
	}
	return Phone{digits: digits}.String()
}

// countryCode is the country code that the digits begin with, or "". Country
// codes have one to three digits and none begins another.
func countryCode(digits string) string {
	code := 0
	for i := 0; i < len(digits) && i < 3; i++ {
		code = code*10 + int(digits[i]-'0')
		if phonenumbers.GetRegionCodeForCountryCode(code) != phonenumbers.UNKNOWN_REGION {
			return digits[:i+1]
		}
	}
	return ""
}

// maskDigits hides all but the last two digits, and all of a short number.
func maskDigits(digits string) string {
	const shown, bullet = 2, "•"
	if len(digits) < 3*shown {
		return strings.Repeat(bullet, len(digits))
	}
	hidden := len(digits) - shown
	return strings.Repeat(bullet, hidden) + digits[hidden:]
}
