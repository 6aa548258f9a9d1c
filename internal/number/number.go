// Package number knows the numbers of WhatsApp accounts. Every number is a
// string of digits with its country code, as WhatsApp's JIDs write it; "" is no
// number.
package number

import (
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"github.com/walink/walink/internal/redact"
)

// Parse reads a number as a person writes it, with its country code. It returns
// the digits that were written, or a Fault that says what is wrong with them.
func Parse(s string) (string, *Fault) {
	digits, plus, fault := scan(s)
	if fault == nil && !acceptable(digits) {
		fault = diagnose(digits, plus)
	}
	if fault != nil {
		return "", fault
	}
	return digits, nil
}

// Digits drops everything but ASCII digits. It is for numbers that come from
// WhatsApp, which knows numbers that no table knows.
func Digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// SameAccount reports whether WhatsApp has one account for a and b: they are
// equal, or the two forms of one number. It returns false if one of them is "".
func SameAccount(a, b string) bool {
	return a != "" && b != "" && (a == b || slices.Contains(Alternatives(a), b))
}

// Alternatives returns the other forms in which WhatsApp may know a number: a
// Brazilian mobile number with or without its ninth digit, a Mexican one with or
// without the 1 after 52, an Argentine one with or without the 9 after 54. It
// returns nil for every other number.
func Alternatives(digits string) []string {
	f, ok := twoForms(digits)
	switch {
	case !ok:
		return nil
	case digits == f.long:
		return []string{f.short}
	default:
		return []string{f.long}
	}
}

// Region returns the country of a number in two letters (ISO 3166), and "" if no
// country is known.
func Region(digits string) string {
	number := exact(digits)
	if number == nil {
		return ""
	}
	region := phonenumbers.GetRegionCodeForNumber(number)
	if len(region) != 2 || region == phonenumbers.UNKNOWN_REGION {
		return ""
	}
	return region
}

// International groups the digits for people, "+55 11 98765-4321", and changes
// none of them.
func International(digits string) string {
	if digits == "" {
		return ""
	}
	switch f, ok := twoForms(digits); {
	case ok && digits == f.short && f.style == styleBrazil:
		return "+55 " + digits[2:4] + " " + digits[4:8] + "-" + digits[8:]
	case ok && digits == f.long && f.style == styleMexico:
		return "+52 1" + strings.TrimPrefix(grouped(f.short), "+52")
	}
	return grouped(digits)
}

// Redacted returns the country code and the last two digits, "+55•••••••••21".
func Redacted(digits string) string {
	if digits == "" {
		return ""
	}
	code := CountryCode(digits)
	return "+" + code + redact.Digits(digits[len(code):])
}

// style says why a number has two forms.
type style int

const (
	styleBrazil    style = iota + 1 // the ninth digit
	styleMexico                     // the 1 after +52
	styleArgentina                  // the 9 after +54
)

// forms are the two forms of one account.
type forms struct {
	style       style
	long, short string
}

// twoForms returns both forms of a number that WhatsApp knows in two forms. It returns
// the same pair for either form, because one predicate decides for both.
func twoForms(d string) (forms, bool) {
	var f forms
	switch {
	case strings.HasPrefix(d, "55") && len(d) == 13 && d[4] == '9':
		f = forms{styleBrazil, d, d[:4] + d[5:]}
	case strings.HasPrefix(d, "55") && len(d) == 12:
		f = forms{styleBrazil, d[:4] + "9" + d[4:], d}
	case strings.HasPrefix(d, "521") && len(d) == 13:
		f = forms{styleMexico, d, "52" + d[3:]}
	case strings.HasPrefix(d, "52") && len(d) == 12:
		f = forms{styleMexico, "521" + d[2:], d}
	case strings.HasPrefix(d, "549") && len(d) == 13:
		f = forms{styleArgentina, d, "54" + d[3:]}
	case strings.HasPrefix(d, "54") && len(d) == 12:
		f = forms{styleArgentina, "549" + d[2:], d}
	default:
		return forms{}, false
	}
	switch f.style {
	case styleBrazil:
		// Eight digits that begin with 2 to 5 are another person's landline, because the
		// mobile numbers that got a ninth digit began with 6 to 9.
		return f, f.short[4] >= '6' && isMobile(f.long)
	case styleMexico:
		return f, isValid(f.short)
	case styleArgentina:
		return f, isMobile(f.long)
	}
	return forms{}, false
}

// acceptable reports whether the digits can be an account: a valid number, or
// the other form of one.
func acceptable(digits string) bool {
	if len(digits) < minDigits || len(digits) > maxDigits {
		return false
	}
	_, ok := twoForms(digits)
	return ok || isValid(digits)
}

// exact is the number with exactly these digits, or nil if the library reads
// them only by rewriting them (a trunk zero, for example).
func exact(digits string) *phonenumbers.PhoneNumber {
	number, err := phonenumbers.Parse("+"+digits, "")
	if err != nil || phonenumbers.Format(number, phonenumbers.E164) != "+"+digits {
		return nil
	}
	return number
}

func isValid(digits string) bool {
	number := exact(digits)
	return number != nil && phonenumbers.IsValidNumber(number)
}

func isMobile(digits string) bool {
	number := exact(digits)
	return number != nil && phonenumbers.GetNumberType(number) == phonenumbers.MOBILE
}

func grouped(digits string) string {
	if number := exact(digits); number != nil {
		text := phonenumbers.Format(number, phonenumbers.INTERNATIONAL)
		if Digits(text) == digits {
			return text
		}
	}
	return "+" + digits
}

// CountryCode returns the country code that the digits begin with, or "". Country
// codes have one to three digits, and no code begins another.
func CountryCode(digits string) string {
	code := 0
	for i := 0; i < len(digits) && i < 3; i++ {
		code = code*10 + int(digits[i]-'0')
		if phonenumbers.GetRegionCodeForCountryCode(code) != phonenumbers.UNKNOWN_REGION {
			return digits[:i+1]
		}
	}
	return ""
}
