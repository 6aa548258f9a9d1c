package wire

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"

	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/machine"
)

func TestCertificatesHaveRemediesOfTheirOwn(t *testing.T) {
	t.Parallel()
	const clock, intercepted, plain = "clock", "intercepts", ""
	for _, test := range []struct {
		err  error
		want string // of the remedy
	}{
		{errors.New("failed to verify server cert: leaf cert cert certificate expired (…)"), clock},
		{errors.New("failed to verify server cert: intermediate cert certificate not valid yet (…)"), clock},
		{errors.New("failed to verify server cert: failed to verify intermediate cert signature"), intercepted},
		{x509.CertificateInvalidError{Reason: x509.Expired}, clock},
		{x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}, intercepted},
		{x509.UnknownAuthorityError{}, intercepted},
		{x509.HostnameError{Certificate: &x509.Certificate{}, Host: "web.whatsapp.com"}, intercepted},
		{errors.New("connection refused"), plain},
	} {
		failure, _ := connectFailed(fmt.Errorf("dial: %w", test.err), nil)
		hinted, ok := errors.AsType[*hint.Error](failure.Err)
		if failure.Reason != machine.ReasonNetwork || ok != (test.want != plain) || ok && !strings.Contains(hinted.Remedy(), test.want) {
			t.Errorf("%v: %+v", test.err, failure)
		}
	}
}

func TestStreamErrorsSayWhatTheNodeSays(t *testing.T) {
	t.Parallel()
	child := func(tag, kind string) waBinary.Node {
		node := waBinary.Node{Tag: tag, Attrs: waBinary.Attrs{}}
		if kind != "" {
			node.Attrs["type"] = kind
		}
		return node
	}
	for want, node := range map[string]waBinary.Node{
		`with code "503"`:                 {Attrs: waBinary.Attrs{"code": "503"}},
		`with <ack>`:                      {Content: []waBinary.Node{child("ack", "")}},
		`with <xml-not-well-formed>`:      {Content: []waBinary.Node{child("xml-not-well-formed", "")}},
		`with <conflict type="replaced">`: {Content: []waBinary.Node{child("conflict", "replaced")}},
		`with code "401" <conflict type="device_removed">`: {
			Attrs: waBinary.Attrs{"code": "401"}, Content: []waBinary.Node{child("conflict", "device_removed")},
		},
		`with no reason`:                   {},
		`with <a> <b> <c>`:                 {Content: []waBinary.Node{child("a", ""), child("b", ""), child("c", ""), child("d", "")}},
		`with <[redacted]>`:                {Content: []waBinary.Node{child("5511987654321", "")}},
		`with <a type="\x1b[2J\u009b31m">`: {Content: []waBinary.Node{child("a", "\x1b[2J\u009b31m")}},
		`with code "[2J"`:                  {Attrs: waBinary.Attrs{"code": "\x1b[2J\u202e"}},
	} {
		node.Tag = "stream:error"
		failure, _ := streamError(&node, false)
		if got := failure.Err.Error(); !strings.HasSuffix(got, want) {
			t.Errorf("the cause is %q, want %q at its end", got, want)
		}
	}
}

func TestStreamErrorOfALinkedDeviceIsARemovalOnlyWithAConflict(t *testing.T) {
	t.Parallel()
	for conflict, want := range map[string]machine.Reason{
		"": machine.ReasonServer, "device_removed": machine.ReasonLoggedOut, "another": machine.ReasonLoggedOut, "replaced": machine.ReasonReplaced,
	} {
		node := waBinary.Node{Tag: "stream:error", Attrs: waBinary.Attrs{"code": "401"}}
		if conflict != "" {
			node.Content = []waBinary.Node{{Tag: "conflict", Attrs: waBinary.Attrs{"type": conflict}}}
		}
		if got, _ := streamError(&node, true); got.Reason != want {
			t.Errorf("with the conflict %q the reason is %q, want %q", conflict, got.Reason, want)
		}
	}
}

func TestServersTextIsNotObeyed(t *testing.T) {
	t.Parallel()
	failure := refused("request code", machine.ReasonServer, &whatsmeow.IQError{Code: 400, Text: "\x1b]52;c;ZXZpbA==\x07bad-request\u202e\n"})
	if text := failure.Err.Error(); text != "WhatsApp answered 400 ]52;c;ZXZpbA== bad-request" {
		t.Errorf("the cause is %q", text)
	}
}
