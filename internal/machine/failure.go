package machine

import (
	"errors"
	"time"

	"go.mau.fi/whatsmeow/types"
)

// Reason says what kind of failure a Failure is. The values are those of
// walink.Reason, which documents them.
type Reason string

// The reasons that a Link can meet.
const (
	ReasonClosed            Reason = "closed"
	ReasonSessionBusy       Reason = "session_busy"
	ReasonNetwork           Reason = "network"
	ReasonProxy             Reason = "proxy"
	ReasonTimeout           Reason = "timeout"
	ReasonCanceled          Reason = "canceled"
	ReasonCodeRefused       Reason = "code_refused"
	ReasonRateLimited       Reason = "rate_limited"
	ReasonForbidden         Reason = "forbidden"
	ReasonServer            Reason = "server"
	ReasonStalled           Reason = "stalled"
	ReasonPairing           Reason = "pairing"
	ReasonWrongAccount      Reason = "wrong_account"
	ReasonPasskey           Reason = "passkey"
	ReasonClientOutdated    Reason = "client_outdated"
	ReasonLoggedOut         Reason = "logged_out"
	ReasonRemoved           Reason = "removed"
	ReasonBanned            Reason = "banned"
	ReasonTemporarilyBanned Reason = "temporarily_banned"
	ReasonReplaced          Reason = "replaced"
	ReasonMultideviceOff    Reason = "multidevice_off"
	ReasonStore             Reason = "store"
)

// Failure is the machine's form of a walink.Error. It never changes once it has been
// handed over.
type Failure struct {
	Reason     Reason
	Op         string        // what was being done, such as "request code"
	RetryAfter time.Duration // zero if unknown
	Err        error         // the cause; may be nil
	Last       *Failure      // the failure that this one has cut short; nil if there is none
}

// opEnterCode is the Op of a failure after a person has entered a code.
const opEnterCode = "enter code"

// OpVersion is the Op of a failed version request.
const OpVersion = "fetch version"

// versionStalled is the failure of a version request without an answer. proxy is the
// proxy through which everything goes, or "".
func versionStalled(proxy string) *Failure {
	if proxy != "" {
		return &Failure{Reason: ReasonProxy, Op: OpVersion, Err: errors.New(proxy + ": " + errVersionStalled.Error())}
	}
	return &Failure{Reason: ReasonNetwork, Op: OpVersion, Err: errVersionStalled}
}

// Account is the account that a device is linked to.
type Account struct {
	JID, LID     types.JID
	BusinessName string
	Platform     string
}

// The causes that a Machine itself gives.
var (
	// ErrNotStored says that no session is stored, and none may be linked.
	ErrNotStored = errors.New("no session is stored under this name")
	// ErrStoreStalled says that the store took longer than it may.
	ErrStoreStalled = errors.New("the store did not answer within 30 s")
	// ErrEmptyRefs says that pair-device brought nothing to link with.
	ErrEmptyRefs = errors.New("WhatsApp sent no refs")

	errNoSocket       = errors.New("no connection in time")
	errNoRefs         = errors.New("connected, but WhatsApp sent nothing to link with in time")
	errCodeSlow       = errors.New("no answer within 5 s")
	errCodeStalled    = errors.New("no answer within 30 s")
	errPairStalled    = errors.New("the phone answered, but WhatsApp did not complete the link within 60 s")
	errLoginStalled   = errors.New("WhatsApp did not complete the login in time")
	errVersionStalled = errors.New("the current version could not be fetched within 30 s")
	errUntaken        = errors.New("nobody took a code")
	errScans          = errors.New("WhatsApp did not accept three scans of the QR code in a row")
	errManualRefresh  = errors.New("the phone did not accept the code, and WhatsApp wants the person to ask for the next one")
	errRefreshCode    = errors.New("the phone did not accept the code")
)
