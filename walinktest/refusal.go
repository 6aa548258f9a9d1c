package walinktest

// Refusal is what a phone says when it does not link a device or send a message. Its text is
// the sentence that the person reads. Compare with the constants by errors.Is.
type Refusal string

// Error returns the sentence on the phone's screen.
func (r Refusal) Error() string { return string(r) }

// The refusals of a phone. Their wording is this package's own, and not WhatsApp's.
const (
	// ErrWrongCode: the code does not belong to the companion that waits for this number.
	// The person may type again, three times in all.
	ErrWrongCode Refusal = "Wrong code. Check the code on your other device and try again."
	// ErrCodeExpired: the number had a code, which has expired or was spent, or its
	// companion has gone. No other number has a good code. Three tries spend a code.
	ErrCodeExpired Refusal = "This code has expired. Get a new code on your other device."
	// ErrOtherNumber: only other numbers have a good code.
	ErrOtherNumber Refusal = "This code is for a different phone number."
	// ErrNoCode: no number has a good code.
	ErrNoCode Refusal = "No device is waiting for a code. Start linking on your other device."
	// ErrNotAQR: the payload is not that of a linking QR code.
	ErrNotAQR Refusal = "This is not a QR code for linking a device."
	// ErrStaleQR: the ref has expired or is unknown, or its companion has gone.
	ErrStaleQR Refusal = "This QR code is no longer valid. Scan the one that your other device shows now."
	// ErrWithdrawnQR: companion_reg_refresh has replaced the secret in the QR code.
	ErrWithdrawnQR Refusal = "This QR code was withdrawn. Scan the new one on your other device."
	// ErrDeviceLimit: the account has as many linked devices as SetDeviceLimit allows, or 99.
	ErrDeviceLimit Refusal = "You have reached the limit of linked devices. Log out of one to link another."
	// ErrCodesDiffer: the person has said that phone and companion show different codes.
	ErrCodesDiffer Refusal = "The codes are not the same. The device was not linked."
	// ErrLinkLocked: linking is locked after failures, as SetLinkLock says.
	ErrLinkLocked Refusal = "You tried to link a device too often. Try again later."
	// ErrSuspicious: WhatsApp warns the person of a swindle.
	ErrSuspicious Refusal = "Somebody may be trying to get into your account. Link only devices that are yours."
	// ErrMakePasskey: the account first needs a passkey.
	ErrMakePasskey Refusal = "Create a passkey, then link your device."
	// ErrTryAgainAt: WhatsApp allows the next try at a certain time.
	ErrTryAgainAt Refusal = "Try again at 15:04."
	// ErrLinkFailed: the companion or the server has refused, has gone or did not answer.
	ErrLinkFailed Refusal = "Couldn't link device. Try again later."
	// ErrServerUnreachable: the server is closed.
	ErrServerUnreachable Refusal = "Couldn't connect. Check your phone's internet connection."
)

// The reasons for which a message is not sent. A phone says them; a companion gets the code in
// parentheses in the answer to its message. WhatsApp's own codes there are not known: these are
// those of its other answers.
const (
	// ErrNoAccount (404): nobody has the address.
	ErrNoAccount Refusal = "This number is not on WhatsApp."
	// ErrNoDevice (404): the address names a device that is not linked, or is no longer. A phone
	// that a later NewPhone has replaced also says this.
	ErrNoDevice Refusal = "This device is no longer linked."
	// ErrNoGroup (404): there is no such group.
	ErrNoGroup Refusal = "This group does not exist."
	// ErrNoMedia (404 over HTTP): the server does not have the attachment.
	ErrNoMedia Refusal = "This file is no longer available."
	// ErrNotMember (403): the account is not in the group.
	ErrNotMember Refusal = "You are not in this group."
)

// The server's reasons for refusing a step of a companion that has to prove a passkey.
// Some of them are the phone's at WhatsApp. The companion gets an error with the code in
// parentheses, and may try again. The phone says nothing and waits. Tests get the reasons
// from Phone.PasskeyRefusals.
const (
	// ErrPasskeyFormat (400): the answer is not an assertion, or not of the kind that the challenge wants.
	ErrPasskeyFormat Refusal = "The answer is not the assertion that was asked for."
	// ErrPasskeyUnknown (404): the passkey is not the account's.
	ErrPasskeyUnknown Refusal = "The assertion was made with another passkey."
	// ErrPasskeyChallenge (406): the assertion answers an older challenge, or another companion's.
	ErrPasskeyChallenge Refusal = "The assertion answers another challenge."
	// ErrPasskeyOrigin (403): the assertion was not made on a page of https://web.whatsapp.com.
	ErrPasskeyOrigin Refusal = "The assertion was made on another origin."
	// ErrPasskeySignature (401): the signature is not the passkey's.
	ErrPasskeySignature Refusal = "The signature of the assertion is wrong."
	// ErrPasskeyLate (410): the challenge was no longer good.
	ErrPasskeyLate Refusal = "The assertion came too late."
	// ErrPasskeyAnswered (405): the challenge already has a good answer.
	ErrPasskeyAnswered Refusal = "The challenge was answered before."
	// ErrPasskeyTurn (405): the step is not due, or the phone has given up.
	ErrPasskeyTurn Refusal = "This step is not due."
	// ErrHandoffProof (401): the hand-off proof was made with another ADV secret, or over another prologue.
	ErrHandoffProof Refusal = "The hand-off proof is wrong."
	// ErrHandoffLate (410): the hand-off proof was no longer good.
	ErrHandoffLate Refusal = "The hand-off proof came too late."
	// ErrPairingPrologue (400): the prologue's payload lacks a key, a commitment, or the
	// ref that the server gave last, or its device type is not that of the registration.
	ErrPairingPrologue Refusal = "The prologue is malformed."
	// ErrPairingNonce (406): the nonce is not the one that the prologue committed to.
	ErrPairingNonce Refusal = "The nonce does not fit its commitment."
	// ErrPairingRequest (400): the pairing request cannot be decrypted, or its keys are not the companion's.
	ErrPairingRequest Refusal = "The pairing request is malformed."
)

// code returns the error code that a companion gets. WhatsApp's own codes are not known.
func (r Refusal) code() int {
	switch r {
	case ErrPasskeySignature, ErrHandoffProof:
		return 401
	case ErrPasskeyOrigin, ErrNotMember:
		return 403
	case ErrPasskeyUnknown, ErrNoAccount, ErrNoDevice, ErrNoGroup:
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
