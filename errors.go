package walink

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/walink/walink/internal/redact"
)

// Reason says why something failed. Its constants are the sentinels of this
// package: errors.Is(err, walink.ErrRateLimited) works on every error of this
// package.
type Reason string

// The reasons. Programs may switch on them; minor releases may add some.
const (
	// ErrInvalidSettings: the Settings contradict themselves or are malformed.
	ErrInvalidSettings Reason = "invalid_settings"
	// ErrInvalidPhone: the text cannot be a phone number.
	ErrInvalidPhone Reason = "invalid_phone"
	// ErrInProgress: a Link of this Linker is running.
	ErrInProgress Reason = "in_progress"
	// ErrClosed: the Linker has been closed.
	ErrClosed Reason = "closed"
	// ErrSessionBusy: another Linker or process holds the session.
	ErrSessionBusy Reason = "session_busy"
	// ErrNetwork: WhatsApp cannot be reached, or the connection broke.
	ErrNetwork Reason = "network"
	// ErrProxy: the configured proxy cannot be reached, or refuses.
	ErrProxy Reason = "proxy"
	// ErrTimeout: Settings.Timeout or the context's deadline has passed.
	ErrTimeout Reason = "timeout"
	// ErrCanceled: the context was canceled.
	ErrCanceled Reason = "canceled"
	// ErrCodeRefused: WhatsApp refused to make a pairing code (400), or the phone refused it.
	ErrCodeRefused Reason = "code_refused"
	// ErrRateLimited: too many pairing codes were asked for (429, or the local budget).
	ErrRateLimited Reason = "rate_limited"
	// ErrForbidden: WhatsApp does not let this number or client link (401, 403).
	ErrForbidden Reason = "forbidden"
	// ErrServer: WhatsApp has trouble (5xx), or answered with an unknown failure.
	ErrServer Reason = "server"
	// ErrStalled: WhatsApp or the phone stopped answering.
	ErrStalled Reason = "stalled"
	// ErrPairing: an answer of the phone or the server does not verify (HMAC, signature, malformed answer),
	// or scan after scan comes to nothing.
	ErrPairing Reason = "pairing"
	// ErrWrongAccount: another account than Settings.Phone tried to link.
	ErrWrongAccount Reason = "wrong_account"
	// ErrPasskey: the account wants a passkey and the ceremony did not succeed.
	ErrPasskey Reason = "passkey"
	// ErrClientOutdated: WhatsApp no longer accepts this client version (405).
	ErrClientOutdated Reason = "client_outdated"
	// ErrLoggedOut: the device is not, or no longer, linked.
	ErrLoggedOut Reason = "logged_out"
	// ErrNotTold: Unlink has deleted a session whose login WhatsApp refuses, so that
	// WhatsApp was not told.
	ErrNotTold Reason = "not_told"
	// ErrRemoved: the device was removed within Settings.Probation.
	ErrRemoved Reason = "removed"
	// ErrBanned: the account is banned.
	ErrBanned Reason = "banned"
	// ErrTemporarilyBanned: the account is banned for a time; RetryAfter says how long.
	ErrTemporarilyBanned Reason = "temporarily_banned"
	// ErrReplaced: another connection uses the same session.
	ErrReplaced Reason = "replaced"
	// ErrMultideviceOff: the phone has linked devices switched off.
	ErrMultideviceOff Reason = "multidevice_off"
	// ErrStore: the store failed.
	ErrStore Reason = "store"
)

// Error returns the reason in words.
func (r Reason) Error() string { return strings.ReplaceAll(string(r), "_", " ") }

// remedy returns one imperative sentence for a person.
func (r Reason) remedy() string {
	switch r {
	case ErrInvalidSettings:
		return "Correct the settings that the error names."
	case ErrInvalidPhone:
		return "Write the account's number with its country code, such as +55 11 98765-4321."
	case ErrInProgress:
		return "Wait until the running Link has ended, or cancel its context."
	case ErrClosed:
		return "Make a new Linker."
	case ErrSessionBusy:
		return "Stop the other program that uses this session, or choose another session name."
	case ErrNetwork:
		return "Check that this machine can reach web.whatsapp.com on port 443, then try again."
	case ErrProxy:
		return "Check the address and the credentials of the proxy, and that it is running."
	case ErrTimeout:
		return "Start again and enter the pairing code, or scan the QR code, while it is on the screen."
	case ErrCanceled:
		return "Start again when you are ready to link."
	case ErrCodeRefused:
		return "Check the number, including its country code, or link by QR code."
	case ErrRateLimited:
		return "Wait before asking for another pairing code, or link by QR code."
	case ErrForbidden:
		return "Check on the phone that the account may link devices, or link by QR code."
	case ErrServer:
		return "Wait a few minutes and try again: WhatsApp has trouble at the moment."
	case ErrStalled:
		return "Try again, with the phone unlocked, online and WhatsApp open."
	case ErrPairing:
		return "Try again with the new code, and update WhatsApp on the phone if it happens twice."
	case ErrWrongAccount:
		return "Use the phone that holds the expected account."
	case ErrPasskey:
		return "Answer the passkey on a page of web.whatsapp.com, or turn it off in the phone's settings, then try again."
	case ErrClientOutdated:
		return "Update walink and whatsmeow: WhatsApp no longer accepts this version."
	case ErrLoggedOut:
		return "Link the account again."
	case ErrNotTold:
		return "Look on the phone under Linked devices, and remove the device there if it is still listed."
	case ErrRemoved:
		return "Look on the phone under Linked devices why the device was removed, then link again."
	case ErrBanned:
		return "Open WhatsApp on the phone and follow what it says about the ban."
	case ErrTemporarilyBanned:
		return "Wait until the ban has ended, then link again."
	case ErrReplaced:
		return "Stop the other program that is connected with this session."
	case ErrMultideviceOff:
		return "Update WhatsApp on the phone, then scan the code again."
	case ErrStore:
		return "Check that the database can be opened and written, and that its disk is not full."
	}
	return "Try again."
}

// Error is the error type of this package.
//
// Its text is one line of at most 500 bytes, even if the cause is longer; Err has the
// whole cause. The text never holds a pairing code, a QR payload, a key or a whole phone
// number. An Error is immutable once it has left the package. The methods of a nil
// *Error may be called: Remedy returns "", and errors.Is finds nothing. The Err of a
// [Status] without a failure is such a nil.
type Error struct {
	// Reason is the kind of failure, for programs.
	Reason Reason
	// Op is the step that failed, such as "request code".
	Op string
	// RetryAfter is how long to wait before another try; zero if unknown.
	RetryAfter time.Duration
	// Err is the cause; it may be nil.
	Err error
}

// Error returns "walink: op: reason: cause".
func (e *Error) Error() string {
	if e == nil {
		return "<nil>"
	}
	parts := append(make([]string, 0, 4), "walink")
	if e.Op != "" {
		parts = append(parts, e.Op)
	}
	parts = append(parts, e.Reason.Error())
	if e.Err != nil {
		parts = append(parts, strings.TrimPrefix(e.Err.Error(), "walink: "))
	}
	return redact.Line(strings.Join(parts, ": "))
}

// Unwrap returns the Reason and the cause.
func (e *Error) Unwrap() []error {
	switch {
	case e == nil:
		return nil
	case e.Err == nil:
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Err}
}

// Remedy returns one imperative sentence for the person who has to fix the problem. If
// the cause has its own remedy, Remedy returns that one: for a timeout, the remedy of
// the failure that the timeout cut short. Remedy returns "" only for nil.
func (e *Error) Remedy() string {
	if e == nil {
		return ""
	}
	var better interface{ Remedy() string }
	if e.Err != nil && errors.As(e.Err, &better) {
		if remedy := better.Remedy(); remedy != "" {
			return remedy
		}
	}
	return e.Reason.remedy()
}

// errorJSON is the JSON form of an Error.
type errorJSON struct {
	Reason     Reason `json:"reason"`
	Op         string `json:"op,omitempty"`
	RetryAfter string `json:"retryAfter,omitempty"`
	Cause      string `json:"cause,omitempty"`
	Remedy     string `json:"remedy,omitempty"`
}

// MarshalJSON writes reason, op, retryAfter (a Go duration), the text of the
// cause as one line of at most 500 bytes, and the remedy.
func (e *Error) MarshalJSON() ([]byte, error) {
	if e == nil {
		return []byte("null"), nil
	}
	out := errorJSON{Reason: e.Reason, Op: e.Op, Remedy: e.Remedy()}
	if e.RetryAfter != 0 {
		out.RetryAfter = e.RetryAfter.String()
	}
	if e.Err != nil {
		out.Cause = redact.Line(e.Err.Error())
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads the JSON that MarshalJSON writes. The cause comes back as text:
// errors.Is finds the Reason, but none of the errors that the cause wrapped.
func (e *Error) UnmarshalJSON(data []byte) error {
	var in errorJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	out := Error{Reason: in.Reason, Op: in.Op}
	if in.RetryAfter != "" {
		d, err := time.ParseDuration(in.RetryAfter)
		if err != nil {
			return err
		}
		out.RetryAfter = d
	}
	if in.Cause != "" || in.Remedy != "" && in.Remedy != in.Reason.remedy() {
		out.Err = &remoteCause{text: in.Cause, remedy: in.Remedy}
	}
	*e = out
	return nil
}

// remoteCause is the cause of an Error that came through JSON.
type remoteCause struct{ text, remedy string }

func (c *remoteCause) Error() string  { return c.text }
func (c *remoteCause) Remedy() string { return c.remedy }
