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
	// ErrCodeExpired: the code was good once; it ran out, was spent, or its companion has gone.
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
	// ErrDeviceLimit: the account has as many linked devices as SetDeviceLimit allows.
	ErrDeviceLimit Refusal = "You have reached the limit of linked devices. Log out of one to link another."
	// ErrLinkFailed: the companion or the server refused, went away or did not answer.
	ErrLinkFailed Refusal = "Couldn't link device. Try again later."
	// ErrServerUnreachable: the server is closed.
	ErrServerUnreachable Refusal = "Couldn't link device. Check your phone's internet connection."
)
