package wire

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/redact"
)

// logoutLimit is how long WhatsApp may take to answer that a device is unlinked.
const logoutLimit = 30 * time.Second

// Logout asks WhatsApp to remove the device, and returns once WhatsApp has done so. If
// ctx ends first, the failure has the cause of ctx.
//
// Logout is a copy of Logout in whatsmeow's client.go without the call of Disconnect,
// which is not safe while the server closes the connection (see transport).
// Delete the copy when Disconnect is safe.
func (c *Conn) Logout(ctx context.Context) *machine.Failure {
	failure := c.unlessGone(c.logout(ctx))
	if failure != nil {
		c.mu.Lock()
		c.leaveID = "" // a removal that comes later is the phone's
		c.mu.Unlock()
	}
	return failure
}

// unlessGone returns the failure of a Logout, unless WhatsApp has removed the device.
// whatsmeow may miss the removal, and then reports the end of the connection, perhaps
// before the tap has seen what came first.
func (c *Conn) unlessGone(failure *machine.Failure) *machine.Failure {
	if failure != nil && failure.Reason == machine.ReasonNetwork {
		await(c.gone, closeGrace)
	}
	if c.isGone() {
		return nil
	}
	return failure
}

// isGone reports whether WhatsApp has removed the device.
func (c *Conn) isGone() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

func (c *Conn) logout(ctx context.Context) *machine.Failure {
	const op = "unlink"
	internals := c.Client().DangerousInternals() //nolint:staticcheck // "deprecated" there means "dangerous"; nothing public sends an IQ
	id := internals.GenerateRequestID()
	answer := internals.WaitResponse(id)
	err := internals.SendNode(ctx, waBinary.Node{
		Tag:   "iq",
		Attrs: waBinary.Attrs{"id": id, "xmlns": "md", "type": "set", "to": types.ServerJID},
		Content: []waBinary.Node{{
			Tag:   "remove-companion-device",
			Attrs: waBinary.Attrs{"jid": c.device.GetJID(), "reason": "user_initiated"},
		}},
	})
	if err != nil && ctx.Err() == nil {
		return &machine.Failure{Reason: machine.ReasonNetwork, Op: op, Err: errors.New(redact.Text(err.Error()))}
	}
	timer := time.NewTimer(logoutLimit)
	defer timer.Stop()
	select {
	case node := <-answer:
		return logoutFailed(op, node)
	case <-timer.C:
		return &machine.Failure{Reason: machine.ReasonStalled, Op: op, Err: machine.ErrNoReply}
	case <-ctx.Done():
	}
	select {
	case node := <-answer: // the answer has come too, and the device may be gone
		return logoutFailed(op, node)
	default:
		return &machine.Failure{Reason: machine.ReasonCanceled, Op: op, Err: context.Cause(ctx)}
	}
}

// logoutFailed says what the answer to remove-companion-device means; nil is
// success. If the connection ends before the answer, whatsmeow gives the node that
// ended the connection as the answer.
func logoutFailed(op string, node *waBinary.Node) *machine.Failure {
	switch {
	case node == nil || node.Tag == "xmlstreamend":
		return &machine.Failure{Reason: machine.ReasonNetwork, Op: op, Err: errClosed}
	case node.Tag == "stream:error":
		failure, _ := streamError(node, true)
		if failure == nil {
			return &machine.Failure{Reason: machine.ReasonNetwork, Op: op, Err: errClosed}
		}
		failure.Op = op
		return failure
	case node.Attrs["type"] == "result":
		return nil
	}
	iq := iqError(node)
	failure := refused(op, machine.ReasonServer, iq)
	if iq.Code == http.StatusUnauthorized || iq.Code == http.StatusForbidden {
		failure.Reason = machine.ReasonForbidden
	}
	return failure
}

// iqError returns the error in the answer to an IQ.
func iqError(node *waBinary.Node) *whatsmeow.IQError {
	child := node.GetChildByTag("error")
	ag := child.AttrGetter()
	return &whatsmeow.IQError{Code: ag.OptionalInt("code"), Text: ag.OptionalString("text"), ErrorNode: &child, RawNode: node}
}
