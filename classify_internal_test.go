package walink

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestCertificatesHaveRemediesOfTheirOwn(t *testing.T) {
	t.Parallel()
	const clock, intercepted, plain = "clock", "intercepts", "reach web.whatsapp.com"
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
		err, _ := connectFailed(fmt.Errorf("dial: %w", test.err), nil)
		if err.Reason != ErrNetwork || !strings.Contains(err.Remedy(), test.want) {
			t.Errorf("%v: %v, %s", test.err, err.Reason, err.Remedy())
		}
	}
}
