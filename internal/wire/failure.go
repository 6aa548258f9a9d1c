package wire

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
	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/redact"
)

// RateLimitWait is how long to wait after a 429 that names no time. It is the
// window of the code budget.
const RateLimitWait = 15 * time.Minute

// connectFailed says what a failed ConnectContext means.
func connectFailed(err error, proxy *url.URL) (failure *machine.Failure, tries int) {
	const op = "connect"
	var status wasocket.ErrWithStatusCode
	switch {
	case errors.Is(err, wastore.ErrDeviceDeleted):
		return &machine.Failure{Reason: machine.ReasonLoggedOut, Op: op, Err: err}, machine.FewTries
	case errors.As(err, &status):
		cause := fmt.Errorf("WhatsApp answered the connection with HTTP status %d", status.StatusCode)
		switch {
		case status.StatusCode == http.StatusTooManyRequests:
			return tooManyConnections(op, cause), machine.NoTries
		case status.StatusCode == http.StatusProxyAuthRequired && proxy != nil:
			return proxyFailed(proxy, cause), 0
		case status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden:
			return &machine.Failure{Reason: machine.ReasonForbidden, Op: op, Err: cause}, machine.FewTries
		case status.StatusCode >= http.StatusInternalServerError:
			return &machine.Failure{Reason: machine.ReasonServer, Op: op, Err: cause}, 0
		}
		return &machine.Failure{Reason: machine.ReasonServer, Op: op, Err: cause}, machine.FewTries
	case proxy != nil && errors.Is(err, wasocket.ErrDialFailed):
		return proxyFailed(proxy, err), 0
	case viaProxy(err):
		return &machine.Failure{Reason: machine.ReasonProxy, Op: op, Err: err}, 0
	}
	return &machine.Failure{Reason: machine.ReasonNetwork, Op: op, Err: certificateFailed(err)}, 0
}

// tooManyConnections is a 429 that is not about a pairing code.
func tooManyConnections(op string, cause error) *machine.Failure {
	return &machine.Failure{Reason: machine.ReasonRateLimited, Op: op, RetryAfter: RateLimitWait, Err: cause}
}

// certificateFailed gives err a remedy if a certificate is at fault: that of TLS, or
// that of WhatsApp's own handshake inside TLS. The errors of the latter have no type
// (verifyServerCert in whatsmeow's handshake.go), so certificateFailed compares texts.
// Delete the texts when whatsmeow exports errors.
func certificateFailed(err error) error {
	text := err.Error()
	noise := strings.Contains(text, "failed to verify server cert")
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, isUnknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, isOther := errors.AsType[x509.HostnameError](err)
	switch {
	case isInvalid && invalid.Reason == x509.Expired,
		noise && (strings.Contains(text, "certificate expired") || strings.Contains(text, "certificate not valid yet")):
		return hint.New(err, "Set the clock of this machine: by that clock WhatsApp's certificate is not valid now.")
	case noise, isInvalid, isUnknown, isOther:
		return hint.New(err, "Exempt web.whatsapp.com from the proxy, firewall or antivirus that intercepts TLS here and answers in its place.")
	}
	return err
}

// whatsappKey is the key that signs the certificates of WhatsApp's servers.
//
//nolint:gochecknoglobals // whatsmeow has it in a variable, which walinktest replaces later
var whatsappKey = whatsmeow.WACertPubKey

// Unfit returns why this process cannot connect to WhatsApp, whatever the network, or nil.
// direct says that the connection leads to WhatsApp itself.
func Unfit(direct bool) error {
	if _, ok := http.DefaultTransport.(*http.Transport); !ok { // NewClient in whatsmeow's client.go clones it, and panics
		return hint.New(errors.New("http.DefaultTransport was replaced by something that is not a *http.Transport"),
			"Leave http.DefaultTransport as it is, and set Settings.HTTPClient.")
	}
	if direct && whatsmeow.WACertPubKey != whatsappKey {
		return hint.New(errors.New("this process trusts the key of a simulated WhatsApp, and no longer WhatsApp's own"),
			"Run what links real accounts in another process than the simulated WhatsApp of package walinktest.")
	}
	return nil
}

// Usable returns why whatsmeow cannot use a device of a Store, or nil. With such a device
// whatsmeow panics in its own goroutine.
func Usable(d *wastore.Device) error {
	if d == nil || d.NoiseKey == nil || d.IdentityKey == nil || d.SignedPreKey == nil || d.Container == nil {
		return hint.New(errors.New("the store returned a device that lacks its keys or its container"),
			"Correct the Store that this program has, and test it with package storetest.")
	}
	return nil
}

// proxyFailed names the proxy, without its credentials.
func proxyFailed(proxy *url.URL, err error) *machine.Failure {
	return &machine.Failure{Reason: machine.ReasonProxy, Op: "connect", Err: fmt.Errorf("%s://%s: %w", proxy.Scheme, proxy.Host, err)}
}

// viaProxy reports whether a proxy is to blame: net/http marks what goes wrong
// on the way through one in the Op of a net.OpError.
func viaProxy(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "proxyconnect" || strings.HasPrefix(op.Op, "socks "))
}

// refused says what an IQ error means. The reason of the failure is other, unless the
// code is a 429 or a 5xx.
func refused(op string, other machine.Reason, iq *whatsmeow.IQError) *machine.Failure {
	failure := &machine.Failure{Reason: other, Op: op, Err: fmt.Errorf("WhatsApp answered %d %s", iq.Code, redact.Text(iq.Text))}
	switch {
	case iq.Code == http.StatusTooManyRequests:
		failure.Reason, failure.RetryAfter = machine.ReasonRateLimited, serverBackoff(iq.ErrorNode)
	case iq.Code >= http.StatusInternalServerError:
		failure.Reason = machine.ReasonServer
	}
	return failure
}

// serverBackoff is the wait that the server names in its error node, in seconds, or
// RateLimitWait.
func serverBackoff(node *waBinary.Node) time.Duration {
	if node != nil {
		if s, ok := node.Attrs["backoff"].(string); ok {
			if n, err := strconv.Atoi(s); err == nil && n > 0 && n < 7*24*3600 {
				return time.Duration(n) * time.Second
			}
		}
	}
	return RateLimitWait
}

// failureNode says what a <failure> node means: the server's refusal of the
// connection, after the handshake. The codes are those of ConnectFailureReason in
// whatsmeow's types/events/events.go. linked says whether the device was linked.
func failureNode(node *waBinary.Node, linked bool) (failure *machine.Failure, tries int) {
	const op = "log in"
	ag := node.AttrGetter()
	code := ag.OptionalInt("reason")
	cause := failureCode(code)
	switch {
	case code == 401 && linked, code == 403 && linked:
		return &machine.Failure{Reason: machine.ReasonLoggedOut, Op: op, Err: cause}, machine.FewTries
	case code == 401, code == 403:
		return &machine.Failure{Reason: machine.ReasonForbidden, Op: op, Err: cause}, 1
	case code == 402:
		return &machine.Failure{
			Reason: machine.ReasonTemporarilyBanned, Op: op, Err: cause,
			RetryAfter: time.Duration(ag.OptionalInt("expire")) * time.Second,
		}, machine.NoTries
	case code == 405, code == 409:
		return &machine.Failure{Reason: machine.ReasonClientOutdated, Op: op, Err: cause}, machine.NoTries
	case code == 406:
		return &machine.Failure{Reason: machine.ReasonBanned, Op: op, Err: cause}, machine.NoTries
	case code == 429:
		return tooManyConnections(op, cause), machine.NoTries
	case code >= 500:
		return &machine.Failure{Reason: machine.ReasonServer, Op: op, Err: cause}, 0
	}
	return &machine.Failure{Reason: machine.ReasonServer, Op: op, Err: cause}, machine.FewTries
}

// failureCode is the reason of a <failure> node.
type failureCode int

// Error names the code.
func (f failureCode) Error() string { return fmt.Sprintf("WhatsApp answered with failure %d", int(f)) }

// streamError says what a <stream:error> node means. It returns nil for the
// 515, which is not an error: the server asks for a new connection. A 401 without a
// conflict does not say that a linked device was removed; the next login shows that.
func streamError(node *waBinary.Node, linked bool) (failure *machine.Failure, tries int) {
	const op = "stream"
	code, _ := node.Attrs["code"].(string)
	if code == "515" {
		return nil, 0
	}
	conflict := ""
	if child, ok := node.GetOptionalChildByTag("conflict"); ok {
		conflict = child.AttrGetter().OptionalString("type")
	}
	cause := errors.New("WhatsApp ended the stream with " + streamErrorText(node, code))
	if isOfCAT(code) {
		cause = fmt.Errorf("%w: %w", cause, errOfCAT)
	}
	switch {
	case conflict == "replaced":
		return &machine.Failure{Reason: machine.ReasonReplaced, Op: op, Err: cause}, machine.NoTries
	case code == "401" && linked && conflict != "":
		return &machine.Failure{Reason: machine.ReasonLoggedOut, Op: op, Err: cause}, machine.FewTries
	case code == "401" && !linked, code == "403":
		return &machine.Failure{Reason: machine.ReasonForbidden, Op: op, Err: cause}, 1
	case strings.HasPrefix(code, "5"):
		return &machine.Failure{Reason: machine.ReasonServer, Op: op, Err: cause}, 0
	}
	return &machine.Failure{Reason: machine.ReasonServer, Op: op, Err: cause}, machine.FewTries
}

// streamErrorText names the code of a <stream:error> node and its children: without a code
// their names are all that says what is wrong, such as <ack> or <xml-not-well-formed>.
func streamErrorText(node *waBinary.Node, code string) string {
	const most = 3 // children that are named
	var words []string
	if code != "" {
		words = append(words, fmt.Sprintf("code %q", redact.Text(code)))
	}
	children := node.GetChildren()
	for _, child := range children[:min(len(children), most)] {
		name := child.Tag
		if kind := child.AttrGetter().OptionalString("type"); kind != "" {
			name += fmt.Sprintf(" type=%q", kind)
		}
		words = append(words, "<"+redact.Text(name)+">")
	}
	if len(words) == 0 {
		return "no reason"
	}
	return redact.Line(strings.Join(words, " "))
}

// Reconnects reports whether whatsmeow reconnects by itself after a loss: after the
// end of a connection and after trouble at the server (handleConnectFailure and
// handleStreamError in its connectionevents.go).
func Reconnects(err *machine.Failure) bool {
	if code, ok := errors.AsType[failureCode](err.Err); ok {
		return code == 500 || code == 503
	}
	if errors.Is(err.Err, errOfCAT) {
		return false
	}
	return err.Reason == machine.ReasonNetwork && !errors.Is(err.Err, errAbsent) || err.Reason == machine.ReasonServer
}

// ErrRestart is the cause of a loss after a 515.
var ErrRestart = errors.New("WhatsApp asked for a new connection")
