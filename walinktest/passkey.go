package walinktest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/descope/virtualwebauthn"
	"github.com/go-webauthn/webauthn/protocol"
)

// What the passkeys of WhatsApp accounts are bound to.
const (
	passkeyRPID   = "whatsapp.com"
	passkeyOrigin = "https://web.whatsapp.com"
)

// Passkey is the WebAuthn credential of an account, in the parts that another
// authenticator needs to hold it besides, such as a browser's virtual one
// (DevTools protocol, WebAuthn.addCredential with isResidentCredential).
type Passkey struct {
	// RPID is whom the passkey is for: whatsapp.com.
	RPID string
	// CredentialID names it, UserHandle the account.
	CredentialID, UserHandle []byte
	// PrivateKey is an ECDSA key on P-256 in PKCS#8, DER.
	PrivateKey []byte
	// SignCount is zero, as it is for passkeys that are synced between devices.
	// The server accepts any count.
	SignCount uint32
}

// WithPasskey gives the account a passkey, without which no more devices can be
// linked to it. See the package comment for what that asks of a companion.
func WithPasskey() PhoneOption {
	return func(p *Phone) {
		credential := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
		p.passkey = &Passkey{
			RPID:         passkeyRPID,
			CredentialID: credential.ID,
			UserHandle:   []byte(p.lid.User),
			PrivateKey:   credential.Key.Data,
		}
	}
}

// Passkey returns the account's passkey; the zero value without WithPasskey.
func (p *Phone) Passkey() Passkey {
	if p.passkey == nil {
		return Passkey{}
	}
	passkey := *p.passkey
	passkey.CredentialID = slices.Clone(passkey.CredentialID)
	passkey.UserHandle = slices.Clone(passkey.UserHandle)
	passkey.PrivateKey = slices.Clone(passkey.PrivateKey)
	return passkey
}

// AssertOption makes an answer of Assert wrong in one respect.
type AssertOption func(*assertion)

// assertion is how a challenge is to be answered.
type assertion struct {
	origin     string
	credential virtualwebauthn.Credential
}

// FromOrigin answers from a page of another origin, such as "https://example.com".
func FromOrigin(origin string) AssertOption {
	return func(a *assertion) { a.origin = origin }
}

// ByAnotherPasskey answers with a passkey that is not the account's.
func ByAnotherPasskey() AssertOption {
	return func(a *assertion) { a.credential = virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2) }
}

// WronglySigned answers in the name of the account's passkey, signed by another key.
func WronglySigned() AssertOption {
	return func(a *assertion) { a.credential.Key = virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2).Key }
}

// Assert answers a challenge with the account's passkey, as a browser does on a
// page of https://web.whatsapp.com: challenge is the JSON that the server sent,
// and the result the JSON of PublicKeyCredential.toJSON(). The errors are those
// that a browser finds by itself: the challenge cannot be read or is not
// WhatsApp's, and the account has no passkey or not one that is allowed.
func (p *Phone) Assert(challenge []byte, options ...AssertOption) ([]byte, error) {
	if p.passkey == nil {
		return nil, errors.New("walinktest: assert: the account has no passkey")
	}
	request, err := virtualwebauthn.ParseAssertionOptions(string(challenge))
	if err != nil {
		return nil, fmt.Errorf("walinktest: assert: read the challenge: %w", err)
	}
	answer := assertion{origin: passkeyOrigin, credential: p.passkey.credential()}
	switch {
	case request.RelyingPartyID != p.passkey.RPID:
		return nil, fmt.Errorf("walinktest: assert: the challenge is of %q", request.RelyingPartyID)
	case len(request.AllowCredentials) > 0 && !answer.credential.IsAllowedForAssertion(*request):
		return nil, errors.New("walinktest: assert: the challenge is for another passkey")
	}
	for _, option := range options {
		option(&answer)
	}
	return []byte(virtualwebauthn.CreateAssertionResponse(
		virtualwebauthn.RelyingParty{ID: p.passkey.RPID, Origin: answer.origin},
		virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{UserHandle: p.passkey.UserHandle}),
		answer.credential,
		*request,
	)), nil
}

// credential returns the passkey for one use: the library's keys are not for several goroutines.
func (k *Passkey) credential() virtualwebauthn.Credential {
	credential := virtualwebauthn.NewCredentialWithImportedKey(virtualwebauthn.KeyTypeEC2, k.PrivateKey)
	credential.ID = k.CredentialID
	return credential
}

// verify says what is wrong with an assertion; "" is nothing. The library
// decides, and what it does not tell apart is named here.
func (k *Passkey) verify(challenge protocol.URLEncodedBase64, credentialID, assertion []byte) Refusal {
	answer, err := protocol.ParseCredentialRequestResponseBytes(assertion)
	if err != nil || !bytes.Equal(answer.RawID, credentialID) {
		return ErrPasskeyFormat
	}
	user := answer.Response.UserHandle
	if !bytes.Equal(answer.RawID, k.CredentialID) || len(user) > 0 && !bytes.Equal(user, k.UserHandle) {
		return ErrPasskeyUnknown
	}
	credential := k.credential()
	origins := []string{passkeyOrigin}
	err = answer.Verify(challenge.String(), k.RPID, "", origins, nil, nil, protocol.TopOriginExplicitVerificationMode,
		false, true, true, credential.Key.AttestationData(), protocol.SignaturePolicy{})
	client := answer.Response.CollectedClientData
	var failure *protocol.Error
	switch {
	case err == nil:
		return ""
	case client.Challenge != challenge.String():
		return ErrPasskeyChallenge
	case !protocol.IsOriginInHaystack(client.Origin, origins):
		return ErrPasskeyOrigin
	case errors.As(err, &failure) && failure.Type == protocol.ErrAssertionSignature.Type:
		return ErrPasskeySignature
	default:
		return ErrPasskeyFormat
	}
}

// challengeOptions returns what navigator.credentials.get is to be called with.
func (k *Passkey) challengeOptions(challenge protocol.URLEncodedBase64) protocol.PublicKeyCredentialRequestOptions {
	return protocol.PublicKeyCredentialRequestOptions{
		Challenge:      challenge,
		Timeout:        int(challengeTTL.Milliseconds()),
		RelyingPartyID: k.RPID,
		AllowedCredentials: []protocol.CredentialDescriptor{{
			Type:         protocol.PublicKeyCredentialType,
			CredentialID: k.CredentialID,
			Transport:    []protocol.AuthenticatorTransport{protocol.Internal, protocol.Hybrid},
		}},
		UserVerification: protocol.VerificationRequired,
	}
}
