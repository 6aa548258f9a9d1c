package number

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"

	"github.com/walink/walink/internal/redact"
)

// Bounds of a number with its country code: whatsmeow refuses fewer than seven
// digits (ErrPhoneNumberTooShort), and E.164 allows at most fifteen. Few national
// numbers are longer than eleven digits, so a longer number without a + most likely
// begins with a country code.
const (
	minDigits         = 7
	maxDigits         = 15
	maxNationalDigits = 11
	maxInput          = 256
)

const (
	remedyCountryCode = "Put a + and the country code in front, such as +55 for Brazil."
	remedyWhole       = "Write one whole number with its country code, such as +55 for Brazil."
)

// scan takes the digits out of a text that a person wrote. plus says that a + or 00
// was in front of them, so that they begin with a country code.
func scan(s string) (digits string, plus bool, fault *Fault) {
	if len(s) > maxInput {
		return "", false, newFault(remedyWhole, "the text is too long to be a phone number")
	}
	s = strings.TrimSpace(s)
	for _, scheme := range []string{"tel:", "whatsapp:"} {
		if len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
			s = s[len(scheme):]
		}
	}
	if s == "" {
		return "", false, newFault(remedyWhole, "the number is empty")
	}
	if strings.Contains(s, "@") {
		return "", false, newFault("Write the number itself, without the @ and what follows it.",
			"the text is an address with an @, not a phone number")
	}
	var b strings.Builder
	for _, r := range s {
		if d, ok := decimalDigit(r); ok {
			b.WriteByte(d)
			continue
		}
		switch {
		case r == '+' || r == '＋' || r == '﹢':
			if plus || b.Len() > 0 {
				return "", false, newFault(remedyWhole, "the text has a + in the wrong place, or more than one number")
			}
			plus = true
		case isPunctuation(r):
		case r == 'o' || r == 'O':
			return "", false, newFault("Write the digit 0 where the letter O is.", "the number has the letter %q in it", r)
		case unicode.IsLetter(r):
			return "", false, newFault("Write the number in digits only, without an extension.", "the number has the letter %q in it", r)
		case r == utf8.RuneError:
			return "", false, newFault(remedyWhole, "the number has bytes in it that are not text")
		case !unicode.IsPrint(r):
			return "", false, newFault(remedyWhole, "the number has a character in it that cannot be shown")
		default:
			return "", false, newFault("Remove the character that does not belong to a phone number.",
				"the number has the character %q in it", r)
		}
	}
	digits = b.String()
	if rest, ok := strings.CutPrefix(digits, "00"); ok && !plus {
		digits, plus = rest, true
	}
	if digits == "" {
		return "", false, newFault(remedyWhole, "the number has no digits")
	}
	return digits, plus, nil
}

// diagnose says why the digits cannot be an account's number.
func diagnose(digits string, plus bool) *Fault {
	code := CountryCode(digits)
	switch {
	case plus && strings.HasPrefix(digits, "00"):
		return newFault("Remove the 00 after the +.", "the number has both a + and 00 in front of its country code")
	case plus && digits[0] == '0':
		return newFault("Put the country code in place of the 0, such as +49 for Germany.",
			"the number has a 0 where its country code should be")
	case digits[0] == '0':
		return newFault("Put a + and the country code in place of the leading 0, such as +49 for Germany.",
			"the number has no country code: it begins with a 0, as it is dialled inside its country")
	case len(digits) < minDigits:
		return newFault(remedyWhole, "the number is too short: it has %d digits, and with a country code it has at least %d",
			len(digits), minDigits)
	case code == "" && plus:
		return newFault("Check the country code after the +, such as +55 for Brazil.", "+%s is not a country code", digits[:3])
	case !plus && (code == "" || len(digits) <= maxNationalDigits):
		return newFault(remedyCountryCode, "the number has no country code, and is no valid number with a + in front")
	}
	if fault := diagnosePrefix(code, digits); fault != nil {
		return fault
	}
	number, err := phonenumbers.Parse("+"+digits, "")
	if len(digits) > maxDigits || err != nil {
		return newFault(remedyWhole, "the number is too long: it has %d digits, and with a country code it has at most %d",
			len(digits), maxDigits)
	}
	place, remedy := describeCountry(code)
	length := len(digits) - len(code)
	if code == "55" && (length == 8 || length == 9) {
		return newFault("Put the area code after +55, such as 11 for São Paulo.", "the number has no area code")
	}
	switch phonenumbers.IsPossibleNumberWithReason(number) {
	case phonenumbers.TOO_SHORT:
		return newFault(remedy, "the number is too short for %s: %d digits follow the country code", place, length)
	case phonenumbers.TOO_LONG:
		return newFault(remedy, "the number is too long for %s: %d digits follow the country code", place, length)
	case phonenumbers.IS_POSSIBLE_LOCAL_ONLY:
		return newFault("Put the area code between the country code and the number.",
			"the number has no area code, or is too short for %s", place)
	case phonenumbers.INVALID_LENGTH:
		return newFault(remedy, "the number is too long or too short for %s: %d digits follow the country code", place, length)
	default:
	}
	return newFault(remedy, "the number is impossible for %s: no number there begins like that", place)
}

// diagnosePrefix finds a prefix that is dialled only inside a country, such as the 0 in
// +49 (0)170, if the number is valid without that prefix.
func diagnosePrefix(code, digits string) *Fault {
	national := digits[len(code):]
	for i := 1; i <= 3 && i < len(national) && national[0] == '0'; i++ {
		if code == "52" && national[i] == '1' {
			continue // both digits of the old 01 must go: without the 0 alone it would be the form 521
		}
		if acceptable(code + national[i:]) {
			return newFault("Remove the "+national[:i]+" after +"+code+".",
				"the %s after the country code is dialled only inside the country", national[:i])
		}
	}
	number, err := phonenumbers.Parse("+"+digits, "")
	if err != nil {
		return nil //nolint:nilerr // it is no number, which the caller reports
	}
	read := phonenumbers.Format(number, phonenumbers.E164)[1:]
	if read == digits || !strings.HasPrefix(read, code) || !acceptable(read) {
		return nil
	}
	const sentence = "the number has a prefix in it that is dialled only inside the country"
	prefix, ok := strings.CutSuffix(national, read[len(code):])
	switch {
	case ok && len(prefix) <= 3:
		return newFault("Remove the "+prefix+" after +"+code+".", sentence)
	case code == "54":
		return newFault("Put a 9 after +54 and remove the 15 in front of the subscriber's number.", sentence)
	}
	return newFault("Write the number as it is dialled from another country.", sentence)
}

// describeCountry names the country of a code for an error, and says how long its
// mobile numbers are. No error holds an example, which would look like a person's number.
func describeCountry(code string) (place, remedy string) {
	number, _ := strconv.Atoi(code)
	regions := phonenumbers.GetRegionCodesForCountryCode(number)
	place, remedy = "+"+code, remedyWhole
	if len(regions) == 0 {
		return place, remedy
	}
	if len(regions) == 1 && len(regions[0]) == 2 {
		place += " (" + regions[0] + ")"
	}
	if example := phonenumbers.GetExampleNumberForType(regions[0], phonenumbers.MOBILE); example != nil {
		remedy = fmt.Sprintf("Check the digits after +%s: a mobile number there has %d.", code,
			len(phonenumbers.GetNationalSignificantNumber(example)))
	}
	return place, remedy
}

// RedactedInput returns the part of a person's input that an error may show.
func RedactedInput(s string) string {
	digits, plus, fault := scan(s)
	switch {
	case strings.TrimSpace(s) == "":
		return s
	case fault != nil || len(digits) > maxDigits:
		return "•••"
	case plus:
		return Redacted(digits)
	}
	return redact.Digits(digits)
}

// Fault says why a text is no phone number. Neither of its texts holds the number.
type Fault struct{ Sentence, Fix string }

// Error returns the sentence.
func (f *Fault) Error() string { return f.Sentence }

// Remedy says how to fix the number, in one sentence for a person.
func (f *Fault) Remedy() string { return f.Fix }

func newFault(fix, format string, args ...any) *Fault {
	return &Fault{Sentence: fmt.Sprintf(format, args...), Fix: fix}
}

// isPunctuation reports whether people write r between the digits of a number.
// Format characters (Cf) come along with numbers that are copied from a chat.
func isPunctuation(r rune) bool {
	return unicode.IsSpace(r) || unicode.In(r, unicode.Pd, unicode.Ps, unicode.Pe, unicode.Cf) ||
		strings.ContainsRune("./·−~．／～", r)
}

// decimalDigit is the value of a digit of any script. Unicode keeps its decimal
// digits in runs whose lengths are multiples of ten, each beginning with a zero.
func decimalDigit(r rune) (byte, bool) {
	if !unicode.IsDigit(r) {
		return 0, false
	}
	var v rune
	for unicode.IsDigit(r - v - 1) {
		v++
	}
	return "0123456789"[v%10], true
}
