package measure

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Header begins a Markdown table with numbers in all columns but the first.
func Header(out io.Writer, cells ...string) {
	Line(out, cells...)
	_, _ = fmt.Fprintln(out, "|---|"+strings.Repeat("---:|", len(cells)-1))
}

// Line writes a row of a Markdown table.
func Line(out io.Writer, cells ...string) {
	_, _ = fmt.Fprintln(out, "| "+strings.Join(cells, " | ")+" |")
}

// Short writes a time with three digits.
func Short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.3g s", d.Seconds())
}
