package machine

import (
	"encoding/json"
	"time"

	"go.mau.fi/whatsmeow/types"
)

// Effect is a call that a Machine wants made.
//
//sumtype:decl
type Effect interface{ isEffect() }

type (
	// Tell sends the event of the fact. A Linked or Failed is the last fact of a machine.
	Tell struct{ Fact Fact }
	// Load leases the session and takes its device from the store.
	Load struct{ Epoch int }
	// Connect makes a client for the device and opens its connection.
	Connect struct {
		Epoch  int
		Device Device
		Resume bool // the session was stored before the Link
	}
	// Relogin closes the connection and opens it again for the login, with the same
	// client.
	Relogin struct{ Epoch int }
	// AllowCode counts a pairing code in the ledger, before the code is requested. A code
	// that is requested while nobody is there must be allowed, and does not count: the
	// person who comes back has the whole budget.
	AllowCode struct{ Alone bool }
	// RequestCode asks the server for a pairing code. A refusal that comes while nobody is
	// there is not recorded.
	RequestCode struct {
		Epoch int
		Alone bool
	}
	// AskHook lets Settings.Passkey answer the challenge of this number.
	AskHook struct {
		Epoch     int
		Number    int
		Challenge json.RawMessage
		Expires   time.Time
	}
	// SendAnswer sends the assertion, after the assertions before it.
	SendAnswer struct {
		Epoch     int
		Answer    int
		Assertion *types.WebAuthnResponse
	}
	// SendConfirm sends the confirmation. Challenge is the number of the challenge, and
	// Answer that of the call; 0 if the confirmation is automatic.
	SendConfirm struct{ Epoch, Challenge, Answer int }
	// Reply is the result of the call of AnswerPasskey or ConfirmPasskey with this
	// number. Each call gets exactly one Reply.
	Reply struct {
		Answer int
		Err    *Failure
	}
	// Shut closes the connection.
	Shut struct{ Epoch int }
	// RefreshVersion asks for the current WhatsApp Web version.
	RefreshVersion struct{ Epoch int }
	// DropSession deletes the stored session.
	DropSession struct{ Epoch int }
)

func (Tell) isEffect()           {}
func (Load) isEffect()           {}
func (Connect) isEffect()        {}
func (Relogin) isEffect()        {}
func (AllowCode) isEffect()      {}
func (RequestCode) isEffect()    {}
func (AskHook) isEffect()        {}
func (SendAnswer) isEffect()     {}
func (SendConfirm) isEffect()    {}
func (Reply) isEffect()          {}
func (Shut) isEffect()           {}
func (RefreshVersion) isEffect() {}
func (DropSession) isEffect()    {}

// Fact is something that a person or program has to know. Each Fact is the event of
// the same name in package walink, without the parts that only that package knows.
//
//sumtype:decl
type Fact interface{ isFact() }

// Method is the way of linking that a code belongs to.
type Method string

// The methods, with the values of walink.Method.
const (
	MethodPairing Method = "pairing"
	MethodQR      Method = "qr"
)

// Why says why a code is no longer good.
type Why string

// The reasons, with the values of walink.WithdrawnReason.
const (
	Expired  Why = "expired"
	Refused  Why = "refused"
	Replaced Why = "replaced"
	Stalled  Why = "stalled"
)

type (
	// Connecting is the fact of walink.Connecting.
	Connecting struct{ Attempt int }
	// PairingCode is the fact of walink.PairingCode.
	PairingCode struct {
		Code            string
		Number          int
		Issued, Expires time.Time
	}
	// QRCode is the fact of walink.QRCode.
	QRCode struct {
		Payload         string
		Number          int
		Issued, Expires time.Time
		Fallback        *Failure
	}
	// Withdrawn is the fact of walink.Withdrawn.
	Withdrawn struct {
		Method Method
		Number int
		Reason Why
		Err    *Failure
	}
	// PasskeyRequired is the fact of walink.PasskeyRequired.
	PasskeyRequired struct {
		Challenge               json.RawMessage
		Expires, HandoffExpires time.Time
		Err                     *Failure
	}
	// PasskeyConfirmation is the fact of walink.PasskeyConfirmation.
	PasskeyConfirmation struct {
		Code      string
		Automatic bool
	}
	// Paired is the fact of walink.Paired.
	Paired struct{ Account Account }
	// Retrying is the fact of walink.Retrying.
	Retrying struct {
		Attempt int
		Err     *Failure
		At      time.Time
	}
	// Linked is the fact of walink.Linked.
	Linked struct {
		Account Account
		Resumed bool
	}
	// Failed is the fact of walink.Failed.
	Failed struct{ Err *Failure }
)

func (Connecting) isFact()          {}
func (PairingCode) isFact()         {}
func (QRCode) isFact()              {}
func (Withdrawn) isFact()           {}
func (PasskeyRequired) isFact()     {}
func (PasskeyConfirmation) isFact() {}
func (Paired) isFact()              {}
func (Retrying) isFact()            {}
func (Linked) isFact()              {}
func (Failed) isFact()              {}
