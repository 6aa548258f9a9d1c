package machine

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/internal/hint"
)

// passkeyOptions are the parts of a challenge that parseAssertion looks at
// (PublicKeyCredentialRequestOptionsJSON of WebAuthn, section 5.4).
type passkeyOptions struct {
	Challenge string `json:"challenge"`
	RPID      string `json:"rpId"`
	Allow     []struct {
		ID string `json:"id"`
	} `json:"allowCredentials"`
}

// parseAssertion reads the JSON of PublicKeyCredential.toJSON(). It checks all that
// can be checked without the credential's public key, because WhatsApp gives no
// reason when it refuses an assertion. It compares the assertion with the challenge
// only if the challenge can be parsed.
func parseAssertion(challenge json.RawMessage, data []byte) (*types.WebAuthnResponse, *Failure) {
	var a types.WebAuthnResponse
	if err := json.Unmarshal(data, &a); err != nil {
		// The decoder's error may quote what it has read.
		return nil, badAssertion("it is not the JSON of PublicKeyCredential.toJSON()")
	}
	for _, field := range []struct {
		name  string
		empty bool
	}{
		{"id", a.ID == ""},
		{"rawId", len(a.RawID) == 0},
		{"response.clientDataJSON", len(a.Response.ClientDataJSON) == 0},
		{"response.authenticatorData", len(a.Response.AuthenticatorData) == 0},
		{"response.signature", len(a.Response.Signature) == 0},
	} {
		if field.empty {
			return nil, badAssertion("it lacks " + field.name)
		}
	}
	if a.Type != "public-key" {
		return nil, badAssertion(`its type is not "public-key"`)
	}
	var client struct {
		Type      string `json:"type"`
		Challenge string `json:"challenge"`
		Origin    string `json:"origin"`
	}
	if err := json.Unmarshal(a.Response.ClientDataJSON, &client); err != nil {
		return nil, badAssertion("its clientDataJSON is not JSON")
	}
	if client.Type != "webauthn.get" {
		return nil, badAssertion("it is not the answer of navigator.credentials.get")
	}
	var want passkeyOptions
	if err := json.Unmarshal(challenge, &want); err == nil && want.Challenge != "" {
		if why := mismatch(&a, want, client.Challenge, client.Origin); why != "" {
			return nil, badAssertion(why)
		}
	}
	return &a, nil
}

// mismatch returns why an assertion does not answer the challenge, and "" if it does.
func mismatch(a *types.WebAuthnResponse, want passkeyOptions, challenge, origin string) string {
	if unpadded(challenge) != unpadded(want.Challenge) {
		return "it is for another challenge"
	}
	allowed := len(want.Allow) == 0
	for _, credential := range want.Allow {
		allowed = allowed || unpadded(credential.ID) == base64.RawURLEncoding.EncodeToString(a.RawID)
	}
	if !allowed {
		return "it is from a credential that the account does not have"
	}
	if want.RPID == "" {
		return ""
	}
	page, err := url.Parse(origin)
	if err != nil || page.Scheme != "https" ||
		page.Hostname() != want.RPID && !strings.HasSuffix(page.Hostname(), "."+want.RPID) {
		return "it was not made on a page of " + want.RPID
	}
	rp := sha256.Sum256([]byte(want.RPID))
	if !bytes.HasPrefix(a.Response.AuthenticatorData, rp[:]) {
		return "it was not made for " + want.RPID
	}
	return ""
}

func unpadded(s string) string { return strings.TrimRight(s, "=") }

func badAssertion(why string) *Failure {
	return &Failure{Reason: ReasonPasskey, Op: "answer passkey", Err: hint.New(
		errors.New("the assertion is not usable: "+why),
		"Run navigator.credentials.get on a page of web.whatsapp.com with the challenge, and give the toJSON() of its result.",
	)}
}
