// Package digits keeps phone numbers out of errors.
package digits

import "strings"

// least is the least number of digits in a row that may be a phone number.
const least = 7

// Mask replaces each run of seven digits or more by "[redacted]".
func Mask(text string) string {
	var b strings.Builder
	for rest := text; rest != ""; {
		run := 0
		for run < len(rest) && rest[run] >= '0' && rest[run] <= '9' {
			run++
		}
		switch {
		case run >= least:
			b.WriteString("[redacted]")
		case run == 0:
			run = 1
			fallthrough
		default:
			b.WriteString(rest[:run])
		}
		rest = rest[run:]
	}
	return b.String()
}
