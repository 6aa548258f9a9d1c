package walinktest

import (
	"strings"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/internal/number"
)

// usync answers a question about accounts (Client.usync of whatsmeow).
func (c *conn) usync(request *waBinary.Node) {
	query, list := request.GetChildByTag("usync", "query"), request.GetChildByTag("usync", "list")
	usync := request.GetChildByTag("usync")
	var users []waBinary.Node
	for _, user := range list.GetChildrenByTag("user") {
		users = append(users, c.srv.lookUpUser(&user, query.GetChildren()))
	}
	c.result(request, waBinary.Node{
		Tag:     "usync",
		Attrs:   usync.Attrs,
		Content: []waBinary.Node{{Tag: "result"}, {Tag: "list", Content: users}},
	})
}

// lookUpUser answers questions about one account, which user names by address or phone number.
// The answer has error 404 for each question about an account that does not exist.
func (s *Server) lookUpUser(user *waBinary.Node, questions []waBinary.Node) waBinary.Node {
	jid, _ := user.Attrs["jid"].(types.JID)
	asked := content(user, "contact")
	if asked != nil { // as +5511987654321 or +5511987654321@c.us
		written, _, _ := strings.Cut(string(asked), "@")
		jid = types.NewJID(number.Digits(written), types.DefaultUserServer)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	phone := s.account(jid)
	answer := waBinary.Node{Tag: "user", Attrs: waBinary.Attrs{"jid": jid}}
	var children []waBinary.Node
	for _, question := range questions {
		child := waBinary.Node{Tag: question.Tag}
		switch {
		case question.Tag == "contact":
			child.Content, child.Attrs = asked, waBinary.Attrs{"type": "out"}
			if phone != nil {
				child.Attrs["type"] = "in"
				if text(question.Attrs["addressing_mode"]) == "lid" {
					answer.Attrs = waBinary.Attrs{"jid": phone.lid, "pn_jid": phone.jid}
				}
			}
		case phone == nil:
			child.Content = []waBinary.Node{iqError(404)}
		case question.Tag == "lid" && jid.Server == types.DefaultUserServer:
			child.Attrs = waBinary.Attrs{"val": phone.lid}
		case question.Tag == "devices":
			child.Content = s.deviceList(phone)
		}
		children = append(children, child)
	}
	answer.Content = children
	return answer
}

// deviceList returns the devices of an account, and the phone's own list of the key indexes
// (parseDeviceList of whatsmeow reads the first, WhatsApp Web both). The caller holds mu.
func (s *Server) deviceList(phone *Phone) []waBinary.Node {
	var devices []waBinary.Node
	for _, e := range s.endpoints(phone) {
		devices = append(devices, s.deviceNode(e, waBinary.Attrs{"id": int(e.device)}))
	}
	list := []waBinary.Node{{Tag: "device-list", Content: devices}}
	if len(devices) > 1 {
		ts := waBinary.Attrs{"ts": time.Now().Unix()}
		list = append(list, waBinary.Node{Tag: "key-index-list", Attrs: ts, Content: phone.keyIndexList()})
	}
	return list
}

// deviceNode returns a device in a list, with the key index that all but phones have. The
// caller holds mu.
func (s *Server) deviceNode(e endpoint, attrs waBinary.Attrs) waBinary.Node {
	if device := s.devices[deviceID{e.phone.number, e.device}]; device != nil {
		attrs["key-index"] = int(device.keyIndex)
	}
	return waBinary.Node{Tag: "device", Attrs: attrs}
}
