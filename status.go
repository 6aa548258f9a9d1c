package walink

import "log/slog"

// State is the state of a Linker.
type State string

// The states.
const (
	StateIdle            State = "idle"             // no Link has been started, or its device was unlinked
	StateConnecting      State = "connecting"       // on the way to a code, or to the login of a stored session
	StateAwaitingPhone   State = "awaiting_phone"   // a code is on the screen
	StateAwaitingPasskey State = "awaiting_passkey" // the account wants a passkey
	StatePaired          State = "paired"           // the phone has accepted; the login follows
	StateLinked          State = "linked"           // the last Link ended with Linked
	StateStandby         State = "standby"          // another program has the session, and Supervise waits for it
	StateFailed          State = "failed"           // the last Link ended with Failed
)

// Status is a snapshot of a Linker. The values that it points to never change.
type Status struct {
	State       State        `json:"state"`
	PairingCode *PairingCode `json:"pairingCode,omitempty"` // the one on the screen
	QRCode      *QRCode      `json:"qrCode,omitempty"`      // the one on the screen
	Account     *Account     `json:"account,omitempty"`     // once paired
	Err         *Error       `json:"error,omitempty"`       // the last failure of this Link, or why a linked session is offline
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
	if s.Account != nil {
		attrs = append(attrs, slog.Any("account", *s.Account))
	}
	if s.Err != nil {
		attrs = append(attrs, slog.String("error", s.Err.Error()))
	}
	return slog.GroupValue(attrs...)
}

// apply brings the status up to date with an event.
func (s *Status) apply(event Event) {
	switch e := event.(type) {
	case Connecting:
		s.State = StateConnecting
	case PairingCode:
		s.State, s.PairingCode, s.Account = StateAwaitingPhone, &e, nil
	case QRCode:
		s.State, s.QRCode, s.Account = StateAwaitingPhone, &e, nil
		if e.Fallback != nil {
			s.Err = e.Fallback
		}
	case Withdrawn:
		switch e.Method {
		case MethodPairing:
			s.PairingCode = nil
		case MethodQR:
			s.QRCode = nil
		}
		if s.PairingCode == nil && s.QRCode == nil {
			s.State = StateConnecting
		}
		if e.Err != nil {
			s.Err = e.Err
		}
	case PasskeyRequired:
		s.State, s.PairingCode, s.QRCode = StateAwaitingPasskey, nil, nil
	case PasskeyConfirmation:
		s.State = StateAwaitingPasskey
	case Paired:
		s.State, s.PairingCode, s.QRCode, s.Account = StatePaired, nil, nil, &e.Account
	case Retrying:
		s.State, s.Err = StateConnecting, e.Err
	case Disconnected:
		s.Err = e.Err // State stays linked: whatsmeow reconnects the same client
	case Reconnected:
		s.Err = nil
	case Standby:
		s.State, s.Err = StateStandby, e.Err
	case Linked:
		*s = Status{State: StateLinked, Account: &e.Account}
	case Failed:
		*s = Status{State: StateFailed, Err: e.Err}
	}
}

// closed returns the status after Close: a linked session becomes idle.
func (s Status) closed() Status {
	if s.State == StateLinked {
		return Status{State: StateIdle}
	}
	return s
}
