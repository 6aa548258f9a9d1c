package walink

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"go.mau.fi/whatsmeow/types"
)

// Event is one step of a Link: [Connecting], [PairingCode], [QRCode], [Withdrawn],
// [PasskeyRequired], [PasskeyConfirmation], [Paired], [Retrying], [Linked] or
// [Failed]. Supervise also sends [Disconnected], [Reconnected] and [Standby]. Minor releases may
// add events, so keep a default case.
//
// Events are plain data and may be copied and kept. Pairing codes and QR
// payloads are secrets: String and LogValue redact them, and JSON carries them.
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
	// WithdrawnStalled: the phone answered, and then the pairing did not go on.
	WithdrawnStalled WithdrawnReason = "stalled"
)

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
	Code string `json:"code"`
	// Phone is the number that the code was made for, in exactly this form.
	Phone Phone `json:"phone"`
	// Number counts the pairing codes of one Link from 1.
	Number int `json:"number"`
	// Issued is when the code was asked for.
	Issued time.Time `json:"issued"`
	// Expires is when the code stops being good.
	Expires time.Time `json:"expires"`
}

// QRCode is the QR code to show now, in place of the one before.
type QRCode struct {
	// Payload is what the QR code holds; package qr draws it.
	Payload string `json:"payload"`
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
	Challenge json.RawMessage `json:"challenge"`
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
	Code string `json:"code"`
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

// Failed ends a Link that did not succeed.
type Failed struct {
	Err *Error `json:"error"`
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

const redacted = "[redacted]"

// String describes the event without the code.
func (e PairingCode) String() string {
	return fmt.Sprintf("pairing code %d for %s, good until %s", e.Number, e.Phone.Redacted(), e.Expires.Format(time.TimeOnly))
}

// GoString is String, so that %#v does not show the code either.
func (e PairingCode) GoString() string { return e.String() }

// LogValue returns the event without the code.
func (e PairingCode) LogValue() slog.Value {
	return slog.GroupValue(slog.String("code", redacted), slog.String("phone", e.Phone.Redacted()),
		slog.Int("number", e.Number), slog.Time("issued", e.Issued), slog.Time("expires", e.Expires))
}

// String describes the event without the payload.
func (e QRCode) String() string {
	return fmt.Sprintf("QR code %d, good until %s", e.Number, e.Expires.Format(time.TimeOnly))
}

// GoString is String, so that %#v does not show the payload either.
func (e QRCode) GoString() string { return e.String() }

// LogValue returns the event without the payload.
func (e QRCode) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("payload", redacted), slog.Int("number", e.Number),
		slog.Time("issued", e.Issued), slog.Time("expires", e.Expires),
	}
	if e.Fallback != nil {
		attrs = append(attrs, slog.String("fallback", e.Fallback.Error()))
	}
	return slog.GroupValue(attrs...)
}

// String describes the event without the code.
func (e PasskeyConfirmation) String() string {
	return fmt.Sprintf("passkey confirmation, automatic %t", e.Automatic)
}

// GoString is String, so that %#v does not show the code either.
func (e PasskeyConfirmation) GoString() string { return e.String() }

// LogValue returns the event without the code.
func (e PasskeyConfirmation) LogValue() slog.Value {
	return slog.GroupValue(slog.String("code", redacted), slog.Bool("automatic", e.Automatic))
}

// String describes the event without the challenge.
func (e PasskeyRequired) String() string {
	return "passkey required until " + e.Expires.Format(time.TimeOnly)
}

// GoString is String, so that %#v does not show the challenge either.
func (e PasskeyRequired) GoString() string { return e.String() }

// LogValue returns the event without the challenge.
func (e PasskeyRequired) LogValue() slog.Value {
	return slog.GroupValue(slog.String("challenge", redacted),
		slog.Time("expires", e.Expires), slog.Time("handoffExpires", e.HandoffExpires))
}

// String describes the event with the numbers redacted.
func (e Withdrawn) String() string {
	out := fmt.Sprintf("%s code %d %s", e.Method, e.Number, e.Reason)
	if e.Err != nil {
		out += ": " + e.Err.Error()
	}
	return out
}

// GoString is String, so that %#v does not show the numbers either.
func (e Withdrawn) GoString() string { return e.String() }

// LogValue returns the event with the numbers redacted.
func (e Withdrawn) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("method", string(e.Method)), slog.Int("number", e.Number), slog.String("reason", string(e.Reason)),
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("error", text(e.Err)))
	}
	return slog.GroupValue(append(attrs, slog.Int("alternatives", len(e.Alternatives)))...)
}

// LogValue returns the event with the number redacted.
func (e Paired) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("account", e.Account))
}

// LogValue returns the event with the number redacted.
func (e Linked) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("account", e.Account), slog.Bool("resumed", e.Resumed))
}

// LogValue returns the event with the error as text.
func (e Retrying) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("attempt", e.Attempt), slog.String("error", text(e.Err)), slog.Time("at", e.At))
}

// LogValue returns the event with the error as text.
func (e Failed) LogValue() slog.Value {
	return slog.GroupValue(slog.String("error", text(e.Err)))
}

// String describes the account with the number redacted.
func (a Account) String() string {
	if a.BusinessName != "" {
		return fmt.Sprintf("%s (%s)", a.Phone.Redacted(), a.BusinessName)
	}
	return a.Phone.Redacted()
}

// GoString is String, so that %#v does not show the number either.
func (a Account) GoString() string { return a.String() }

// LogValue returns the account with the number redacted.
func (a Account) LogValue() slog.Value {
	return slog.GroupValue(slog.String("phone", a.Phone.Redacted()), slog.Int("device", int(a.JID.Device)),
		slog.String("platform", a.Platform))
}

// LogValue returns the event with the error as text.
func (e Disconnected) LogValue() slog.Value {
	return slog.GroupValue(slog.String("error", text(e.Err)))
}

// LogValue returns the event with the number redacted.
func (e Reconnected) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("account", e.Account))
}

// LogValue returns the event with the error as text.
func (e Standby) LogValue() slog.Value {
	return slog.GroupValue(slog.String("holder", e.Holder), slog.String("error", text(e.Err)))
}

func text(err *Error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
