//go:build race

package storetest

// thin divides what is drawn at random and what is large: under the race
// detector SQLite in Go is some twenty times slower.
const thin = 10
