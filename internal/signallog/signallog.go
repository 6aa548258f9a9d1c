// Package signallog sets up libsignal's logger before two goroutines can do so
// at once. libsignal v0.2.2 (logger/Logger.go) makes a global logger without a
// lock at the first line that it logs, and signing a key logs a line; the race
// detector reported it. A program that has set its own logger keeps it, and can
// still set one afterwards. Delete when libsignal makes its logger safely.
package signallog

import "go.mau.fi/libsignal/logger"

//nolint:gochecknoinits // must run before the first use
func init() {
	if logger.Logger == nil {
		logger.Debug("") // the default logger does not print this level
	}
}
