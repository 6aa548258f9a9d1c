package walink

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.mau.fi/whatsmeow/types"
)

// input is what a machine is told. Inputs that come from a socket carry its epoch.
//
//sumtype:decl
type input interface {
	// socket returns the epoch of the socket that the input is about; 0 for none.
	socket() int
}

type (
	inStart struct{}
	// inTick: the machine's next deadline may have come.
	inTick struct{}
	// inStop: the caller's context ended, the Linker is closed, or the session's
	// lease is lost.
	inStop struct{ err *Error }
	// inDevice: the store's answer for this attempt.
	inDevice struct {
		epoch   int
		linked  bool
		account Account
		err     *Error
	}
	// inOpened: the socket is open and the handshake done.
	inOpened struct{ epoch int }
	// inRefs: the server's pair-device, as QR payloads.
	inRefs struct {
		epoch    int
		payloads []string
	}
	// inCode: the server confirmed a pairing code.
	inCode struct {
		epoch int
		code  string
	}
	inCodeFailed struct {
		epoch int
		err   *Error
	}
	// inAnswered: primary_hello, a phone has taken up the code.
	inAnswered struct{ epoch int }
	// inRefused: refresh_code, the phone did not accept the code.
	inRefused struct{ epoch int }
	// inSecret: the companion's ADV secret, as it stands in QR payloads, has changed.
	inSecret struct {
		epoch  int
		secret string
	}
	// inPasskey: the account wants a passkey. err says that whatsmeow could not
	// parse the challenge.
	inPasskey struct {
		epoch     int
		challenge json.RawMessage
		err       *Error
	}
	// inAnswer: AnswerPasskey.
	inAnswer struct {
		assertion []byte
		reply     chan<- error
	}
	// inPasskeyGiven: what Settings.Passkey has returned.
	inPasskeyGiven struct {
		epoch     int
		challenge int // its number
		assertion []byte
	}
	// inPasskeyFailed: Settings.Passkey has returned an error.
	inPasskeyFailed struct {
		epoch     int
		challenge int // its number
		err       *Error
	}
	// inPasskeySent: WhatsApp has accepted the assertion, or not.
	inPasskeySent struct {
		epoch  int
		answer int // its number
		err    *Error
	}
	// inConfirm: ConfirmPasskey.
	inConfirm struct{ reply chan<- error }
	// inConfirmed: WhatsApp has taken the confirmation, or not.
	inConfirmed struct {
		epoch int
		err   *Error
	}
	inPasskeyCode struct {
		epoch     int
		code      string
		automatic bool
	}
	// inPaired: pair-success verified, the device stored.
	inPaired struct {
		epoch   int
		account Account
	}
	// inReconnect: the server's 515.
	inReconnect struct{ epoch int }
	// inLoggedIn: the login is complete and the client usable.
	inLoggedIn struct {
		epoch   int
		account Account
	}
	// inLost: the socket ended, or must end. tries is how many times a failure
	// for this reason may be followed by another attempt: 0 is any number, -1 none.
	inLost struct {
		epoch int
		err   *Error
		tries int
	}
	// inVersion: the version request has ended.
	inVersion struct {
		epoch int
		err   error
	}
	// inDropped: the stored session has been deleted, or could not be.
	inDropped struct {
		epoch int
		err   *Error
	}
)

func (inStart) socket() int            { return 0 }
func (inTick) socket() int             { return 0 }
func (inStop) socket() int             { return 0 }
func (in inDevice) socket() int        { return in.epoch }
func (in inOpened) socket() int        { return in.epoch }
func (in inRefs) socket() int          { return in.epoch }
func (in inCode) socket() int          { return in.epoch }
func (in inCodeFailed) socket() int    { return in.epoch }
func (in inAnswered) socket() int      { return in.epoch }
func (in inRefused) socket() int       { return in.epoch }
func (in inSecret) socket() int        { return in.epoch }
func (in inPasskey) socket() int       { return in.epoch }
func (inAnswer) socket() int           { return 0 }
func (in inPasskeyGiven) socket() int  { return in.epoch }
func (in inPasskeyFailed) socket() int { return in.epoch }
func (in inPasskeySent) socket() int   { return in.epoch }
func (inConfirm) socket() int          { return 0 }
func (in inConfirmed) socket() int     { return in.epoch }
func (in inPasskeyCode) socket() int   { return in.epoch }
func (in inPaired) socket() int        { return in.epoch }
func (in inReconnect) socket() int     { return in.epoch }
func (in inLoggedIn) socket() int      { return in.epoch }
func (in inLost) socket() int          { return in.epoch }
func (in inVersion) socket() int       { return in.epoch }
func (in inDropped) socket() int       { return in.epoch }

// effect is what a machine wants done.
//
//sumtype:decl
type effect interface{ isEffect() }

type (
	// doEmit: send the event. Linked and Failed are the last effect of a machine.
	doEmit struct{ event Event }
	// doLoad: take the session's device from the store.
	doLoad struct{ epoch int }
	// doConnect: make a client for the device and open its socket.
	doConnect struct{ epoch int }
	// doRelogin: close the socket and open it again for the login, same client.
	doRelogin struct{ epoch int }
	// doRequestCode: ask the ledger, then the server, for a pairing code.
	doRequestCode struct{ epoch int }
	// doAskPasskey: let Settings.Passkey answer the challenge.
	doAskPasskey struct {
		epoch     int
		number    int // of the challenge
		challenge json.RawMessage
		expires   time.Time
	}
	// doAnswer: send the assertion, after those before it; its outcome goes to reply too,
	// if there is one and a doReply has not been faster.
	doAnswer struct {
		epoch     int
		answer    int // its number
		assertion *types.WebAuthnResponse
		reply     chan<- error
	}
	// doConfirm: send the confirmation; its outcome goes to reply too, likewise.
	doConfirm struct {
		epoch int
		reply chan<- error
	}
	// doReply: tell the caller of AnswerPasskey or ConfirmPasskey. The first word counts.
	doReply struct {
		reply chan<- error
		err   *Error
	}
	// doShut: close the socket.
	doShut struct{ epoch int }
	// doRefreshVersion: ask for the current WhatsApp Web version.
	doRefreshVersion struct{ epoch int }
	// doDrop: delete the stored session.
	doDrop struct{ epoch int }
)

func (doEmit) isEffect()           {}
func (doLoad) isEffect()           {}
func (doConnect) isEffect()        {}
func (doRelogin) isEffect()        {}
func (doRequestCode) isEffect()    {}
func (doAskPasskey) isEffect()     {}
func (doAnswer) isEffect()         {}
func (doConfirm) isEffect()        {}
func (doReply) isEffect()          {}
func (doShut) isEffect()           {}
func (doRefreshVersion) isEffect() {}
func (doDrop) isEffect()           {}

// The causes that a machine itself gives.
var (
	errNoSocket       = errors.New("no connection in time")
	errNoRefs         = errors.New("connected, but WhatsApp sent nothing to link with in time")
	errEmptyRefs      = errors.New("WhatsApp sent no refs")
	errCodeStalled    = errors.New("no answer within 30 s")
	errPairStalled    = errors.New("the phone answered, but WhatsApp did not complete the link within 60 s")
	errLoginStalled   = errors.New("WhatsApp did not complete the login in time")
	errVersionStalled = errors.New("the current version could not be fetched within 30 s")
	errStoreStalled   = errors.New("the store did not answer within 30 s")
	errNotStored      = errors.New("no session is stored under this name")
	errRefreshCode    = errors.New("the phone did not accept the code")
)

// wrongStored is the cause of an ErrWrongAccount for a session that is stored.
type wrongStored struct{ want, have Phone }

func (e *wrongStored) Error() string {
	return fmt.Sprintf("the stored session belongs to %s, and not to %s", e.have.Redacted(), e.want.Redacted())
}

// Remedy tells what to do about it.
func (e *wrongStored) Remedy() string {
	return "Unlink the stored session first, or use another session name for this number."
}
