package walink

import (
	"errors"
	"strings"

	"github.com/walink/walink/internal/advice"
	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/number"
)

// facts turns the machine's facts into events. facts keeps the last error, so that events
// about one failure share one *Error. It also keeps what was last on the screen, on which
// remedies depend.
type facts struct {
	failure *machine.Failure
	err     *Error
	status  Status
	at      advice.Situation
}

// next returns the event for a fact.
func (f *facts) next(fact machine.Fact, phone Phone) Event {
	event := f.event(fact, phone)
	f.status = f.status.Apply(event)
	f.at = situationAfter(f.at, event, f.status)
	return event
}

// event returns the event for a fact. It adds what only this package knows: the phone,
// its other forms, and the last failure inside an error.
func (f *facts) event(fact machine.Fact, phone Phone) Event {
	switch t := fact.(type) {
	case machine.Connecting:
		return Connecting{Attempt: t.Attempt}
	case machine.PairingCode:
		return PairingCode{Code: t.Code, Phone: phone, Number: t.Number, Issued: t.Issued, Expires: t.Expires}
	case machine.QRCode:
		return QRCode{Payload: t.Payload, Number: t.Number, Issued: t.Issued, Expires: t.Expires, Fallback: f.error(t.Fallback)}
	case machine.Withdrawn:
		e := Withdrawn{Method: Method(t.Method), Number: t.Number, Reason: WithdrawnReason(t.Reason), Err: f.error(t.Err)}
		if t.Method == machine.MethodPairing && t.Err != nil && t.Err.Reason == machine.ReasonCodeRefused {
			e.Alternatives = phone.Alternatives()
		}
		return e
	case machine.PasskeyRequired:
		return PasskeyRequired{Challenge: t.Challenge, Expires: t.Expires, HandoffExpires: t.HandoffExpires, Err: f.error(t.Err)}
	case machine.PasskeyConfirmation:
		return PasskeyConfirmation{Code: t.Code, Automatic: t.Automatic}
	case machine.Paired:
		return Paired{Account: accountOf(t.Account)}
	case machine.Retrying:
		return Retrying{Attempt: t.Attempt, Err: f.error(t.Err), At: t.At}
	case machine.Linked:
		return Linked{Account: accountOf(t.Account), Resumed: t.Resumed}
	case machine.Failed:
		return failedBy(f.error(t.Err))
	}
	return nil
}

func (f *facts) error(failure *machine.Failure) *Error {
	if failure == nil {
		return nil
	}
	if failure != f.failure {
		f.failure, f.err = failure, errorAt(f.at, failure)
	}
	return f.err
}

// failedBy returns the Failed for an error, and notes whether the program wanted the end.
func failedBy(err *Error) Failed {
	wanted := err.Reason == ErrCanceled || err.Reason == ErrClosed || err.Reason == ErrTimeout && err.Op == opSupervise
	return Failed{Err: err, Stopped: wanted}
}

// opSupervise is the Op of the error when the context of a Supervise ends.
const opSupervise = "supervise"

func accountOf(a machine.Account) Account {
	return Account{
		JID: a.JID, LID: a.LID, Phone: Phone{digits: number.Digits(a.JID.User)}, BusinessName: a.BusinessName, Platform: a.Platform,
	}
}

// errorOf returns the *Error for a failure, and nil for nil.
func errorOf(f *machine.Failure) *Error { return errorAt(advice.Anywhere, f) }

// errorAt is errorOf for a failure in a situation.
func errorAt(at advice.Situation, f *machine.Failure) *Error {
	if f == nil {
		return nil
	}
	e := &Error{Reason: Reason(f.Reason), Op: f.Op, RetryAfter: f.RetryAfter, Err: f.Err, at: at}
	switch last := errorAt(at, f.Last); {
	case last == nil:
	case f.Err == nil:
		e.Err = last
	default:
		e.Err = &joined{errors.Join(f.Err, last), f.Err.Error() + ": " + strings.TrimPrefix(last.Error(), "walink: ")}
	}
	return e
}

// joined holds several errors, and has a text of one line.
type joined struct {
	error
	text string
}

func (j *joined) Error() string { return j.text }
func (j *joined) Unwrap() error { return j.error }
