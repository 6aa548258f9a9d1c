package walink

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/walink/walink/internal/hint"
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

// situation is what was last on the screen when something failed, or what the person
// did last.
type situation int

const (
	anywhere      situation = iota // nothing was on the screen yet
	atCode                         // a pairing code was on the screen
	atQR                           // a QR code was on the screen
	atBoth                         // both were
	atWrongPhone                   // the phone of another account was used
	atPasskey                      // the passkey was asked for
	atCompare                      // the person was to compare the passkey's codes
	atPhone                        // the passkey was accepted, and the phone's part was due
	atPaired                       // the phone had accepted, and the device was stored
	atLinked                       // the session was linked
	atUnlink                       // Unlink was running
	atThisProgram                  // this program itself has the session
)

// after returns the situation after an event. status is the one after the event.
func (at situation) after(event Event, status Status) situation {
	var err *Error
	switch e := event.(type) {
	case Withdrawn:
		err = e.Err
	case Retrying:
		err = e.Err
	case Connecting, PairingCode, QRCode, PasskeyRequired, PasskeyConfirmation, Paired, Linked, Failed, Disconnected, Reconnected, Standby:
	}
	now := status.situation()
	switch {
	case at == atUnlink:
		return at
	case err != nil && err.Reason == ErrWrongAccount:
		return atWrongPhone
	case now == anywhere, at == atWrongPhone && now <= atBoth: // also while the next code is shown
		return at
	}
	return now
}

// advice is a row of the table of remedies.
type advice struct {
	reason   Reason
	op       string    // "" is every step
	at       situation // anywhere is every situation
	operator bool      // for those who run the program, and not for the person at the phone
	text     string    // one imperative sentence; %s is how long to wait
}

// forPeople is what the person at the phone is told in place of a remedy for those who
// run the program.
const forPeople = "Try again later, and ask the people who run this service if that does not help."

// remedies returns the table of remedies. The first row that fits an error counts.
func remedies() []advice {
	const (
		stored = "Start again: the device is linked and stored, so no new code is needed."
		remove = "Try again, or remove the device on the phone, under Linked devices."
		follow = "Wait for the next event, because WhatsApp may still accept what was sent."
	)
	return []advice{
		{ErrTimeout, "answer passkey", anywhere, false, follow},
		{ErrTimeout, "confirm passkey", anywhere, false, follow},
		{ErrTimeout, "unlink", anywhere, false, remove},
		{ErrTimeout, "", atUnlink, false, remove},
		{ErrTimeout, "", atCode, false, "Start again and enter the pairing code while it is on the screen."},
		{ErrTimeout, "", atQR, false, "Start again and scan the QR code while it is on the screen."},
		{ErrTimeout, "", atBoth, false, "Start again and enter the pairing code, or scan the QR code, while it is on the screen."},
		{ErrTimeout, "", atWrongPhone, false, "Start again with the phone that holds the expected account."},
		{ErrTimeout, "", atPasskey, false, "Start again, and answer the passkey while it is asked for."},
		{ErrTimeout, "", atCompare, false, "Start again, and confirm at once if the phone shows the same passkey code."},
		{ErrTimeout, "", atPhone, false, "Start again, with the phone unlocked, online and WhatsApp open."},
		{ErrTimeout, "", atPaired, false, stored},
		{ErrTimeout, "", atLinked, false, "Start again to connect: the session is still stored."},
		{ErrTimeout, "", anywhere, false, "Start again, and allow more time."},
		{ErrCanceled, "answer passkey", anywhere, false, follow},
		{ErrCanceled, "confirm passkey", anywhere, false, follow},
		{ErrCanceled, "unlink", anywhere, false, "Unlink again when you are ready."},
		{ErrCanceled, "", atUnlink, false, "Unlink again when you are ready."},
		{ErrCanceled, "", atPaired, false, stored},
		{ErrCanceled, "", atLinked, false, "Start again when you want to connect: the session is still stored."},
		{ErrCanceled, "", anywhere, false, "Start again when you are ready to link."},
		{ErrCodeRefused, "enter code", anywhere, false, "Enter the new code exactly as it is shown."},
		{ErrCodeRefused, "", anywhere, false, "Check the number, including its country code, or link by QR code."},
		{ErrRateLimited, "passkey", anywhere, false, "Wait %s, then try again."},
		{ErrRateLimited, "answer passkey", anywhere, false, "Wait %s, then try again."},
		{ErrRateLimited, "confirm passkey", anywhere, false, "Wait %s, then try again."},
		{ErrRateLimited, "unlink", anywhere, false, "Wait %s, then unlink again."},
		{ErrRateLimited, "connect", anywhere, true, "Wait %s, and connect less often: WhatsApp limits connections."},
		{ErrRateLimited, "log in", anywhere, true, "Wait %s, and connect less often: WhatsApp limits connections."},
		{ErrRateLimited, "", anywhere, false, "Wait %s before asking for another pairing code, or link by QR code."},
		{ErrStalled, "unlink", anywhere, false, remove},
		{ErrStalled, "", atUnlink, false, remove},
		{ErrStalled, "enter code", anywhere, false, "Enter the new code exactly as it is shown, with the phone unlocked and online."},
		{ErrStalled, "", anywhere, false, "Try again, with the phone unlocked, online and WhatsApp open."},
		{ErrPasskey, "confirm passkey", anywhere, false, "Confirm the passkey code while the phone shows it, or start again."},
		{ErrPasskey, "passkey", atCompare, false, "Start again, and confirm at once if the phone shows the same passkey code."},
		{ErrPasskey, "", anywhere, false, "Answer the passkey on a page of web.whatsapp.com, or turn it off in the phone's settings, then try again."},
		{ErrForbidden, "unlink", anywhere, false, "Remove the device on the phone, under Linked devices."},
		{ErrForbidden, "", anywhere, false, "Check on the phone that the account may link devices, or link by QR code."},
		{ErrLoggedOut, "", atUnlink, false, "Check the name of the session: nothing is stored under it."},
		{ErrLoggedOut, "", anywhere, false, "Link the account again."},
		{ErrSessionBusy, "", atThisProgram, true, "Close the other Linker of this program that has the session, or wait a moment if the program has just started again."},
		{ErrSessionBusy, "", anywhere, true, "Stop the other program that uses this session (wait %s if it was killed), or choose another session name."},
		{ErrInvalidSettings, "", anywhere, true, "Correct the settings that the error names."},
		{ErrInvalidPhone, "", anywhere, false, "Write the account's number with its country code, such as +55 11 98765-4321."},
		{ErrInProgress, "", anywhere, true, "Wait until the running Link has ended, or cancel its context."},
		{ErrClosed, "", anywhere, true, "Make a new Linker."},
		{ErrNetwork, "", anywhere, true, "Check that this machine can reach web.whatsapp.com on port 443, then try again."},
		{ErrProxy, "", anywhere, true, "Check the address and the credentials of the proxy, and that it is running."},
		{ErrServer, "", anywhere, false, "Wait a few minutes and try again: WhatsApp has trouble at the moment."},
		{ErrPairing, "", anywhere, false, "Try again with the new code, and update WhatsApp on the phone if it happens twice."},
		{ErrWrongAccount, "", anywhere, false, "Use the phone that holds the expected account."},
		{ErrClientOutdated, "", anywhere, true, "Update walink and whatsmeow: WhatsApp no longer accepts this version."},
		{ErrNotTold, "", anywhere, false, "Look on the phone under Linked devices, and remove the device there if it is still listed."},
		{ErrRemoved, "", anywhere, false, "Look on the phone under Linked devices why the device was removed, then link again."},
		{ErrBanned, "", anywhere, false, "Open WhatsApp on the phone and follow what it says about the ban."},
		{ErrTemporarilyBanned, "", anywhere, false, "Wait %s until the ban has ended, then link again."},
		{ErrReplaced, "", anywhere, true, "Stop the other program that is connected with this session."},
		{ErrMultideviceOff, "", anywhere, false, "Update WhatsApp on the phone, then scan the code again."},
		{ErrStore, "", anywhere, true, "Check that the database can be opened and written, and that its disk is not full."},
	}
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

	at situation // when it failed; Remedy depends on it
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
	return e.advice().text
}

// advice returns the row of the table that fits, with the time to wait filled in.
func (e *Error) advice() advice {
	at := e.at
	busy, ok := errors.AsType[*store.BusyError](e.Err)
	if ok && (strings.HasPrefix(busy.Lease.HolderID, process.ID()) || busy.Lease.Holder == process.Name()) { // or it was started again
		at = atThisProgram
	}
	for _, a := range remedies() {
		if a.reason == e.Reason && (a.op == "" || a.op == e.Op) && (a.at == anywhere || a.at == at) {
			a.text = strings.Replace(a.text, "%s", inWords(e.RetryAfter), 1)
			return a
		}
	}
	return advice{text: "Try again."}
}

// inWords returns a time to wait in words, rounded up.
func inWords(d time.Duration) string {
	unit, name := time.Second, "second"
	switch {
	case d <= 0:
		return "a while"
	case d >= 3*time.Hour || d%time.Hour == 0:
		unit, name = time.Hour, "hour"
	case d >= 2*time.Minute || d%time.Minute == 0:
		unit, name = time.Minute, "minute"
	}
	n := (d-1)/unit + 1
	if n > 1 {
		name += "s"
	}
	return fmt.Sprintf("%d %s", n, name)
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
	if a := e.advice(); !a.operator {
		return a.text
	}
	return forPeople
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
