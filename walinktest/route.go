package walinktest

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// endpoint is a device that can send and receive messages: a phone, which has device number
// 0, or a device that is linked to it.
type endpoint struct {
	phone  *Phone
	device uint16
}

func (d *device) endpoint() endpoint { return endpoint{d.phone, d.jid.Device} }

// at returns the endpoint's address at a server: the hidden address, or the one with the number.
func (e endpoint) at(server string) types.JID {
	jid := e.phone.jid
	if server == types.HiddenUserServer {
		jid = e.phone.lid
	}
	jid.Device = e.device
	return jid
}

// account returns the phone of an account, or nil if nobody has the address. The caller
// holds mu.
func (s *Server) account(jid types.JID) *Phone {
	switch jid.Server {
	case types.DefaultUserServer:
		return s.phones[jid.User]
	case types.HiddenUserServer:
		return s.lids[jid.User]
	default:
		return nil
	}
}

// endpoint returns the device at an address. Its phone is nil if there is no such device. The caller holds mu.
func (s *Server) endpoint(jid types.JID) endpoint {
	phone := s.account(jid)
	if phone == nil || jid.Device != 0 && s.devices[deviceID{phone.number, jid.Device}] == nil {
		return endpoint{}
	}
	return endpoint{phone, jid.Device}
}

// endpoints returns an account's phone and devices, by their numbers. The caller holds mu.
func (s *Server) endpoints(phone *Phone) []endpoint {
	all := []endpoint{{phone, 0}}
	for number := uint16(1); number <= maxDevice; number++ {
		if s.devices[deviceID{phone.number, number}] != nil {
			all = append(all, endpoint{phone, number})
		}
	}
	return all
}

// deliver gives a node to a device. A linked device gets the node now if it is connected, and
// at each login until it acknowledges the node. The caller holds mu.
func (s *Server) deliver(to endpoint, node waBinary.Node) {
	if to.device == 0 {
		to.phone.arrive(node)
		return
	}
	device := s.devices[deviceID{to.phone.number, to.device}]
	device.waiting = append(device.waiting, node)
	if device.active {
		device.conn.sendAcked(node)
	}
}

// notification returns a notification, for deliver. The caller holds mu.
func (s *Server) notification(kind string, from types.JID, child waBinary.Node) waBinary.Node {
	return waBinary.Node{
		Tag:     "notification",
		Attrs:   waBinary.Attrs{"from": from, "type": kind, "id": strconv.Itoa(s.id()), "t": time.Now().Unix()},
		Content: []waBinary.Node{child},
	}
}

// audience returns the devices that get a message: those of the account or the group, and the
// others of the sender's account. The caller holds mu.
func (s *Server) audience(from endpoint, to types.JID) ([]endpoint, Refusal) {
	if s.endpoint(from.at(types.DefaultUserServer)) != from {
		return nil, ErrNoDevice
	}
	if to.Server == types.GroupServer {
		group, reason := s.group(to, from.phone.number)
		if reason != "" {
			return nil, reason
		}
		return s.members(group), ""
	}
	phone := s.account(to)
	if phone == nil {
		return nil, ErrNoAccount
	}
	if s.endpoint(to).phone == nil {
		return nil, ErrNoDevice
	}
	all := s.endpoints(phone)
	if phone != from.phone {
		all = append(all, s.endpoints(from.phone)...)
	}
	return all, ""
}

// message routes a message that a device sends to a chat (prepareMessageNode of whatsmeow), or
// again to one device that could not decrypt it (handleRetryReceipt). It returns the answer.
func (s *Server) message(from endpoint, node *waBinary.Node) waBinary.Node {
	to, _ := node.Attrs["to"].(types.JID)
	ack := waBinary.Node{Tag: "ack", Attrs: waBinary.Attrs{
		"class": "message",
		"id":    text(node.Attrs["id"]),
		"from":  to,
		"t":     time.Now().Unix(),
	}}
	s.mu.Lock()
	defer s.mu.Unlock()
	audience, reason := s.audience(from, to)
	if reason != "" {
		ack.Attrs["error"] = strconv.Itoa(reason.code())
		return ack
	}
	sealed := make(map[endpoint][]waBinary.Node)
	participants, fanout := node.GetOptionalChildByTag("participants")
	for _, child := range participants.GetChildrenByTag("to") {
		jid, _ := child.Attrs["jid"].(types.JID)
		sealed[s.endpoint(jid)] = child.GetChildrenByTag("enc")
	}
	direct := node.GetChildrenByTag("enc")
	switch participant, again := node.Attrs["participant"].(types.JID); {
	case again:
		sealed[s.endpoint(participant)] = direct
	case to.Server == types.GroupServer: // one for all, with the sender's key
		for _, target := range audience {
			sealed[target] = slices.Concat(sealed[target], direct)
		}
	case !fanout:
		sealed[s.endpoint(to)] = direct
	}
	known := 0
	for _, target := range audience {
		if target == from || len(sealed[target]) > 0 {
			known++
		}
		if target != from && len(sealed[target]) > 0 {
			s.deliver(target, s.envelope(from, target, node, sealed[target]))
		}
	}
	hash := participantHash(audience, addressed(to))
	if claimed := text(node.Attrs["phash"]); claimed != "" && claimed != hash ||
		fanout && to.Server != types.GroupServer && (known != len(audience) || len(sealed[endpoint{}]) > 0) {
		ack.Attrs["phash"] = hash
	}
	return ack
}

// envelope returns a message as one device gets it (parseMessageSource of whatsmeow). The
// addresses are of the kind that the sender has used.
func (s *Server) envelope(from, target endpoint, node *waBinary.Node, sealed []waBinary.Node) waBinary.Node {
	to, _ := node.Attrs["to"].(types.JID)
	server, other, mode, alternative := types.DefaultUserServer, types.HiddenUserServer, "pn", "lid"
	if addressed(to) == types.HiddenUserServer {
		server, other, mode, alternative = other, server, alternative, mode
	}
	attrs := waBinary.Attrs{
		"id":              text(node.Attrs["id"]),
		"type":            cmp.Or(text(node.Attrs["type"]), "text"),
		"t":               time.Now().Unix(),
		"from":            from.at(server),
		"addressing_mode": mode,
	}
	if from.phone.pushName != "" {
		attrs["notify"] = from.phone.pushName
	}
	copyAttrs(attrs, node.Attrs, "edit", "category")
	switch recipient, again := node.Attrs["recipient"].(types.JID); {
	case to.Server == types.GroupServer:
		attrs["from"], attrs["participant"], attrs["participant_pn"] = to, from.at(server), from.at(other)
	case target.phone != from.phone:
		attrs["sender_"+alternative] = from.at(other)
	case again:
		attrs["recipient"] = recipient
	case s.account(to) != from.phone:
		attrs["recipient"] = to.ToNonAD()
		attrs["peer_recipient_"+alternative] = endpoint{phone: s.account(to)}.at(other)
	}
	children := slices.Clone(sealed)
	for _, child := range node.GetChildren() {
		switch child.Tag {
		case "participants", "enc", "tctoken", "cstoken", "reporting":
		case "device-identity":
			if begins(sealed) {
				children = append(children, child)
			}
		default:
			children = append(children, child)
		}
	}
	return waBinary.Node{Tag: "message", Attrs: attrs, Content: children}
}

// begins reports whether enc nodes begin a session.
func begins(sealed []waBinary.Node) bool {
	return slices.ContainsFunc(sealed, func(enc waBinary.Node) bool { return text(enc.Attrs["type"]) == "pkmsg" })
}

// addressed returns the kind of addresses in a chat: those of groups are hidden.
func addressed(to types.JID) string {
	if to.Server == types.GroupServer {
		return types.HiddenUserServer
	}
	return to.Server
}

// participantHash returns the hash of a list of devices (participantListHashV2 of whatsmeow).
func participantHash(devices []endpoint, server string) string {
	addresses := make([]string, 0, len(devices))
	for _, device := range devices {
		addresses = append(addresses, device.at(server).ADString())
	}
	slices.Sort(addresses)
	sum := sha256.Sum256([]byte(strings.Join(addresses, "")))
	return "2:" + base64.RawStdEncoding.EncodeToString(sum[:6])
}

// receipt routes a receipt (sendMessageReceipt, MarkRead and sendRetryReceipt of whatsmeow)
// to the devices of the message's sender, or to the one device that it concerns.
func (s *Server) receipt(from endpoint, node *waBinary.Node) {
	to, _ := node.Attrs["to"].(types.JID)
	attrs := make(waBinary.Attrs)
	maps.Copy(attrs, node.Attrs)
	delete(attrs, "to")
	attrs["from"], attrs["t"] = from.at(to.Server), time.Now().Unix()
	if to.Server == types.GroupServer {
		attrs["from"], attrs["participant"] = to, from.at(types.HiddenUserServer)
		to, _ = node.Attrs["participant"].(types.JID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	phone := s.account(to)
	if phone == nil {
		return
	}
	targets := s.endpoints(phone)
	switch text(node.Attrs["type"]) {
	case "retry", "sender", "peer_msg", "hist_sync", "server-error":
		targets = []endpoint{s.endpoint(to)}
	case "read-self", "played-self":
		targets = s.endpoints(from.phone)
	}
	for _, target := range targets {
		if target != from && target.phone != nil {
			s.deliver(target, waBinary.Node{Tag: "receipt", Attrs: attrs, Content: node.Content})
		}
	}
}

// acknowledge takes nodes out of a device's queue. answer is the ack of one of them, or the
// receipt of messages, which whatsmeow sends instead of an ack (decryptMessages).
func (s *Server) acknowledge(d *device, answer *waBinary.Node) {
	tag, ids := text(answer.Attrs["class"]), []string{text(answer.Attrs["id"])}
	if answer.Tag == "receipt" {
		tag = "message"
		list := answer.GetChildByTag("list")
		for _, item := range list.GetChildrenByTag("item") {
			ids = append(ids, text(item.Attrs["id"]))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		i := slices.IndexFunc(d.waiting, func(node waBinary.Node) bool {
			return node.Tag == tag && text(node.Attrs["id"]) == id &&
				node.Attrs["from"] == answer.Attrs["to"] && node.Attrs["participant"] == answer.Attrs["participant"] &&
				(tag != "receipt" || text(node.Attrs["type"]) == text(answer.Attrs["type"]))
		})
		if i >= 0 {
			d.waiting = slices.Delete(d.waiting, i, i+1)
			if d.conn != nil {
				d.conn.acked(id)
			}
		}
	}
}

// backlog returns the announcement of the nodes that wait for a device (handleIB of
// whatsmeow), or false if there are none. The caller holds mu.
func (d *device) backlog() (preview waBinary.Node, ok bool) {
	count := make(map[string]int)
	for _, node := range d.waiting {
		count[node.Tag]++
	}
	return ib(waBinary.Node{Tag: "offline_preview", Attrs: waBinary.Attrs{
		"count":        len(d.waiting),
		"message":      count["message"],
		"receipt":      count["receipt"],
		"notification": count["notification"],
		"call":         0, // which WhatsApp Web requires (WAWebHandleInfoBulletin)
		"appdata":      0,
	}}), len(d.waiting) > 0
}

// activate sends a device what waits for it, and from then on every node at once, or stops
// doing so (SetPassive of whatsmeow). The attribute offline counts how often a node has come
// so before (WAWebOfflineHandler of WhatsApp Web).
func (c *conn) activate(active bool) {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	if c.device.conn != c {
		return // a later connection has replaced this one
	}
	was := c.device.active
	c.device.active = active
	if !active {
		return
	}
	waiting := c.device.waiting
	if was {
		waiting = nil
	}
	for i := range waiting {
		node := &waiting[i]
		before, again := node.Attrs["offline"].(int)
		node.Attrs = maps.Clone(node.Attrs) // other devices may have the same
		if node.Attrs["offline"] = 0; again {
			node.Attrs["offline"] = before + 1
		}
		c.sendAcked(*node)
	}
	c.send(ib(waBinary.Node{Tag: "offline", Attrs: waBinary.Attrs{"count": len(waiting)}}))
	if !c.device.greeted && !was {
		c.after(firstMinuteDelay, func() {
			c.perform(StageFirstMinute, c.fail, func(Action) { c.beginFirstMinute() })
		})
	}
}

func ib(child waBinary.Node) waBinary.Node {
	return waBinary.Node{Tag: "ib", Attrs: waBinary.Attrs{"from": types.ServerJID}, Content: []waBinary.Node{child}}
}

// notifyDevices tells an account's other devices that a device was linked
// (handleOwnDevicesNotification of whatsmeow). Other accounts learn that from the hash in the
// answer to their next message. No device learns of a removal: whatsmeow has a data race if a
// device is removed while it handles this notification (Device.Delete in store/store.go).
// The caller holds mu.
func (s *Server) notifyDevices(changed endpoint) {
	all := s.endpoints(changed.phone)
	children := make([]waBinary.Node, 0, len(all))
	for _, e := range all {
		children = append(children, s.deviceNode(e, waBinary.Attrs{"jid": e.at(types.DefaultUserServer)}))
	}
	devices := waBinary.Node{
		Tag:     "devices",
		Attrs:   waBinary.Attrs{"dhash": participantHash(all, types.DefaultUserServer)},
		Content: children,
	}
	s.tellOthers(changed, s.notification("account_sync", changed.phone.jid, devices))
}

// tellOthers sends a notification to the linked devices of an account but for one. The caller holds mu.
func (s *Server) tellOthers(but endpoint, notification waBinary.Node) {
	for _, e := range s.endpoints(but.phone) {
		if e.device != 0 && e != but {
			s.deliver(e, notification)
		}
	}
}
