package walink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"time"
)

// tlsFault is what a failed handshake means.
type tlsFault struct {
	detail, remedy string
	exempt         string // what to do about a certificate that is not valid though the clock is right
	cause          error
	outdated       bool // the certificate is not valid now
	untrusted      bool // nobody known has issued it
}

// diagnoseTLS tells what a failed handshake with who means. The kind of an error is
// no guide to the clock: the verifiers of some systems type what they find in their
// own way, so the time is compared with the certificate itself.
func diagnoseTLS(err error, now time.Time, who string) tlsFault {
	const (
		interceptor = "exempt " + whatsappHost + " from whatever inspects this machine's connections (a firewall, an antivirus, a proxy)"
		day         = time.DateOnly + " 15:04 MST"
	)
	f := tlsFault{
		detail: "the TLS handshake with " + who + " failed", cause: err, exempt: interceptor,
		remedy: "Let this machine connect to " + whatsappHost + " on port 443, and look for a firewall or filter that cuts TLS connections off.",
	}
	var (
		invalid   x509.CertificateInvalidError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		record    tls.RecordHeaderError
		verify    *tls.CertificateVerificationError
		cert      *x509.Certificate // that is not valid now
	)
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		cert = invalid.Cert
	}
	if errors.As(err, &verify) && len(verify.UnverifiedCertificates) > 0 {
		if leaf := verify.UnverifiedCertificates[0]; now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
			cert = leaf
		}
	}
	switch {
	case cert != nil:
		f.outdated = true
		f.cause = errors.New("the certificate is not valid now")
		f.detail = "the certificate of " + who + " is valid from " + cert.NotBefore.UTC().Format(day) +
			" to " + cert.NotAfter.UTC().Format(day) + ", and this machine's clock says " + now.UTC().Format(day)
	case errors.As(err, &authority):
		f.untrusted = true
		f.detail = "this machine does not trust the certificate of " + who
		if authority.Cert != nil {
			f.detail += ", which was issued by " + show(authority.Cert.Issuer.String())
		}
		f.remedy = capital(interceptor) + ", or trust its root certificate; on a small system install ca-certificates."
	case errors.As(err, &host):
		f.detail = "what answers for " + who + " has the certificate of another host"
		f.remedy = capital(interceptor) + ", and check what the name resolves to."
	case errors.As(err, &record):
		f.detail = "what answers for " + who + " does not speak TLS"
		f.remedy = "Log in to the network if it has a login page, or let this machine connect to " + whatsappHost + " on port 443."
	case isTimeout(err):
		f.detail = who + " accepts connections and does not answer the TLS handshake"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		f.cause = errors.New("the connection was closed")
	}
	return f
}

// isTLS reports whether an error comes from a TLS handshake.
func isTLS(err error) bool {
	var (
		record tls.RecordHeaderError
		verify *tls.CertificateVerificationError
		alert  tls.AlertError
	)
	return errors.As(err, &verify) || errors.As(err, &record) || errors.As(err, &alert)
}

func isTimeout(err error) bool {
	var timed net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timed) && timed.Timeout()
}

// atTheirOwnTime is config with every certificate looked at as of the middle of its
// own life, and otherwise as strictly: by it nothing but the time is asked.
func atTheirOwnTime(config *tls.Config) *tls.Config {
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	config = config.Clone()
	strict := !config.InsecureSkipVerify
	config.InsecureSkipVerify = true // what it skips is done here
	further := config.VerifyConnection
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if strict {
			leaf := state.PeerCertificates[0]
			options := x509.VerifyOptions{
				Roots: config.RootCAs, DNSName: state.ServerName, Intermediates: x509.NewCertPool(),
				CurrentTime: leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2),
			}
			for _, cert := range state.PeerCertificates[1:] {
				options.Intermediates.AddCert(cert)
			}
			if _, err := leaf.Verify(options); err != nil {
				return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
			}
		}
		if further != nil {
			return further(state)
		}
		return nil
	}
	return config
}
