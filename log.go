package walink

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
	waLog "go.mau.fi/whatsmeow/util/log"
)

// waLogger gives whatsmeow's log to slog, without a secret at any level.
//
// whatsmeow prints whole nodes (keys, refs, codes), payloads and numbers at
// debug level. Here a node is reduced to its shape, a JID to its last digits,
// bytes to their count, and in every other text whatever looks like a key, a
// code or a phone number is masked.
//
// It is also the tap: whatsmeow gives every node to its loggers "Recv" and
// "Send" as a *waBinary.Node before it is handled or sent (handleFrame and
// sendNodeAndGetData in its client.go), and says at debug level when it has let
// go of a connection that had ended (onDisconnect in the same file).
type waLogger struct {
	ctx    context.Context //nolint:containedctx // whatsmeow's logger interface hands none on
	log    *slog.Logger
	module string
	recv   func(*waBinary.Node)
	send   func(*waBinary.Node)
	opened func()
	gone   func()
}

var _ waLog.Logger = (*waLogger)(nil)

// Sub returns the logger of a part of whatsmeow.
func (l *waLogger) Sub(module string) waLog.Logger {
	sub := *l
	sub.module = module
	return &sub
}

// Errorf logs at the error level.
func (l *waLogger) Errorf(msg string, args ...any) { l.logf(slog.LevelError, msg, args) }

// Warnf logs at the warn level.
func (l *waLogger) Warnf(msg string, args ...any) { l.logf(slog.LevelWarn, msg, args) }

// Infof logs at the info level.
func (l *waLogger) Infof(msg string, args ...any) { l.logf(slog.LevelInfo, msg, args) }

// Debugf logs at the debug level, and feeds the taps.
func (l *waLogger) Debugf(msg string, args ...any) {
	if len(args) == 0 && l.module == "" {
		l.note(msg)
	}
	if len(args) == 1 {
		if node, ok := args[0].(*waBinary.Node); ok {
			switch l.module {
			case "Recv":
				l.recv(node)
			case "Send":
				l.send(node)
			}
		}
	}
	l.logf(slog.LevelDebug, msg, args)
}

// note sees the lines without arguments. Each end of onDisconnect has its own, and
// a fourth is about a connection that has been left before.
func (l *waLogger) note(msg string) {
	switch msg {
	case "Emitting Disconnected event",
		"OnDisconnect() called, but it was expected, so not emitting event",
		"OnDisconnect() called after manual disconnection":
		l.gone()
	case "Starting handler queue loop":
		l.opened()
	}
}

func (l *waLogger) logf(level slog.Level, msg string, args []any) {
	if !l.log.Enabled(l.ctx, level) {
		return
	}
	safe := make([]any, len(args))
	for i, arg := range args {
		safe[i] = safeArg(arg)
	}
	// %p shows a pointer, of which nothing but its type is left.
	l.log.LogAttrs(l.ctx, level, fmt.Sprintf(strings.ReplaceAll(msg, "%p", "%s"), safe...), slog.String("module", l.module))
}

// safeArg reduces what is known to hold secrets, and masks every text.
func safeArg(arg any) any {
	switch a := arg.(type) {
	case *waBinary.Node:
		return shape(a)
	case waBinary.Node:
		return shape(&a)
	case []byte:
		return fmt.Sprintf("[%d bytes]", len(a))
	case types.JID:
		return redactJID(a)
	case *types.JID:
		if a == nil {
			return arg
		}
		return redactJID(*a)
	case nil, bool, int, int32, int64, uint, uint8, uint16, uint32, uint64, float64, time.Duration, time.Time:
		return arg
	case string:
		return mask(a)
	case error, fmt.Stringer:
		return mask(fmt.Sprint(a))
	}
	return fmt.Sprintf("[%T]", arg) // whatsmeow may be changing it at this moment
}

// shape is a node without its content: tag, type, and the tags of its children.
func shape(n *waBinary.Node) string {
	if n == nil {
		return "<nil>"
	}
	parts := []string{n.Tag}
	for _, key := range []string{"type", "xmlns", "code", "reason", "stage"} {
		if v, ok := n.Attrs[key].(string); ok {
			parts = append(parts, key+"="+v)
		}
	}
	for _, child := range n.GetChildren() {
		parts = append(parts, "<"+child.Tag+">")
	}
	return "<" + strings.Join(parts, " ") + ">"
}

func redactJID(jid types.JID) string {
	return fmt.Sprintf("%s:%d@%s", phoneFromDigits(jid.User).Redacted(), jid.Device, jid.Server)
}

// What a secret looks like: a QR payload, base64 or hex of 16 bytes and more, a
// pairing code, and seven digits or more in a row.
var (
	maskQR    = regexp.MustCompile(`\S*wa\.me/\S*|\S+,\S+,\S+,\S+`)
	maskLong  = regexp.MustCompile(`[A-Za-z0-9+/=_@-]{22,}`)
	maskCode  = regexp.MustCompile(`\b[1-9A-HJ-NP-Z]{4}-?[1-9A-HJ-NP-Z]{4}\b`)
	maskDigit = regexp.MustCompile(`\d{7,}`)
)

// mask replaces whatever looks like a secret.
func mask(line string) string {
	line = maskQR.ReplaceAllString(line, redacted)
	line = maskLong.ReplaceAllString(line, redacted)
	line = maskCode.ReplaceAllString(line, redacted)
	return maskDigit.ReplaceAllString(line, redacted)
}
