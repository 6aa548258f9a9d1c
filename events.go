package walink

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/redact"
)

// Event is one step of a Link: [Connecting], [PairingCode], [QRCode], [Withdrawn],
// [PasskeyRequired], [PasskeyConfirmation], [Paired], [Retrying], [Linked] or
// [Failed]. Supervise also sends [Disconnected], [Reconnected] and [Standby]. Minor releases may
// add events, so keep a default case.
//
// Events are plain data and may be copied and kept. Pairing codes, QR payloads and
// challenges are secrets. An event that is printed with fmt, logged with slog, or given to
// json.Marshal, alone or inside another value, shows none of them, and masks phone
// numbers. [MarshalEvent] writes everything.
//
//sumtype:decl
type Event interface {
	// Kind names the event, as in its JSON form.
	Kind() Kind
	isEvent()
}

// Kind is the stable name of an event.
type Kind string

// The kinds, one for each event.
const (
	KindConnecting          Kind = "connecting"
	KindPairingCode         Kind = "pairing_code"
	KindQRCode              Kind = "qr_code"
	KindWithdrawn           Kind = "withdrawn"
	KindPasskeyRequired     Kind = "passkey_required"
	KindPasskeyConfirmation Kind = "passkey_confirmation"
	KindPaired              Kind = "paired"
	KindRetrying            Kind = "retrying"
	KindLinked              Kind = "linked"
	KindFailed              Kind = "failed"
	KindDisconnected        Kind = "disconnected"
	KindReconnected         Kind = "reconnected"
	KindStandby             Kind = "standby"
)

// Method is a way to link.
type Method string

// The methods.
const (
	MethodPairing Method = "pairing" // a pairing code, typed into the phone
	MethodQR      Method = "qr"      // a QR code, scanned with the phone
)

// WithdrawnReason says why a code is no longer good.
type WithdrawnReason string

// The reasons of a [Withdrawn].
const (
	// WithdrawnExpired: the code's time has passed.
	WithdrawnExpired WithdrawnReason = "expired"
	// WithdrawnRefused: the phone or WhatsApp refused the code; Err says why.
	WithdrawnRefused WithdrawnReason = "refused"
	// WithdrawnReplaced: the code has ended early, most often with its connection,
	// and another code takes its place.
	WithdrawnReplaced WithdrawnReason = "replaced"
	// WithdrawnStalled: the phone answered, and then the pairing did not go on for a
	// minute, as after a code that was mistyped.
	WithdrawnStalled WithdrawnReason = "stalled"
)

// Connecting is sent each time a socket is opened for linking or logging in.
type Connecting struct {
	// Attempt counts from 1 within one Link.
	Attempt int `json:"attempt"`
}

// PairingCode is a code that the server has confirmed. It stays good until
// Expires, or until the next event of its method, a [Withdrawn] for it,
// [PasskeyRequired], [Paired], [Linked] or [Failed].
type PairingCode struct {
	// Code is the code as the person types it, "ABCD-EFGH".
	Code string `json:"code,omitempty"`
	// Phone is the number that the code was made for, in exactly this form.
	Phone Phone `json:"phone"`
	// Number counts the pairing codes of one Link from 1.
	Number int `json:"number"`
	// Issued is when the code was asked for.
	Issued time.Time `json:"issued"`
	// Expires is when the code stops being good.
	Expires time.Time `json:"expires"`
}

// QRCode is the QR code to show now, in place of the one before. It stays good until
// Expires, the next QRCode, a [Withdrawn] for it, [PasskeyRequired], [Paired], [Linked] or
// [Failed].
type QRCode struct {
	// Payload is what the QR code holds; package qr draws it.
	Payload string `json:"payload,omitempty"`
	// Number counts the QR codes of one Link from 1.
	Number int `json:"number"`
	// Issued is when the code became the one to show.
	Issued time.Time `json:"issued"`
	// Expires is when the next QR code takes its place.
	Expires time.Time `json:"expires"`
	// Fallback says why a QR code is shown although a pairing code was wanted.
	Fallback *Error `json:"fallback,omitempty"`
}

// Withdrawn says that the code on the screen is no longer good and that no other code
// has replaced it yet, or that no code of this method can be had.
type Withdrawn struct {
	// Method is the way to link that is affected.
	Method Method `json:"method"`
	// Number is the number of the code on the screen; 0 if there was none, because the
	// request for a code has failed.
	Number int `json:"number"`
	// Reason says why the code is no longer good.
	Reason WithdrawnReason `json:"reason"`
	// Err is the failure that ended the code; nil if there was none.
	Err *Error `json:"error,omitempty"`
	// Alternatives are the other forms of the number under which WhatsApp may know
	// the account. walink never tries one by itself.
	Alternatives []Phone `json:"alternatives,omitempty"`
}

// PasskeyRequired says that the account wants a passkey before it links a device. The
// codes on the screen are no longer good; walink holds the connection.
type PasskeyRequired struct {
	// Challenge is the WebAuthn request as the server sent it.
	Challenge json.RawMessage `json:"challenge,omitempty"`
	// Expires is when the challenge is no longer accepted.
	Expires time.Time `json:"expires"`
	// HandoffExpires is the time until which an answer proves that the person at the
	// phone and the person here are the same.
	HandoffExpires time.Time `json:"handoffExpires"`
	// Err is set if the challenge cannot be parsed.
	Err *Error `json:"error,omitempty"`
}

// PasskeyConfirmation carries the code that the phone shows too.
type PasskeyConfirmation struct {
	// Code must be the same as the code on the phone.
	Code string `json:"code,omitempty"`
	// Automatic says that walink confirms by itself, without a comparison.
	Automatic bool `json:"automatic"`
}

// Paired says that the phone has accepted this device, and that the device is stored.
// The login follows.
type Paired struct {
	Account Account `json:"account"`
}

// Retrying says that something failed, and that a new attempt follows.
type Retrying struct {
	// Attempt is the number of the attempt that follows.
	Attempt int `json:"attempt"`
	// Err is what failed.
	Err *Error `json:"error"`
	// At is when the attempt starts.
	At time.Time `json:"at"`
}

// Linked ends a Link: the device is logged in and Linker.Client is connected.
type Linked struct {
	Account Account `json:"account"`
	// Resumed says that the session was stored already, so that no code was needed.
	Resumed bool `json:"resumed"`
}

// Disconnected says, during Supervise, that a linked session has lost its
// connection. [Reconnected], or [Connecting] of a new Link, follows by itself.
type Disconnected struct {
	Err *Error `json:"error"`
}

// Reconnected says, during Supervise, that the connection is back. The client
// is the same.
type Reconnected struct {
	Account Account `json:"account"`
}

// Standby says, during Supervise, that another program has the session. It is sent
// once; [Connecting] follows when the session is free.
type Standby struct {
	// Holder is what the lease says of the program that has the session.
	Holder string `json:"holder,omitempty"`
	// Err is the [ErrSessionBusy] of the Link that found the session taken.
	Err *Error `json:"error"`
}

// Failed ends a Link that did not succeed, and a Supervise.
type Failed struct {
	Err *Error `json:"error"`
	// Stopped says that the program itself wanted the end, so that nothing is wrong: it
	// called Close or canceled the context, or the context of a Supervise has ended.
	Stopped bool `json:"stopped,omitempty"`
}

// Kind returns [KindConnecting].
func (Connecting) Kind() Kind { return KindConnecting }

// Kind returns [KindPairingCode].
func (PairingCode) Kind() Kind { return KindPairingCode }

// Kind returns [KindQRCode].
func (QRCode) Kind() Kind { return KindQRCode }

// Kind returns [KindWithdrawn].
func (Withdrawn) Kind() Kind { return KindWithdrawn }

// Kind returns [KindPasskeyRequired].
func (PasskeyRequired) Kind() Kind { return KindPasskeyRequired }

// Kind returns [KindPasskeyConfirmation].
func (PasskeyConfirmation) Kind() Kind { return KindPasskeyConfirmation }

// Kind returns [KindPaired].
func (Paired) Kind() Kind { return KindPaired }

// Kind returns [KindRetrying].
func (Retrying) Kind() Kind { return KindRetrying }

// Kind returns [KindLinked].
func (Linked) Kind() Kind { return KindLinked }

// Kind returns [KindFailed].
func (Failed) Kind() Kind { return KindFailed }

// Kind returns [KindDisconnected].
func (Disconnected) Kind() Kind { return KindDisconnected }

// Kind returns [KindReconnected].
func (Reconnected) Kind() Kind { return KindReconnected }

// Kind returns [KindStandby].
func (Standby) Kind() Kind { return KindStandby }

func (Connecting) isEvent()          {}
func (PairingCode) isEvent()         {}
func (QRCode) isEvent()              {}
func (Withdrawn) isEvent()           {}
func (PasskeyRequired) isEvent()     {}
func (PasskeyConfirmation) isEvent() {}
func (Paired) isEvent()              {}
func (Retrying) isEvent()            {}
func (Linked) isEvent()              {}
func (Failed) isEvent()              {}
func (Disconnected) isEvent()        {}
func (Reconnected) isEvent()         {}
func (Standby) isEvent()             {}

// The sentences of the events, without their secrets.

func (e Connecting) String() string          { return sentence(e) }
func (e PairingCode) String() string         { return sentence(e) }
func (e QRCode) String() string              { return sentence(e) }
func (e Withdrawn) String() string           { return sentence(e) }
func (e PasskeyRequired) String() string     { return sentence(e) }
func (e PasskeyConfirmation) String() string { return sentence(e) }
func (e Paired) String() string              { return sentence(e) }
func (e Retrying) String() string            { return sentence(e) }
func (e Linked) String() string              { return sentence(e) }
func (e Failed) String() string              { return sentence(e) }
func (e Disconnected) String() string        { return sentence(e) }
func (e Reconnected) String() string         { return sentence(e) }
func (e Standby) String() string             { return sentence(e) }

// Format prints String with every verb, so that none shows a secret.
func (e PairingCode) Format(f fmt.State, verb rune) { format(f, verb, e.String()) }

// Format prints String with every verb, so that none shows a secret.
func (e QRCode) Format(f fmt.State, verb rune) { format(f, verb, e.String()) }

// Format prints String with every verb, so that none shows a secret.
func (e PasskeyConfirmation) Format(f fmt.State, verb rune) { format(f, verb, e.String()) }

// Format prints String with every verb, so that none shows a secret.
func (e PasskeyRequired) Format(f fmt.State, verb rune) { format(f, verb, e.String()) }

// Format prints String with every verb, so that none shows a whole number.
func (e Withdrawn) Format(f fmt.State, verb rune) { format(f, verb, e.String()) }

// format prints text, which is what a value shows of itself, with the verb and the flags of f.
func format(f fmt.State, verb rune, text string) {
	if verb == 'v' {
		verb = 's' // %#v would quote the text
	}
	_, _ = fmt.Fprintf(f, strings.ReplaceAll(fmt.FormatString(f, verb), "#", ""), text)
}

// sentence describes an event in one sentence, or two, without its secrets and without
// what a terminal would obey.
func sentence(event Event) string { return redact.Line(words(event)) }

func words(event Event) string {
	switch e := event.(type) {
	case Connecting:
		return fmt.Sprintf("Attempt %d connects to WhatsApp.", e.Attempt)
	case PairingCode:
		return fmt.Sprintf("Pairing code %d for %s is good until %s.", e.Number, e.Phone.Redacted(), e.Expires.Format(time.TimeOnly))
	case QRCode:
		text := fmt.Sprintf("QR code %d is good until %s.", e.Number, e.Expires.Format(time.TimeOnly))
		if e.Fallback != nil {
			text += " No pairing code has come" + because(e.Fallback)
		}
		return text
	case Withdrawn:
		name := "pairing code"
		if e.Method == MethodQR {
			name = "QR code"
		}
		if e.Number == 0 {
			return fmt.Sprintf("No %s can be had (%s)%s", name, e.Reason, because(e.Err))
		}
		return fmt.Sprintf("The %s %d is no longer good (%s)%s", name, e.Number, e.Reason, because(e.Err))
	case PasskeyRequired:
		return "The account wants its passkey until " + e.Expires.Format(time.TimeOnly) + because(e.Err)
	case PasskeyConfirmation:
		if e.Automatic {
			return "The passkey is accepted, and walink confirms by itself."
		}
		return "The passkey is accepted, and the person has to compare the codes."
	case Paired:
		return fmt.Sprintf("The phone of %v has accepted.", e.Account)
	case Retrying:
		return fmt.Sprintf("Attempt %d starts at %s%s", e.Attempt, e.At.Format(time.TimeOnly), because(e.Err))
	case Linked:
		if e.Resumed {
			return fmt.Sprintf("The stored session of %v is logged in.", e.Account)
		}
		return fmt.Sprintf("The account %v is linked.", e.Account)
	case Failed:
		if e.Stopped {
			return "The program has ended the Link" + because(e.Err)
		}
		if e.Err != nil && (e.Err.Reason == ErrLoggedOut || e.Err.Reason == ErrReplaced) && !errors.Is(e.Err, machine.ErrNotStored) {
			return "The session has ended" + because(e.Err)
		}
		return "The Link has failed" + because(e.Err)
	case Disconnected:
		return "The session is offline" + because(e.Err)
	case Reconnected:
		return fmt.Sprintf("The session of %v is online again.", e.Account)
	case Standby:
		if e.Holder != "" {
			return fmt.Sprintf("Another program has the session: %s.", e.Holder)
		}
		return "Another program has the session" + because(e.Err)
	}
	return ""
}

// because ends a sentence with its reason, if there is one.
func because(err *Error) string {
	if err == nil {
		return "."
	}
	return ": " + strings.TrimSuffix(strings.TrimPrefix(err.Error(), "walink: "), ".") + "."
}
