package wire

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/machine"
)

func TestCertificatesHaveRemediesOfTheirOwn(t *testing.T) {
	t.Parallel()
	const clock, intercepted, plain = "clock", "intercepts", ""
	for _, test := range []struct {
		err  error
		want string
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
