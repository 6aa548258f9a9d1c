package walinktest

// Refusal is what a phone says when it does not link a device. Its text is the
// sentence that the person reads. The constants are compared with errors.Is.
type Refusal string

// Error returns the sentence on the phone's screen.
func (r Refusal) Error() string { return string(r) }

// What a phone says. The wording is of this package, not WhatsApp's own.
const (
	// ErrWrongCode: the code does not belong to the companion that waits for this number.
	ErrWrongCode Refusal = "Wrong code. Check the code on your other device and try again."
	// ErrCodeExpired: the number's code was good once; it ran out, was spent, or
	// its companion has gone. No other number has a good one.
	ErrCodeExpired Refusal = "This code has expired. Get a new code on your other device."
	// ErrOtherNumber: codes are waiting, but none for this number.
	ErrOtherNumber Refusal = "This code is for a different phone number."
	// ErrNoCode: nobody waits for a code.
	ErrNoCode Refusal = "No device is waiting for a code. Start linking on your other device."
	// ErrNotAQR: what was scanned is not a linking QR code.
	ErrNotAQR Refusal = "This is not a QR code for linking a device."
	// ErrStaleQR: the ref has run out, is unknown, or its companion has gone.
	ErrStaleQR Refusal = "This QR code is no longer valid. Scan the one that your other device shows now."
	// ErrWithdrawnQR: the secret in the QR code was replaced by companion_reg_refresh.
	ErrWithdrawnQR Refusal = "This QR code was withdrawn. Scan the new one on your other device."
	// ErrDeviceLimit: the account has as many linked devices as SetDeviceLimit allows, or 99.
	ErrDeviceLimit Refusal = "You have reached the limit of linked devices. Log out of one to link another."
	// ErrCodesDiffer: the person said that phone and companion show different codes.
	ErrCodesDiffer Refusal = "The codes are not the same. The device was not linked."
	// ErrLinkFailed: the companion or the server refused, went away or did not answer.
	ErrLinkFailed Refusal = "Couldn't link device. Try again later."
	// ErrServerUnreachable: the server is closed.
	ErrServerUnreachable Refusal = "Couldn't link device. Check your phone's internet connection."
)

// Why the server, in the phone's stead too, refuses a step of a companion that
// has to prove a passkey. The companion gets an error whose code is named
// below, and may try again; the phone says nothing and waits. Tests read
// the reasons with Phone.PasskeyRefusals.
const (
	// ErrPasskeyFormat (400): not an assertion, or not one that the challenge asks for.
	ErrPasskeyFormat Refusal = "The answer is not the assertion that was asked for."
	// ErrPasskeyUnknown (404): the passkey is not the account's.
	ErrPasskeyUnknown Refusal = "The assertion is of another passkey."
	// ErrPasskeyChallenge (406): the assertion answers an older challenge, or another's.
	ErrPasskeyChallenge Refusal = "The assertion answers another challenge."
	// ErrPasskeyOrigin (403): the assertion was not made on a page of https://web.whatsapp.com.
	ErrPasskeyOrigin Refusal = "The assertion was made on another origin."
	// ErrPasskeySignature (401): the signature is not the passkey's.
	ErrPasskeySignature Refusal = "The signature of the assertion is wrong."
	// ErrPasskeyLate (410): the challenge was no longer good.
	ErrPasskeyLate Refusal = "The assertion came too late."
	// ErrPasskeyAnswered (405): the challenge has been answered already.
	ErrPasskeyAnswered Refusal = "The challenge was answered before."
	// ErrPasskeyTurn (405): the step is not due, or the phone has given up.
	ErrPasskeyTurn Refusal = "This step is not due."
	// ErrHandoffProof (401): the hand-off proof was made with another ADV secret, or over another prologue.
	ErrHandoffProof Refusal = "The hand-off proof is wrong."
	// ErrHandoffLate (410): the hand-off proof was no longer good.
	ErrHandoffLate Refusal = "The hand-off proof came too late."
	// ErrPairingPrologue (400): the prologue's payload lacks a key, a device
	// type, a commitment, or the ref that the server gave last.
	ErrPairingPrologue Refusal = "The prologue is malformed."
	// ErrPairingNonce (406): the nonce is not the one that the prologue committed to.
	ErrPairingNonce Refusal = "The nonce does not fit its commitment."
	// ErrPairingRequest (400): the pairing request does not decrypt, or names other keys than the companion's.
	ErrPairingRequest Refusal = "The pairing request is malformed."
)

// code returns the error code that a companion gets. WhatsApp's own are not known.
func (r Refusal) code() int {
	switch r {
	case ErrPasskeySignature, ErrHandoffProof:
		return 401
	case ErrPasskeyOrigin:
		return 403
	case ErrPasskeyUnknown:
		return 404
	case ErrPasskeyAnswered, ErrPasskeyTurn:
		return 405
	case ErrPasskeyChallenge, ErrPairingNonce:
		return 406
	case ErrPasskeyLate, ErrHandoffLate:
		return 410
	default:
		return 400
	}
}
