// Package signallog gives libsignal its logger before two goroutines can do so
// at once: libsignal v0.2.2 makes a global one at the first line that is
// logged, unguarded, and signing a key logs a line. A program that has set one
// up keeps it, and can still set one up afterwards.
package signallog

import "go.mau.fi/libsignal/logger"

//nolint:gochecknoinits // a race with the first use is avoided only before there is one
func init() {
	if logger.Logger == nil {
		logger.Debug("") // the default logger does not print this level
	}
}
