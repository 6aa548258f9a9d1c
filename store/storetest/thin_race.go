//go:build race

package storetest

// thin divides the number of random and large values: SQLite in Go is some
// twenty times slower under the race detector.
const thin = 10
