package walink

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/walink/walink/internal/advice"
	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/process"
	"github.com/walink/walink/internal/redact"
	"github.com/walink/walink/store"
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
	// ErrForbidden: WhatsApp does not let this number or client link (401, 403, 452).
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

	at advice.Situation // when it failed; Remedy depends on it
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
		if cause := strings.TrimPrefix(e.Err.Error(), "walink: "); cause != "" { // a cause from JSON may have a remedy alone
			parts = append(parts, cause)
		}
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

// Remedy returns one imperative sentence for the person who has to fix the problem. It
// depends on the Reason, the step, and what was on the screen. If the cause has its own
// remedy, Remedy returns that one: for a timeout, the remedy of the failure that the
// timeout cut short. Remedy returns "" only for nil.
func (e *Error) Remedy() string {
	if e == nil {
		return ""
	}
	var better interface{ Remedy() string }
	if e.Reason != ErrNotTold && e.Err != nil && errors.As(e.Err, &better) {
		if remedy := better.Remedy(); remedy != "" {
			return remedy
		}
	}
	return e.advice().Text
}

// advice returns what the table of remedies has for the error.
func (e *Error) advice() advice.Row {
	at := e.at
	busy, ok := errors.AsType[*store.BusyError](e.Err)
	if ok && (strings.HasPrefix(busy.Lease.HolderID, process.ID()) || busy.Lease.Holder == process.Name()) { // or it was started again
		at = advice.AtThisProgram
	}
	return advice.For(machine.Reason(e.Reason), e.Op, at, e.RetryAfter)
}

// publish returns the error as [Publish] shows it.
func (e *Error) publish() *Error {
	if e == nil {
		return nil
	}
	if cause, ok := e.Err.(*remoteCause); ok && cause.text == "" { //nolint:errorlint // it is the cause itself: e was published before
		return e
	}
	out := &Error{Reason: e.Reason, Op: e.Op, RetryAfter: e.RetryAfter}
	if remedy := e.personal(); remedy != out.Remedy() {
		out.Err = &remoteCause{remedy: remedy}
	}
	return out
}

// personal returns the remedy for the person at the phone.
func (e *Error) personal() string {
	if inner, ok := errors.AsType[*Error](e.Err); ok && inner != nil && e.Reason != ErrNotTold {
		return inner.personal()
	}
	if own, ok := errors.AsType[*hint.Error](e.Err); ok && own.IsForPerson() {
		return own.Remedy()
	}
	if row := e.advice(); !row.Operator {
		return row.Text
	}
	return advice.ForPeople
}

// errorJSON is the JSON form of an Error.
type errorJSON struct {
	Reason     Reason      `json:"reason"`
	Op         string      `json:"op,omitempty"`
	RetryAfter json.Number `json:"retryAfter,omitempty"`
	Cause      string      `json:"cause,omitempty"`
	Remedy     string      `json:"remedy,omitempty"`
}

// MarshalJSON writes reason, op, retryAfter (in seconds), the text of the cause as one
// line of at most 500 bytes, and the remedy.
func (e *Error) MarshalJSON() ([]byte, error) {
	if e == nil {
		return []byte("null"), nil
	}
	out := errorJSON{Reason: e.Reason, Op: e.Op, Remedy: e.Remedy()}
	if e.RetryAfter > 0 {
		seconds := fmt.Sprintf("%d.%09d", e.RetryAfter/time.Second, e.RetryAfter%time.Second)
		out.RetryAfter = json.Number(strings.TrimRight(strings.TrimRight(seconds, "0"), "."))
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
		return redact.Errorf("walink: unmarshal error: %w", err)
	}
	out := Error{Reason: in.Reason, Op: in.Op}
	if in.RetryAfter != "" {
		d, err := time.ParseDuration(in.RetryAfter.String() + "s")
		if err != nil {
			return redact.Errorf("walink: unmarshal error: retryAfter: %w", err)
		}
		out.RetryAfter = d
	}
	if in.Cause != "" || in.Remedy != "" && in.Remedy != out.Remedy() {
		out.Err = &remoteCause{text: in.Cause, remedy: in.Remedy}
	}
	*e = out
	return nil
}

// remoteCause is the cause of an Error that came through JSON.
type remoteCause struct{ text, remedy string }

func (c *remoteCause) Error() string  { return c.text }
func (c *remoteCause) Remedy() string { return c.remedy }

// SettingError is one fault of Settings, so that a form can show it next to its
// field. [Settings.Check], New and ParseSettings join one for each fault in an
// [*Error]. It wraps ErrInvalidPhone if the phone number is at fault.
type SettingError struct {
	// Field is the name of the field, such as Phone. From ParseSettings it is the JSON
	// key that was written, such as phone or number, or "settings" if the whole
	// document is at fault.
	Field string
	// Value is the value that was set, shortened and without secrets; "" if there is
	// none to show.
	Value string
	// Problem says what is wrong with the value.
	Problem string
	// Fix says how to fix the setting, in a sentence for a person.
	Fix string

	quoted bool  // Field is a JSON key, which the text quotes
	cause  error // ErrInvalidPhone or nil
}

// Error returns "field value: problem. fix".
func (e *SettingError) Error() string {
	text := e.Field
	if e.quoted {
		text = strconv.Quote(e.Field)
	}
	if e.Value != "" {
		text += " " + e.Value
	}
	return redact.Line(text + ": " + e.Problem + ". " + e.Fix)
}

// Unwrap returns ErrInvalidPhone if the phone number is at fault, and nil otherwise.
func (e *SettingError) Unwrap() error { return e.cause }

// Remedy returns Fix.
func (e *SettingError) Remedy() string { return e.Fix }
