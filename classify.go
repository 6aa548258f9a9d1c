package walink

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	wasocket "go.mau.fi/whatsmeow/socket"
	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/internal/hint"
)

// fewTries is how often an attempt is repeated after a failure that another
// one cures only now and then.
const fewTries = 3

// noTries marks a failure that no other attempt can cure.
const noTries = -1

// rateLimitWait is how long to wait after a 429 that names no time. It is the
// window of the code budget.
const rateLimitWait = 15 * time.Minute

// refusalWait is how long to wait after a first 400.
const refusalWait = time.Minute

// connectFailed tells what a failed ConnectContext means.
func connectFailed(err error, proxy *url.URL) (*Error, int) {
	var status wasocket.ErrWithStatusCode
	switch {
	case errors.Is(err, wastore.ErrDeviceDeleted):
		return &Error{Reason: ErrLoggedOut, Op: "connect", Err: err}, fewTries
	case errors.As(err, &status):
		cause := fmt.Errorf("WhatsApp answered the connection with HTTP status %d", status.StatusCode)
		switch {
		case status.StatusCode == http.StatusTooManyRequests:
			return &Error{Reason: ErrRateLimited, Op: "connect", RetryAfter: rateLimitWait, Err: tooManyConnections(cause)}, noTries
		case status.StatusCode == http.StatusProxyAuthRequired && proxy != nil:
			return proxyFailed(proxy, cause), 0
		case status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden:
			return &Error{Reason: ErrForbidden, Op: "connect", Err: cause}, fewTries
		case status.StatusCode >= http.StatusInternalServerError:
			return &Error{Reason: ErrServer, Op: "connect", Err: cause}, 0
		}
		return &Error{Reason: ErrServer, Op: "connect", Err: cause}, fewTries
	case proxy != nil && errors.Is(err, wasocket.ErrDialFailed):
		return proxyFailed(proxy, err), 0
	case viaProxy(err):
		return &Error{Reason: ErrProxy, Op: "connect", Err: err}, 0
	}
	return &Error{Reason: ErrNetwork, Op: "connect", Err: certificateFailed(err)}, 0
}

// tooManyConnections is the cause of a 429 that is not about a pairing code.
func tooManyConnections(cause error) error {
	return hint.New(cause, "Wait as long as the error says, and connect less often: WhatsApp limits it.")
}

// certificateFailed gives err a remedy if a certificate is at fault: that of
// TLS, or that of WhatsApp's own handshake inside (verifyServerCert in
// whatsmeow's handshake.go, whose errors have no type).
func certificateFailed(err error) error {
	text := err.Error()
	noise := strings.Contains(text, "failed to verify server cert")
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, isUnknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, isOther := errors.AsType[x509.HostnameError](err)
	switch {
	case isInvalid && invalid.Reason == x509.Expired,
		noise && (strings.Contains(text, "certificate expired") || strings.Contains(text, "certificate not valid yet")):
		return hint.New(err, "Set the clock of this machine: by it WhatsApp's certificate is not valid now.")
	case noise, isInvalid, isUnknown, isOther:
		return hint.New(err, "Exempt web.whatsapp.com from whatever intercepts TLS here, such as a proxy or a firewall: somebody else answers in its place.")
	}
	return err
}

// proxyFailed names the proxy, without its credentials.
func proxyFailed(proxy *url.URL, err error) *Error {
	return &Error{Reason: ErrProxy, Op: "connect", Err: fmt.Errorf("%s://%s: %w", proxy.Scheme, proxy.Host, err)}
}

// viaProxy reports whether a proxy is to blame: net/http marks what goes wrong
// on the way through one in the Op of a net.OpError.
func viaProxy(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "proxyconnect" || strings.HasPrefix(op.Op, "socks "))
}

// codeRefusal tells what a failed code request means. It returns nil if the
// socket was lost under the request, which the socket itself tells.
func codeRefusal(err error) *Error {
	const op = "request code"
	var (
		iq      *whatsmeow.IQError
		lost    *whatsmeow.DisconnectedError
		missing *whatsmeow.ElementMissingError
	)
	switch {
	case errors.As(err, &lost), errors.Is(err, whatsmeow.ErrNotConnected):
		return nil
	case errors.Is(err, whatsmeow.ErrIQTimedOut):
		return &Error{Reason: ErrStalled, Op: op, Err: err}
	case errors.As(err, &missing):
		return &Error{Reason: ErrPairing, Op: op, Err: err}
	case !errors.As(err, &iq) || iq.Code == 0:
		return &Error{Reason: ErrPairing, Op: op, Err: errors.New("the answer is malformed")}
	}
	refusal := refused(op, ErrCodeRefused, iq)
	switch iq.Code {
	case http.StatusUnauthorized, http.StatusForbidden:
		refusal.Reason = ErrForbidden
	case http.StatusBadRequest:
		// The display name cannot be at fault, so it is about the number, or it is a
		// rate limit that says so in no other way (pains 11).
		refusal.RetryAfter = refusalWait
	}
	return refusal
}

// refused tells what an IQ error means, and is other where it means nothing in
// particular.
func refused(op string, other Reason, iq *whatsmeow.IQError) *Error {
	err := &Error{Reason: other, Op: op, Err: fmt.Errorf("WhatsApp answered %d %s", iq.Code, mask(iq.Text))}
	switch {
	case iq.Code == http.StatusTooManyRequests:
		err.Reason, err.RetryAfter = ErrRateLimited, serverBackoff(iq.ErrorNode)
	case iq.Code >= http.StatusInternalServerError:
		err.Reason = ErrServer
	}
	return err
}

// serverBackoff is the wait that the server names in its error node, in
// seconds, or the one that is always long enough.
func serverBackoff(node *waBinary.Node) time.Duration {
	if node != nil {
		if s, ok := node.Attrs["backoff"].(string); ok {
			if n, err := strconv.Atoi(s); err == nil && n > 0 && n < 7*24*3600 {
				return time.Duration(n) * time.Second
			}
		}
	}
	return rateLimitWait
}

// pairFailed tells what whatsmeow's PairError means. rejected is what the
// linker's own check of the account said.
func pairFailed(err error, rejected *Error) (*Error, int) {
	const op = "pair"
	var (
		db    *whatsmeow.PairDatabaseError
		proto *whatsmeow.PairProtoError
	)
	switch {
	case errors.Is(err, whatsmeow.ErrPairRejectedLocally) && rejected != nil:
		if rejected.Reason == ErrPairing {
			return rejected, fewTries
		}
		return rejected, 0
	case errors.As(err, &db):
		return &Error{Reason: ErrStore, Op: op, Err: err}, noTries
	case errors.As(err, &proto), errors.Is(err, whatsmeow.ErrPairInvalidDeviceIdentityHMAC),
		errors.Is(err, whatsmeow.ErrPairInvalidDeviceSignature), errors.Is(err, whatsmeow.ErrPairRejectedLocally):
		return &Error{Reason: ErrPairing, Op: op, Err: err}, fewTries
	}
	return &Error{Reason: ErrNetwork, Op: op, Err: err}, 0
}

// failureNode tells what a <failure> node means: the server's refusal of the
// connection, after the handshake. The codes are those of whatsmeow's
// ConnectFailureReason. linked says whether the device was a linked one.
func failureNode(node *waBinary.Node, linked bool) (*Error, int) {
	const op = "log in"
	ag := node.AttrGetter()
	code := ag.OptionalInt("reason")
	cause := failed(code)
	switch {
	case code == 401 && linked, code == 403 && linked:
		return &Error{Reason: ErrLoggedOut, Op: op, Err: cause}, fewTries
	case code == 401, code == 403:
		return &Error{Reason: ErrForbidden, Op: op, Err: cause}, 1
	case code == 402:
		return &Error{
			Reason: ErrTemporarilyBanned, Op: op, Err: cause,
			RetryAfter: time.Duration(ag.OptionalInt("expire")) * time.Second,
		}, noTries
	case code == 405, code == 409:
		return &Error{Reason: ErrClientOutdated, Op: op, Err: cause}, noTries
	case code == 406:
		return &Error{Reason: ErrBanned, Op: op, Err: cause}, noTries
	case code == 429:
		return &Error{Reason: ErrRateLimited, Op: op, RetryAfter: rateLimitWait, Err: tooManyConnections(cause)}, noTries
	case code >= 500:
		return &Error{Reason: ErrServer, Op: op, Err: cause}, 0
	}
	return &Error{Reason: ErrServer, Op: op, Err: cause}, fewTries
}

// failed is the reason of a <failure> node.
type failed int

func (f failed) Error() string { return fmt.Sprintf("WhatsApp answered with failure %d", int(f)) }

// streamError tells what a <stream:error> node means. It returns nil for the
// 515, which is not an error: the server asks for a new connection.
func streamError(node *waBinary.Node, linked bool) (*Error, int) {
	const op = "stream"
	code, _ := node.Attrs["code"].(string)
	if code == "515" {
		return nil, 0
	}
	conflict := ""
	if child, ok := node.GetOptionalChildByTag("conflict"); ok {
		conflict = child.AttrGetter().OptionalString("type")
	}
	cause := fmt.Errorf("WhatsApp ended the stream with code %q %s", code, conflict)
	switch {
	case conflict == "replaced":
		return &Error{Reason: ErrReplaced, Op: op, Err: cause}, noTries
	case code == "401" && linked:
		return &Error{Reason: ErrLoggedOut, Op: op, Err: cause}, fewTries
	case code == "401", code == "403":
		return &Error{Reason: ErrForbidden, Op: op, Err: cause}, 1
	case strings.HasPrefix(code, "5"):
		return &Error{Reason: ErrServer, Op: op, Err: cause}, 0
	}
	return &Error{Reason: ErrServer, Op: op, Err: cause}, fewTries
}

// logoutFailed tells what the answer to remove-companion-device means; nil is
// success. whatsmeow answers a request with the node that ended the connection
// where there is no other answer.
func logoutFailed(op string, node *waBinary.Node) *Error {
	switch {
	case node == nil || node.Tag == "xmlstreamend":
		return &Error{Reason: ErrNetwork, Op: op, Err: errConnectionClosed}
	case node.Tag == "stream:error":
		err, _ := streamError(node, true)
		switch {
		case err == nil:
			return &Error{Reason: ErrNetwork, Op: op, Err: errConnectionClosed}
		case err.Reason == ErrLoggedOut:
			return nil // the device is gone
		}
		err.Op = op
		return err
	case node.Attrs["type"] == "result":
		return nil
	}
	child := node.GetChildByTag("error")
	ag := child.AttrGetter()
	code := ag.OptionalInt("code")
	err := refused(op, ErrServer, &whatsmeow.IQError{Code: code, Text: ag.OptionalString("text"), ErrorNode: &child})
	if code == http.StatusUnauthorized || code == http.StatusForbidden {
		err.Reason = ErrForbidden
	}
	return err
}
