package walinktest

import (
	"maps"
	"strconv"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// location is where the server says that it is.
const location = "lla"

// result answers an IQ.
func (c *conn) result(request *waBinary.Node, children ...waBinary.Node) {
	answer := waBinary.Node{Tag: "iq", Attrs: waBinary.Attrs{
		"from": types.ServerJID,
		"type": "result",
		"id":   text(request.Attrs["id"]),
	}}
	if len(children) > 0 {
		answer.Content = children
	}
	c.send(answer)
}

// refuse answers an IQ with an error.
func (c *conn) refuse(request *waBinary.Node, action Action) {
	child := iqError(action.code)
	maps.Copy(child.Attrs, action.attrs)
	c.send(waBinary.Node{
		Tag:     "iq",
		Attrs:   waBinary.Attrs{"from": types.ServerJID, "type": "error", "id": text(request.Attrs["id"])},
		Content: []waBinary.Node{child},
	})
}

// iqError returns the error in an answer, or in a part of it.
func iqError(code int) waBinary.Node {
	return waBinary.Node{Tag: "error", Attrs: waBinary.Attrs{"code": strconv.Itoa(code), "text": errorText(code)}}
}

// fail sends a failure node and closes the connection. WhatsApp Web requires a location
// (WAWebHandleFailure).
func (c *conn) fail(action Action) {
	attrs := waBinary.Attrs{"reason": strconv.Itoa(action.code), "location": location}
	maps.Copy(attrs, action.attrs)
	c.endWith(waBinary.Node{Tag: "failure", Attrs: attrs})
}

// streamError returns a stream error.
func streamError(code int, conflict string) waBinary.Node {
	node := waBinary.Node{Tag: "stream:error", Attrs: waBinary.Attrs{}}
	if code != 0 {
		node.Attrs["code"] = strconv.Itoa(code)
	}
	if conflict != "" {
		node.Content = []waBinary.Node{{Tag: "conflict", Attrs: waBinary.Attrs{"type": conflict}}}
	}
	return node
}

// endWith sends a node and closes the connection.
func (c *conn) endWith(node waBinary.Node) {
	c.send(node)
	c.after(closeDelay, c.close)
}

// errorText returns the text of an IQ error (errors.go of whatsmeow).
func errorText(code int) string {
	switch code {
	case 400:
		return "bad-request"
	case 401:
		return "not-authorized"
	case 403:
		return "forbidden"
	case 404:
		return "item-not-found"
	case 405:
		return "not-allowed"
	case 406:
		return "not-acceptable"
	case 410:
		return "gone"
	case 419:
		return "resource-limit"
	case 423:
		return "locked"
	case 429:
		return "rate-overlimit"
	case 452:
		return "feature-not-available" // no linking by code for this number: WASmaxInMdIqMixinErrors of WhatsApp Web
	case 500:
		return "internal-server-error"
	case 501:
		return "feature-not-implemented"
	case 503:
		return "service-unavailable"
	default:
		return "partial-server-error"
	}
}
