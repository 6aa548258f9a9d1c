package wire

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
	waLog "go.mau.fi/whatsmeow/util/log"

	"github.com/walink/walink/internal/number"
	"github.com/walink/walink/internal/redact"
)

// logger gives whatsmeow's log to slog, without a secret at any level.
//
// whatsmeow prints whole nodes (keys, refs, codes), payloads and numbers at
// debug level. Here a node is reduced to its shape, a JID to its last digits,
// bytes to their count, and every other text is masked.
//
// The logger is also the tap. whatsmeow gives every node to its loggers "Recv" and
// "Send" as a *waBinary.Node before whatsmeow handles or sends the node (handleFrame
// and sendNodeAndGetData in its client.go), and its debug log says when it has torn
// down a connection that had ended (onDisconnect in the same file).
// Delete the tap when whatsmeow has handlers for nodes.
type logger struct {
	*sink
	module string
}

// sink is what the loggers of a client have in common.
type sink struct {
	ctx context.Context // whatsmeow's logger interface hands none on
	log *slog.Logger

	received, sending func(*waBinary.Node)
	opened            func() // whatsmeow handles nodes
	gone              func() // whatsmeow has torn down a connection that had ended
}

var _ waLog.Logger = (*logger)(nil)

// Sub returns the logger of a part of whatsmeow.
func (l *logger) Sub(module string) waLog.Logger {
	return &logger{l.sink, module}
}

// Errorf logs at the error level.
func (l *logger) Errorf(msg string, args ...any) { l.logf(slog.LevelError, msg, args) }

// Warnf logs at the warn level.
func (l *logger) Warnf(msg string, args ...any) {
	level := slog.LevelWarn
	if strings.HasPrefix(msg, "Failed to handle passkey continuation notification") {
		level = slog.LevelDebug // it always fails, because walink takes the steps of the ceremony itself
	}
	l.logf(level, msg, args)
}

// Infof logs at the info level.
func (l *logger) Infof(msg string, args ...any) { l.logf(slog.LevelInfo, msg, args) }

// Debugf logs at the debug level, and passes nodes on to the tap (tap.go).
func (l *logger) Debugf(msg string, args ...any) {
	if len(args) == 0 && l.module == "" {
		l.note(msg)
	}
	if len(args) == 1 {
		if node, ok := args[0].(*waBinary.Node); ok {
			switch l.module {
			case "Recv":
				l.received(node)
			case "Send":
				l.sending(node)
			}
		}
	}
	l.logf(slog.LevelDebug, msg, args)
}

// note sees the lines without arguments. Each of the three ways through onDisconnect
// ends with its own line.
func (l *logger) note(msg string) {
	switch msg {
	case "Emitting Disconnected event",
		"OnDisconnect() called, but it was expected, so not emitting event",
		"OnDisconnect() called after manual disconnection":
		l.gone()
	case "Starting handler queue loop":
		l.opened()
	}
}

func (l *logger) logf(level slog.Level, msg string, args []any) {
	if !l.log.Enabled(l.ctx, level) {
		return
	}
	safe := make([]any, len(args))
	for i, arg := range args {
		safe[i] = safeArg(arg)
	}
	// %p prints a pointer, and safeArg leaves nothing of that but its type.
	line := fmt.Sprintf(strings.ReplaceAll(msg, "%p", "%s"), safe...)
	l.log.LogAttrs(l.ctx, level, redact.Plain(line), slog.String("module", l.module))
}

// safeArg reduces arguments that are known to hold secrets, and masks every text.
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
		return redact.Text(a)
	case error, fmt.Stringer:
		return redact.Text(fmt.Sprint(a))
	}
	return fmt.Sprintf("[%T]", arg) // not printed: whatsmeow may be changing it at this moment
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
	return fmt.Sprintf("%s:%d@%s", number.Redacted(number.Digits(jid.User)), jid.Device, jid.Server)
}
