// Package digits keeps phone numbers out of errors.
package digits

import "strings"

// least is how many digits in a row may be a number.
const least = 7

// Mask replaces seven digits and more in a row.
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
