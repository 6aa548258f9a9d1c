package walinktest

import (
	"cmp"
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
	texts := map[int]string{
		400: "bad-request",
		401: "not-authorized",
		403: "forbidden",
		404: "item-not-found",
		405: "not-allowed",
		406: "not-acceptable",
		409: "conflict",
		410: "gone",
		419: "resource-limit",
		423: "locked",
		429: "rate-overlimit",
		452: "feature-not-available", // no linking by code for this number: WASmaxInMdIqMixinErrors of WhatsApp Web
		500: "internal-server-error",
		501: "feature-not-implemented",
		503: "service-unavailable",
	}
	return cmp.Or(texts[code], "partial-server-error")
}
