package walinktest

import (
	"bytes"
	"errors"
	"slices"

	"github.com/descope/virtualwebauthn"
	"github.com/go-webauthn/webauthn/protocol"

	"github.com/walink/walink/internal/redact"
)

// The relying party and the origin of WhatsApp's passkeys.
const (
	passkeyRPID   = "whatsapp.com"
	passkeyOrigin = "https://web.whatsapp.com"
)

// Passkey is the WebAuthn credential of an account. It has all that another
// authenticator needs to hold the credential too, such as a browser's virtual
// authenticator (WebAuthn.addCredential of the DevTools protocol, with
// isResidentCredential).
type Passkey struct {
	// RPID is the relying party: whatsapp.com.
	RPID string
	// CredentialID identifies the credential, UserHandle the account.
	CredentialID, UserHandle []byte
	// PrivateKey is an ECDSA key on P-256 in PKCS#8, DER.
	PrivateKey []byte
	// SignCount is zero, like that of passkeys that are synced between devices. The
	// server accepts any count.
	SignCount uint32
}

// WithPasskey gives the account a passkey. From then on a companion has to answer the
// passkey's challenge to be linked: see the package comment.
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

// Passkey returns a copy of the account's passkey, or the zero value if the phone was
// made without WithPasskey.
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

// AssertOption makes the answer of Assert wrong in one respect.
type AssertOption func(*assertion)

// assertion says how to answer a challenge.
type assertion struct {
	origin     string
	credential virtualwebauthn.Credential
}

// FromOrigin makes Assert answer from a page of another origin, such as
// "https://example.com".
func FromOrigin(origin string) AssertOption {
	return func(a *assertion) { a.origin = origin }
}

// ByAnotherPasskey makes Assert answer with a passkey that is not the account's.
func ByAnotherPasskey() AssertOption {
	return func(a *assertion) { a.credential = virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2) }
}

// WronglySigned makes Assert answer with the id of the account's passkey and the
// signature of another key.
func WronglySigned() AssertOption {
	return func(a *assertion) { a.credential.Key = virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2).Key }
}

// Assert answers a challenge with the account's passkey, as a browser does on a page of
// https://web.whatsapp.com. challenge is the JSON that the server has sent. Assert
// returns the JSON of PublicKeyCredential.toJSON(). Like a browser it returns an error
// if the challenge is malformed or not whatsapp.com's, if the account has no passkey,
// and if the challenge allows only other passkeys.
func (p *Phone) Assert(challenge []byte, options ...AssertOption) ([]byte, error) {
	if p.passkey == nil {
		return nil, errors.New("walinktest: assert: the account has no passkey")
	}
	request, err := virtualwebauthn.ParseAssertionOptions(string(challenge))
	if err != nil {
		return nil, redact.Errorf("walinktest: assert: read the challenge: %w", err)
	}
	answer := assertion{origin: passkeyOrigin, credential: p.passkey.credential()}
	switch {
	case request.RelyingPartyID != p.passkey.RPID:
		return nil, redact.Errorf("walinktest: assert: the challenge is for %q, not for %q", request.RelyingPartyID, p.passkey.RPID)
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

// credential returns the passkey for one use: virtualwebauthn's keys are not safe for
// concurrent use.
func (k *Passkey) credential() virtualwebauthn.Credential {
	credential := virtualwebauthn.NewCredentialWithImportedKey(virtualwebauthn.KeyTypeEC2, k.PrivateKey)
	credential.ID = k.CredentialID
	return credential
}

// verify returns the reason to refuse an assertion, or "" if the assertion is good.
// go-webauthn decides. Several refusals have the same error there, so verify looks at the
// assertion again for the reason.
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

// challengeOptions returns the options for navigator.credentials.get.
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
