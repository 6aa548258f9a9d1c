package walink

import (
	"cmp"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/walink/walink/internal/advice"
	"github.com/walink/walink/internal/redact"
)

// State is the state of a Linker.
type State string

// The states.
const (
	StateIdle            State = "idle"             // no Link has been started, its device was unlinked, or the Linker was closed
	StateConnecting      State = "connecting"       // on the way to a code, or to the login of a stored session
	StateAwaitingPhone   State = "awaiting_phone"   // a code is on the screen
	StateAwaitingPasskey State = "awaiting_passkey" // the account wants a passkey
	StatePaired          State = "paired"           // the phone has accepted; the login follows
	StateLinked          State = "linked"           // the last Link ended with Linked, and Supervise knows of no lost connection
	StateOffline         State = "offline"          // a linked session has lost its connection, and Supervise waits for the next one
	StateRetrying        State = "retrying"         // something failed; RetryAt is the time of the next attempt
	StateStandby         State = "standby"          // another program has the session, and Supervise waits for it
	StateFailed          State = "failed"           // the last Link ended with Failed
)

// Status is a snapshot of a Linker: what the events of the latest Link or Supervise say
// so far, for a program or a page that comes late. Status.Apply says what each event
// changes. The values that a Status points to never change.
type Status struct {
	State               State                `json:"state"`
	PairingCode         *PairingCode         `json:"pairingCode,omitempty"`         // the one on the screen
	QRCode              *QRCode              `json:"qrCode,omitempty"`              // the one on the screen
	PasskeyRequired     *PasskeyRequired     `json:"passkeyRequired,omitempty"`     // the challenge, until WhatsApp has accepted an answer
	PasskeyConfirmation *PasskeyConfirmation `json:"passkeyConfirmation,omitempty"` // the code that the phone shows too
	Account             *Account             `json:"account,omitempty"`             // once paired
	RetryAt             time.Time            `json:"retryAt,omitzero"`              // when the next attempt starts, while retrying
	Holder              string               `json:"holder,omitempty"`              // the program that has the session, on standby
	Err                 *Error               `json:"error,omitempty"`               // the last failure of this Link, or why a linked session is offline
}

// Apply returns the status after one more event. A Link and a Supervise begin with
// [StateConnecting]. Apply(event) of the status before an event is the [Linker.Status]
// after the event, so a program that gets a status and then events knows the status, too.
func (s Status) Apply(event Event) Status {
	switch e := valueOf(event).(type) {
	case Connecting:
		return Status{State: StateConnecting, Account: s.Account, Err: s.Err}
	case PairingCode:
		return Status{State: StateAwaitingPhone, PairingCode: &e, QRCode: s.QRCode, Err: s.Err}
	case QRCode:
		return Status{State: StateAwaitingPhone, PairingCode: s.PairingCode, QRCode: &e, Err: cmp.Or(e.Fallback, s.Err)}
	case Withdrawn:
		switch e.Method {
		case MethodPairing:
			s.PairingCode = nil
		case MethodQR:
			s.QRCode = nil
		}
		if s.State == StateAwaitingPhone && s.PairingCode == nil && s.QRCode == nil {
			s.State = StateConnecting
		}
		s.Err = cmp.Or(e.Err, s.Err)
	case PasskeyRequired:
		return Status{State: StateAwaitingPasskey, PasskeyRequired: &e, Err: cmp.Or(e.Err, s.Err)}
	case PasskeyConfirmation:
		return Status{State: StateAwaitingPasskey, PasskeyConfirmation: &e, Err: s.Err}
	case Paired:
		return Status{State: StatePaired, Account: &e.Account, Err: s.Err}
	case Retrying:
		return Status{State: StateRetrying, RetryAt: e.At, Account: accountAfter(e.Err, s.Account), Err: e.Err}
	case Linked:
		return Status{State: StateLinked, Account: &e.Account}
	case Failed:
		return Status{State: StateFailed, Err: e.Err}
	case Disconnected:
		return Status{State: StateOffline, Account: accountAfter(e.Err, s.Account), Err: e.Err}
	case Reconnected:
		return Status{State: StateLinked, Account: &e.Account}
	case Standby:
		return Status{State: StateStandby, Holder: e.Holder, Account: s.Account, Err: e.Err}
	}
	return s
}

// accountAfter returns the account, or nil after an error that says that it is not linked
// any more.
func accountAfter(err *Error, account *Account) *Account {
	if err != nil && (err.Reason == ErrLoggedOut || err.Reason == ErrRemoved) {
		return nil
	}
	return account
}

// Publish returns the status as [Publish] returns events: what the person at the phone may
// see. The codes stay.
func (s Status) Publish() Status {
	if s.QRCode != nil {
		code := *s.QRCode
		code.Fallback = code.Fallback.publish()
		s.QRCode = &code
	}
	if s.PasskeyRequired != nil {
		required := *s.PasskeyRequired
		required.Err = required.Err.publish()
		s.PasskeyRequired = &required
	}
	s.Holder, s.Err = "", s.Err.publish()
	return s
}

// MarshalJSON writes the status in full: the pairing code, the QR payload and the challenge
// on the screen are secrets. [Status.Publish] says what the person at the phone may see.
func (s Status) MarshalJSON() ([]byte, error) {
	type plain Status // without methods
	out := struct {
		plain
		PairingCode         any `json:"pairingCode,omitempty"` // in place of plain's, which are deeper and redact
		QRCode              any `json:"qrCode,omitempty"`
		PasskeyRequired     any `json:"passkeyRequired,omitempty"`
		PasskeyConfirmation any `json:"passkeyConfirmation,omitempty"`
	}{plain: plain(s)}
	if s.PairingCode != nil {
		out.PairingCode = bare(*s.PairingCode)
	}
	if s.QRCode != nil {
		out.QRCode = bare(*s.QRCode)
	}
	if s.PasskeyRequired != nil {
		out.PasskeyRequired = bare(*s.PasskeyRequired)
	}
	if s.PasskeyConfirmation != nil {
		out.PasskeyConfirmation = bare(*s.PasskeyConfirmation)
	}
	data, err := json.Marshal(out)
	return redact.JSON(data), err
}

// LogValue returns the status with its secrets redacted.
func (s Status) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("state", string(s.State))}
	if s.PairingCode != nil {
		attrs = append(attrs, slog.Any("pairingCode", *s.PairingCode))
	}
	if s.QRCode != nil {
		attrs = append(attrs, slog.Any("qrCode", *s.QRCode))
	}
	if s.PasskeyRequired != nil {
		attrs = append(attrs, slog.Any("passkeyRequired", *s.PasskeyRequired))
	}
	if s.PasskeyConfirmation != nil {
		attrs = append(attrs, slog.Any("passkeyConfirmation", *s.PasskeyConfirmation))
	}
	if s.Account != nil {
		attrs = append(attrs, slog.Any("account", *s.Account))
	}
	if !s.RetryAt.IsZero() {
		attrs = append(attrs, slog.Time("retryAt", s.RetryAt))
	}
	if s.Holder != "" {
		attrs = append(attrs, slog.String("holder", redact.Line(s.Holder)))
	}
	if s.Err != nil {
		attrs = append(attrs, slog.String("error", s.Err.Error()))
	}
	return slog.GroupValue(attrs...)
}

// situationAfter returns the situation after event. at is the one before it, and status is
// the Status after it.
func situationAfter(at advice.Situation, event Event, status Status) advice.Situation {
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
	case at == advice.AtUnlink:
		return at
	case err != nil && err.Reason == ErrWrongAccount:
		return advice.AtWrongPhone
	case now == advice.Anywhere, at == advice.AtWrongPhone && now <= advice.AtBoth: // also while the next code is shown
		return at
	}
	return now
}

// situation returns what a failure now finds.
func (s Status) situation() advice.Situation {
	switch {
	case s.PairingCode != nil && s.QRCode != nil:
		return advice.AtBoth
	case s.PairingCode != nil:
		return advice.AtCode
	case s.QRCode != nil:
		return advice.AtQR
	case s.PasskeyRequired != nil:
		return advice.AtPasskey
	case s.PasskeyConfirmation != nil && s.PasskeyConfirmation.Automatic:
		return advice.AtPhone
	case s.PasskeyConfirmation != nil:
		return advice.AtCompare
	case s.State == StatePaired:
		return advice.AtPaired
	case s.Account != nil:
		return advice.AtLinked
	}
	return advice.Anywhere
}

// closed returns the status after Close: a linked session becomes idle.
func (s Status) closed() Status {
	if s.State == StateLinked || s.State == StateOffline {
		return Status{State: StateIdle}
	}
	return s
}
