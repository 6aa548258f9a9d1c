package machine

import "encoding/json"

// Input is something that has happened. An input that is about one attempt carries
// the epoch of the attempt.
//
//sumtype:decl
type Input interface {
	// attempt returns the epoch of the attempt that the input is about; 0 for none.
	attempt() int
}

// Device is the device of an attempt. The machine passes it from DeviceLoaded to
// Connect and does not look into it.
type Device any

// The inputs that are about the Link.
type (
	// Start begins the Link.
	Start struct{}
	// Tick says that the time of Next may have come.
	Tick struct{}
	// Stop says that the caller's context has ended, the Linker is closed, or the lease of
	// the session is lost.
	Stop struct{ Err *Failure }
	// CodeAllowed says that the ledger has counted a pairing code that is about to be
	// requested, or Err says why no code may be requested.
	CodeAllowed struct{ Err *Failure }
	// Answer says that AnswerPasskey was called. Answer is the number of the call.
	Answer struct {
		Answer    int
		Assertion []byte
	}
	// Attended says that somebody is at the phone and at the screen now.
	Attended struct{}
	// Confirm says that ConfirmPasskey was called. Answer is the number of the call.
	Confirm struct{ Answer int }
)

// The inputs from the store.
type (
	// DeviceLoaded says that the store has answered for this attempt. A linked device comes
	// only after the lease.
	DeviceLoaded struct {
		Epoch  int
		Device Device
		Linked bool
		Err    *Failure
	}
	// Leased says that the session is leased, or Err says why not.
	Leased struct {
		Epoch int
		Err   *Failure
	}
	// SessionDropped says that the stored session has been deleted, or Err says why not.
	SessionDropped struct {
		Epoch int
		Err   *Failure
	}
)

// The inputs from the connection.
type (
	// Opened says that the connection is open and the handshake is done.
	Opened struct{ Epoch int }
	// Refs are the server's pair-device, as QR payloads.
	Refs struct {
		Epoch    int
		Payloads []string
	}
	// CodeConfirmed says that the server has confirmed a pairing code.
	CodeConfirmed struct {
		Epoch int
		Code  string
	}
	// CodeFailed says that the request for a pairing code has failed.
	CodeFailed struct {
		Epoch int
		Err   *Failure
	}
	// PhoneAnswered is primary_hello: a phone has taken up the code.
	PhoneAnswered struct{ Epoch int }
	// PhoneRefused is refresh_code: the phone did not accept the code. Manual is its
	// force_manual_refresh: the person has to ask for the next code.
	PhoneRefused struct {
		Epoch  int
		Manual bool
	}
	// SecretChanged says that the companion has another ADV secret. Secret has the form
	// that it has in a QR payload. Scanned says that WhatsApp has asked for the other
	// secret, as it does when a phone has scanned the QR code and cannot link.
	SecretChanged struct {
		Epoch   int
		Secret  string
		Scanned bool
	}
	// PairSuccess says that whatsmeow has verified pair-success and stored the device.
	PairSuccess struct {
		Epoch   int
		Account Account
	}
	// RestartWanted is the server's 515.
	RestartWanted struct{ Epoch int }
	// LoggedIn says that the login is complete and the client usable.
	LoggedIn struct {
		Epoch   int
		Account Account
	}
	// Lost says that the connection has ended, or must end. Tries is how often a failure
	// for this reason may be followed by another attempt.
	Lost struct {
		Epoch int
		Err   *Failure
		Tries int
	}
	// VersionRefreshed says that the request for the current version has ended. Err says why
	// there is none: ReasonClientOutdated if another request would not cure that.
	VersionRefreshed struct {
		Epoch int
		Err   *Failure
	}
)

// The inputs of the passkey ceremony.
type (
	// PasskeyWanted says that the account wants a passkey. Err says that whatsmeow could not
	// parse the challenge.
	PasskeyWanted struct {
		Epoch     int
		Challenge json.RawMessage
		Err       *Failure
	}
	// HookAnswered says that Settings.Passkey has returned an assertion for the challenge of
	// this number.
	HookAnswered struct {
		Epoch     int
		Challenge int
		Answer    int
		Assertion []byte
	}
	// HookFailed says that Settings.Passkey has returned an error for the challenge of this
	// number.
	HookFailed struct {
		Epoch     int
		Challenge int
		Err       *Failure
	}
	// AnswerSent says that WhatsApp has accepted the assertion of this number, or Err says
	// why not.
	AnswerSent struct {
		Epoch  int
		Answer int
		Err    *Failure
	}
	// ConfirmSent says that WhatsApp has taken the confirmation, or Err says why not.
	ConfirmSent struct {
		Epoch             int
		Challenge, Answer int // of its SendConfirm
		Err               *Failure
	}
	// PasskeyCode is the code that both sides show.
	PasskeyCode struct {
		Epoch     int
		Code      string
		Automatic bool
	}
)

func (Start) attempt() int               { return 0 }
func (Tick) attempt() int                { return 0 }
func (Stop) attempt() int                { return 0 }
func (CodeAllowed) attempt() int         { return 0 }
func (Answer) attempt() int              { return 0 }
func (Attended) attempt() int            { return 0 }
func (Confirm) attempt() int             { return 0 }
func (in DeviceLoaded) attempt() int     { return in.Epoch }
func (in Leased) attempt() int           { return in.Epoch }
func (in SessionDropped) attempt() int   { return in.Epoch }
func (in Opened) attempt() int           { return in.Epoch }
func (in Refs) attempt() int             { return in.Epoch }
func (in CodeConfirmed) attempt() int    { return in.Epoch }
func (in CodeFailed) attempt() int       { return in.Epoch }
func (in PhoneAnswered) attempt() int    { return in.Epoch }
func (in PhoneRefused) attempt() int     { return in.Epoch }
func (in SecretChanged) attempt() int    { return in.Epoch }
func (in PairSuccess) attempt() int      { return in.Epoch }
func (in RestartWanted) attempt() int    { return in.Epoch }
func (in LoggedIn) attempt() int         { return in.Epoch }
func (in Lost) attempt() int             { return in.Epoch }
func (in VersionRefreshed) attempt() int { return in.Epoch }
func (in PasskeyWanted) attempt() int    { return in.Epoch }
func (in HookAnswered) attempt() int     { return in.Epoch }
func (in HookFailed) attempt() int       { return in.Epoch }
func (in AnswerSent) attempt() int       { return in.Epoch }
func (in ConfirmSent) attempt() int      { return in.Epoch }
func (in PasskeyCode) attempt() int      { return in.Epoch }

// Attempt returns the epoch of the attempt that an input is about; 0 for none.
func Attempt(in Input) int { return in.attempt() }
