package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/walink/walink"
)

// checkClock compares this machine's clock with WhatsApp's.
func (d *doctor) checkClock(context.Context) finding {
	const tolerance, limit = time.Minute, 5 * time.Minute
	if d.heard.date.IsZero() {
		if culprit := d.culprit("websocket"); culprit != "" {
			return d.because(culprit)
		}
		return skip("WhatsApp did not say what time it is")
	}
	offset := d.heard.ahead()
	direction := map[bool]string{false: "ahead of", true: "behind"}[offset < 0]
	detail := fmt.Sprintf("this machine's clock is %s %s WhatsApp's", spoken(offset.Abs().Round(time.Second)), direction)
	const cause = "the clock is wrong"
	switch {
	case offset.Abs() > limit:
		return wrong(detail, walink.ErrNetwork, cause, remedyClock)
	case offset.Abs() > tolerance:
		return warn(detail, walink.ErrNetwork, cause, remedyClock)
	}
	return good("this machine's clock agrees with WhatsApp's")
}
