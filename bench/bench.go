// Package bench compares walink with plain whatsmeow, written by hand as its
// documentation says, on the same fake server and in the same run:
//
//	go run ./bench/table
//
// prints the table of docs/performance.md, which also says how it is made. It
// takes about six minutes; with -quick one, for fewer samples and devices. The
// benchmarks of this package take the same measurements one by one, small ones
// unless they are told -full:
//
//	go test -run='^$' -bench=. ./bench
//	go test -run='^$' -bench=Memory ./bench -args -full
//
// In every iteration both sides do the same once, in turns. What is reported
// is the median of each and the ratio: below 1 walink takes less.
package bench
