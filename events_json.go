package walink

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/walink/walink/internal/absent"
	"github.com/walink/walink/internal/redact"
)

// MarshalEvent returns the event as a JSON object for webhooks and web pages: its kind
// next to its fields, times in RFC 3339. The JSON carries pairing codes and QR payloads
// in full, so treat it as a secret. MarshalEvent fails only for nil, for a nil pointer,
// and for a Challenge that is not JSON.
func MarshalEvent(event Event) ([]byte, error) {
	if absent.Is(event) {
		return nil, errors.New("walink: marshal event: nil")
	}
	// A type cannot embed itself, so the kind is put in front of the object.
	fields, err := json.Marshal(event)
	if err != nil {
		return nil, fmt.Errorf("walink: marshal event: %w", err)
	}
	kind, err := json.Marshal(struct {
		Kind Kind `json:"kind"`
	}{event.Kind()})
	if err != nil {
		return nil, fmt.Errorf("walink: marshal event: %w", err)
	}
	return append(append(kind[:len(kind)-1], ','), fields[1:]...), nil
}

// UnmarshalEvent reads the JSON that [MarshalEvent] writes. An unknown kind is an error;
// unknown fields are not, so that older programs read newer events.
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
	}
	return event, nil
}
