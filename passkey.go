package walink

import (
	"context"
	"errors"
)

// AnswerPasskey will give the answer to a [PasskeyRequired]: the JSON of
// PublicKeyCredential.toJSON(). This version cannot send it and always
// returns [ErrPasskey]; a program that has an authenticator can use
// SendPasskeyResponse of the client that Settings.OnClient got, and the Link
// goes on from there.
func (l *Linker) AnswerPasskey(context.Context, []byte) error {
	return &Error{Reason: ErrPasskey, Op: "answer passkey", Err: errNoCeremony}
}

// ConfirmPasskey will confirm the code of a [PasskeyConfirmation]. This
// version always returns [ErrPasskey].
func (l *Linker) ConfirmPasskey(context.Context) error {
	return &Error{Reason: ErrPasskey, Op: "confirm passkey", Err: errNoCeremony}
}

var errNoCeremony = errors.New("this version of walink does not carry out the passkey ceremony")
