package walink

import (
	"fmt"
	"log/slog"

	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/internal/number"
	"github.com/walink/walink/internal/redact"
)

// Phone is the number of a WhatsApp account, with its country code.
//
// A Phone is a value: two Phones with the same digits are equal under ==. The zero
// value is no number at all, which IsZero reports. A Phone keeps the digits as they
// were written, even if WhatsApp knows the number in two forms; see Alternatives and
// SameAccount.
type Phone struct {
	digits string
}

// ParsePhone reads a number as a person writes it, with its country code:
// "+55 11 98765-4321", "0055 (11) 98765.4321", "tel:+5511987654321". It understands
// spaces, punctuation, invisible marks, and the digits of every script. It
// accepts a number without a + if the number is valid with one.
//
// The error is an *Error with ErrInvalidPhone. It says what is wrong and how to fix
// it, and never holds the whole number.
func ParsePhone(s string) (Phone, error) {
	digits, fault := number.Parse(s)
	if fault != nil {
		return Phone{}, &Error{Reason: ErrInvalidPhone, Op: "parse phone", Err: fault}
	}
	return Phone{digits: digits}, nil
}

// IsZero reports whether p is no number.
func (p Phone) IsZero() bool { return p.digits == "" }

// String returns the number in E.164, such as "+5511987654321", and "" for the
// zero value. Use Redacted for a log.
func (p Phone) String() string {
	if p.IsZero() {
		return ""
	}
	return "+" + p.digits
}

// Digits returns the digits alone, as WhatsApp's JIDs write them.
func (p Phone) Digits() string { return p.digits }

// Region returns the country of the number in two letters (ISO 3166), such as
// "BR", and "" if none is known.
func (p Phone) Region() string { return number.Region(p.digits) }

// International returns the number grouped for people, "+55 11 98765-4321". The
// digits are those of the Phone.
func (p Phone) International() string { return number.International(p.digits) }

// Redacted returns the country code and the last two digits, "+55•••••••••21":
// enough to distinguish accounts in a log, too little to call one.
func (p Phone) Redacted() string { return number.Redacted(p.digits) }

// LogValue returns the redacted number, so that slog never writes a whole one.
func (p Phone) LogValue() slog.Value { return slog.StringValue(p.Redacted()) }

// SameAccount reports whether p and other belong to one WhatsApp account: they are
// equal, or the two forms of one number. The zero value belongs to no account.
func (p Phone) SameAccount(other Phone) bool { return number.SameAccount(p.digits, other.digits) }

// Alternatives returns the other forms in which WhatsApp may know the number: a
// Brazilian mobile number with or without its ninth digit, a Mexican one with or
// without the 1 after +52, an Argentine one with or without the 9 after +54. It
// returns nil for every other number.
func (p Phone) Alternatives() []Phone {
	var others []Phone
	for _, digits := range number.Alternatives(p.digits) {
		others = append(others, Phone{digits: digits})
	}
	return others
}

// MarshalText writes the number in E.164, and nothing for the zero value.
func (p Phone) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText writes: "+" and digits, or nothing. It also
// accepts numbers that ParsePhone refuses, because WhatsApp may know them. Use
// ParsePhone for a number that a person wrote. The error is an ErrInvalidPhone.
func (p *Phone) UnmarshalText(text []byte) error {
	read := Phone{digits: number.Digits(string(text))}
	if string(text) != read.String() {
		return &Error{Reason: ErrInvalidPhone, Op: "parse phone", Err: &number.Fault{
			Sentence: "the number is not in the form of E.164: a + and digits",
			Fix:      "Write a + and the digits of the number with its country code, and nothing else.",
		}}
	}
	*p = read
	return nil
}

// Account is the WhatsApp account that a device is linked to.
type Account struct {
	// JID is the companion device's JID, with its device number.
	JID types.JID `json:"jid"`
	// LID is the same device's hidden identity; empty if WhatsApp gave none.
	LID types.JID `json:"lid,omitzero"`
	// Phone is the account's number, as WhatsApp writes it.
	Phone Phone `json:"phone"`
	// BusinessName is the name of a business account, or empty.
	BusinessName string `json:"businessName,omitempty"`
	// Platform is what the phone calls itself, such as "android" or "smbi".
	Platform string `json:"platform,omitempty"`
}

// String describes the account with the number redacted, in one line.
func (a Account) String() string {
	if a.BusinessName != "" {
		return redact.Line(fmt.Sprintf("%s (%s)", a.Phone.Redacted(), a.BusinessName))
	}
	return a.Phone.Redacted()
}

// Format prints String with every verb, so that none shows the whole number.
func (a Account) Format(f fmt.State, verb rune) { format(f, verb, a.String()) }

// LogValue returns the account with the number redacted.
func (a Account) LogValue() slog.Value {
	return slog.GroupValue(slog.String("phone", a.Phone.Redacted()), slog.Int("device", int(a.JID.Device)),
		slog.String("platform", redact.Line(a.Platform)))
}
