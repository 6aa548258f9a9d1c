package walinktest

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// qrPrefix is in front of QR payloads since 2026 (makeQRData of whatsmeow).
const qrPrefix = "https://wa.me/settings/linked_devices#"

// QR is the content of a linking QR code.
type QR struct {
	// Ref is the server's reference to the companion's socket.
	Ref string
	// NoiseKey and IdentityKey are the companion's public keys.
	NoiseKey, IdentityKey [32]byte
	// ADVSecret is the key of the HMAC in pair-success.
	ADVSecret [32]byte
	// ClientType is whatsmeow's PairClientType.
	ClientType string
}

// ParseQR reads the payload of a linking QR code, with or without the https://wa.me
// prefix. It refuses the payloads of old clients, which lack the client type, as phones do
// (whatsapp-rust 593, whatsmeow 1110). Every error is ErrNotAQR, and none quotes the payload.
func ParseQR(payload string) (QR, error) {
	fields := strings.Split(strings.TrimPrefix(payload, qrPrefix), ",")
	if len(fields) != 5 {
		return QR{}, fmt.Errorf("walinktest: parse qr: %d fields: %w", len(fields), ErrNotAQR)
	}
	if fields[0] == "" || fields[4] == "" {
		return QR{}, fmt.Errorf("walinktest: parse qr: empty ref or client type: %w", ErrNotAQR)
	}
	qr := QR{Ref: fields[0], ClientType: fields[4]}
	for i, key := range []*[32]byte{&qr.NoiseKey, &qr.IdentityKey, &qr.ADVSecret} {
		raw, err := base64.StdEncoding.Strict().DecodeString(fields[i+1])
		if err != nil || len(raw) != len(key) {
			return QR{}, fmt.Errorf("walinktest: parse qr: field %d is not a key: %w", i+2, ErrNotAQR)
		}
		copy(key[:], raw)
	}
	return qr, nil
}

// Payload returns the text that a companion draws as a QR code.
func (qr QR) Payload() string {
	fields := []string{qr.Ref}
	for _, key := range [][32]byte{qr.NoiseKey, qr.IdentityKey, qr.ADVSecret} {
		fields = append(fields, base64.StdEncoding.EncodeToString(key[:]))
	}
	return qrPrefix + strings.Join(append(fields, qr.ClientType), ",")
}
