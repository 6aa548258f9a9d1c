//go:build race || 386 || arm

package faults_test

// slow reports whether each use of a pairing code takes seconds instead of 0.03 s:
// under the race detector, and on 32 bits.
const slow = true
