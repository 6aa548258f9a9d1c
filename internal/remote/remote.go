// Package remote judges the way to the server of a database.
package remote

import (
	"crypto/tls"
	"net/netip"
)

// Verified reports whether nobody on the way to host can read or change what is sent:
// host is this machine, or config demands a certificate of the host itself. A config that
// skips Go's verification does so only with its own VerifyConnection.
func Verified(host string, config *tls.Config) bool {
	address, err := netip.ParseAddr(host)
	if host == "localhost" || err == nil && address.Unmap().IsLoopback() {
		return true
	}
	return config != nil && (!config.InsecureSkipVerify || config.VerifyConnection != nil)
}
