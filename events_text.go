package walink

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"

	"github.com/walink/walink/internal/redact"
)

// MarshalEvent returns the event as a JSON object: its kind next to its fields, times in
// RFC 3339, durations in seconds.
//
// The JSON has everything. The pairing codes, QR payloads and challenges in it are
// secrets, and its errors and its Holder name hosts, processes and databases. Give
// [Publish] of an event to the person at the phone, and [Redact] of it to logs and
// webhooks. MarshalEvent fails only for nil and for a Challenge that is not JSON.
func MarshalEvent(event Event) ([]byte, error) {
	if event = valueOf(event); event == nil {
		return nil, errors.New("walink: marshal event: nil")
	}
	// A type cannot embed itself, so the kind is put in front of the object.
	fields, err := json.Marshal(bare(event))
	if err != nil {
		return nil, fmt.Errorf("walink: marshal event: %w", err)
	}
	kind, err := json.Marshal(struct {
		Kind Kind `json:"kind"`
	}{event.Kind()})
	if err != nil {
		return nil, fmt.Errorf("walink: marshal event: %w", err)
	}
	if string(fields) != "{}" {
		kind[len(kind)-1] = ','
		kind = append(kind, fields[1:]...)
	}
	return redact.JSON(kind), nil
}

// valueOf returns the event that a pointer to an event points to, and nil for nil.
func valueOf(event Event) Event {
	v := reflect.ValueOf(event)
	switch {
	case v.Kind() != reflect.Pointer:
		return event
	case v.IsNil():
		return nil
	}
	event, _ = reflect.TypeAssert[Event](v.Elem())
	return event
}

// bare returns the fields of an event without its methods: MarshalJSON redacts.
func bare(event Event) any {
	v := reflect.ValueOf(event)
	return v.Convert(reflect.StructOf(reflect.VisibleFields(v.Type()))).Interface()
}

// UnmarshalEvent reads the JSON that [MarshalEvent] writes, and returns the same event. An
// unknown kind is an error; unknown fields are not, so that older programs read newer
// events.
func UnmarshalEvent(data []byte) (Event, error) {
	var head struct {
		Kind Kind `json:"kind"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, redact.Errorf("walink: unmarshal event: %w", err)
	}
	switch head.Kind {
	case KindConnecting:
		return unmarshalAs[Connecting](data)
	case KindPairingCode:
		return unmarshalAs[PairingCode](data)
	case KindQRCode:
		return unmarshalAs[QRCode](data)
	case KindWithdrawn:
		return unmarshalAs[Withdrawn](data)
	case KindPasskeyRequired:
		return unmarshalAs[PasskeyRequired](data)
	case KindPasskeyConfirmation:
		return unmarshalAs[PasskeyConfirmation](data)
	case KindPaired:
		return unmarshalAs[Paired](data)
	case KindRetrying:
		return unmarshalAs[Retrying](data)
	case KindLinked:
		return unmarshalAs[Linked](data)
	case KindFailed:
		return unmarshalAs[Failed](data)
	case KindDisconnected:
		return unmarshalAs[Disconnected](data)
	case KindReconnected:
		return unmarshalAs[Reconnected](data)
	case KindStandby:
		return unmarshalAs[Standby](data)
	}
	return nil, redact.Errorf("walink: unmarshal event: unknown kind %q", head.Kind)
}

func unmarshalAs[E Event](data []byte) (Event, error) {
	var event E
	if err := json.Unmarshal(data, &event); err != nil {
		return nil, redact.Errorf("walink: unmarshal event: %w", err)
	}
	switch e := any(event).(type) {
	case Failed:
		if e.Err == nil {
			return nil, errors.New("walink: unmarshal event: failed without an error")
		}
	case Disconnected:
		if e.Err == nil {
			return nil, errors.New("walink: unmarshal event: disconnected without an error")
		}
	case Retrying:
		if e.Err == nil {
			return nil, errors.New("walink: unmarshal event: retrying without an error")
		}
	case Standby:
		if e.Err == nil {
			return nil, errors.New("walink: unmarshal event: standby without an error")
		}
	}
	return event, nil
}

// Publish returns what the person at the phone may see of an event, for a web page. The
// codes and the challenge stay, and so do the phone numbers. Of an error stay the Reason,
// the step and RetryAfter: its cause goes, and with it the names of hosts, processes and
// databases. A remedy for those who run the program becomes one for the person. The Holder
// of a Standby goes.
func Publish(event Event) Event {
	switch e := valueOf(event).(type) {
	case QRCode:
		e.Fallback = e.Fallback.publish()
		return e
	case Withdrawn:
		e.Err = e.Err.publish()
		return e
	case PasskeyRequired:
		e.Err = e.Err.publish()
		return e
	case Retrying:
		e.Err = e.Err.publish()
		return e
	case Failed:
		e.Err = e.Err.publish()
		return e
	case Disconnected:
		e.Err = e.Err.publish()
		return e
	case Standby:
		return Standby{Err: e.Err.publish()}
	case Connecting, PairingCode, PasskeyConfirmation, Paired, Linked, Reconnected:
		return e
	}
	return nil
}

// Redact returns [Publish] of the event without codes, payloads and challenges, for logs
// and webhooks. The phone numbers stay, because a webhook has to know the account;
// String, LogValue and json.Marshal mask them.
func Redact(event Event) Event {
	switch e := Publish(event).(type) {
	case PairingCode:
		e.Code = ""
		return e
	case QRCode:
		e.Payload = ""
		return e
	case PasskeyRequired:
		e.Challenge = nil
		return e
	case PasskeyConfirmation:
		e.Code = ""
		return e
	case Connecting, Withdrawn, Paired, Retrying, Linked, Failed, Disconnected, Reconnected, Standby:
		return e
	}
	return nil
}

// redactedJSON returns what LogValue has of an event as JSON, next to the kind.
func redactedJSON(event Event) ([]byte, error) {
	fields, _ := ungroup(slog.AnyValue(event)).(map[string]any)
	fields["kind"] = event.Kind()
	return json.Marshal(fields)
}

// ungroup returns a group of a log as a map, and any other value as it is.
func ungroup(v slog.Value) any {
	if v = v.Resolve(); v.Kind() != slog.KindGroup {
		return v.Any()
	}
	fields := map[string]any{}
	for _, attr := range v.Group() {
		fields[attr.Key] = ungroup(attr.Value)
	}
	return fields
}

const redacted = "[redacted]"

// MarshalJSON writes the event without its secrets, unlike [MarshalEvent].
func (e Connecting) MarshalJSON() ([]byte, error) { return redactedJSON(e) }

// MarshalJSON writes the event without its secrets, unlike [MarshalEvent].
func (e PairingCode) MarshalJSON() ([]byte, error) { return redactedJSON(e) }

// MarshalJSON writes the event without its secrets, unlike [MarshalEvent].
func (e QRCode) MarshalJSON() ([]byte, error) { return redactedJSON(e) }

// MarshalJSON writes the event without its secrets, unlike [MarshalEvent].
func (e Withdrawn) MarshalJSON() ([]byte, error) { return redactedJSON(e) }

// MarshalJSON writes the event without its secrets, unlike [MarshalEvent].
func (e PasskeyRequired) MarshalJSON() ([]byte, error) { return redactedJSON(e) }

// MarshalJSON writes the event without its secrets, unlike [MarshalEvent].
func (e PasskeyConfirmation) MarshalJSON() ([]byte, error) { return redactedJSON(e) }

// MarshalJSON writes the event without its secrets, unlike [MarshalEvent].
func (e Paired) MarshalJSON() ([]byte, error) { return redactedJSON(e) }

// MarshalJSON writes the event without its secrets, unlike [MarshalEvent].
func (e Retrying) MarshalJSON() ([]byte, error) { return redactedJSON(e) }

// MarshalJSON writes the event without its secrets, unlike [MarshalEvent].
func (e Linked) MarshalJSON() ([]byte, error) { return redactedJSON(e) }

// MarshalJSON writes the event without its secrets, unlike [MarshalEvent].
func (e Failed) MarshalJSON() ([]byte, error) { return redactedJSON(e) }

// MarshalJSON writes the event without its secrets, unlike [MarshalEvent].
func (e Disconnected) MarshalJSON() ([]byte, error) { return redactedJSON(e) }

// MarshalJSON writes the event without its secrets, unlike [MarshalEvent].
func (e Reconnected) MarshalJSON() ([]byte, error) { return redactedJSON(e) }

// MarshalJSON writes the event without its secrets, unlike [MarshalEvent].
func (e Standby) MarshalJSON() ([]byte, error) { return redactedJSON(e) }

// LogValue returns the event as a group.
func (e Connecting) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("attempt", e.Attempt))
}

// LogValue returns the event without the code.
func (e PairingCode) LogValue() slog.Value {
	return slog.GroupValue(slog.String("code", redacted), slog.String("phone", e.Phone.Redacted()),
		slog.Int("number", e.Number), slog.Time("issued", e.Issued), slog.Time("expires", e.Expires))
}

// LogValue returns the event without the payload.
func (e QRCode) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("payload", redacted), slog.Int("number", e.Number),
		slog.Time("issued", e.Issued), slog.Time("expires", e.Expires),
	}
	if e.Fallback != nil {
		attrs = append(attrs, slog.String("fallback", e.Fallback.Error()))
	}
	return slog.GroupValue(attrs...)
}

// LogValue returns the event without the code.
func (e PasskeyConfirmation) LogValue() slog.Value {
	return slog.GroupValue(slog.String("code", redacted), slog.Bool("automatic", e.Automatic))
}

// LogValue returns the event without the challenge.
func (e PasskeyRequired) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("challenge", redacted), slog.Time("expires", e.Expires), slog.Time("handoffExpires", e.HandoffExpires),
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("error", text(e.Err)))
	}
	return slog.GroupValue(attrs...)
}

// LogValue returns the event with the numbers redacted.
func (e Withdrawn) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("method", string(e.Method)), slog.Int("number", e.Number), slog.String("reason", string(e.Reason)),
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("error", text(e.Err)))
	}
	return slog.GroupValue(append(attrs, slog.Int("alternatives", len(e.Alternatives)))...)
}

// LogValue returns the event with the number redacted.
func (e Paired) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("account", e.Account))
}

// LogValue returns the event with the number redacted.
func (e Linked) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("account", e.Account), slog.Bool("resumed", e.Resumed))
}

// LogValue returns the event with the error as text.
func (e Retrying) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("attempt", e.Attempt), slog.String("error", text(e.Err)), slog.Time("at", e.At))
}

// LogValue returns the event with the error as text.
func (e Failed) LogValue() slog.Value {
	return slog.GroupValue(slog.String("error", text(e.Err)), slog.Bool("stopped", e.Stopped))
}

// LogValue returns the event with the error as text.
func (e Disconnected) LogValue() slog.Value {
	return slog.GroupValue(slog.String("error", text(e.Err)))
}

// LogValue returns the event with the number redacted.
func (e Reconnected) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("account", e.Account))
}

// LogValue returns the event with the error as text.
func (e Standby) LogValue() slog.Value {
	return slog.GroupValue(slog.String("holder", redact.Line(e.Holder)), slog.String("error", text(e.Err)))
}

func text(err *Error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
