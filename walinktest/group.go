package walinktest

import (
	"fmt"
	"slices"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// Group is a group chat. Make one with Server.NewGroup. Its members do not change.
type Group struct {
	jid     types.JID
	name    string
	created time.Time
	members []string // their phone numbers; the first has made the group
}

// NewGroup returns a group of phones, which the first phone has made. A device that is linked
// to one of them is told about the group.
func (s *Server) NewGroup(name string, phones ...*Phone) *Group {
	group := &Group{name: name, created: time.Now()}
	for _, phone := range phones {
		if !slices.Contains(group.members, phone.number) {
			group.members = append(group.members, phone.number)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	group.jid = types.NewJID(fmt.Sprintf("120363%012d", s.id()), types.GroupServer)
	s.groups[group.jid] = group
	for _, e := range s.members(group) {
		if e.device != 0 {
			s.deliver(e, s.notification("w:gp2", group.jid, waBinary.Node{
				Tag:     "create", // parseGroupCreate of whatsmeow
				Attrs:   waBinary.Attrs{"type": "new"},
				Content: []waBinary.Node{s.describe(group)},
			}))
		}
	}
	return group
}

// JID returns the group's address.
func (g *Group) JID() types.JID { return g.jid }

// members returns the devices of a group's members. The caller holds mu.
func (s *Server) members(group *Group) []endpoint {
	var all []endpoint
	for _, number := range group.members {
		all = append(all, s.endpoints(s.phones[number])...)
	}
	return all
}

// describe returns a group as a node (parseGroupNode of whatsmeow). Its members go by their
// hidden addresses. The caller holds mu.
func (s *Server) describe(group *Group) waBinary.Node {
	attrs := waBinary.Attrs{
		"id":              group.jid.User,
		"subject":         group.name,
		"creation":        group.created.Unix(),
		"s_t":             group.created.Unix(),
		"size":            len(group.members),
		"addressing_mode": "lid",
	}
	var participants []waBinary.Node
	for i, number := range group.members {
		phone := s.phones[number]
		participant := waBinary.Attrs{"jid": phone.lid, "phone_number": phone.jid}
		if i == 0 {
			participant["type"] = "superadmin"
			attrs["creator"], attrs["creator_pn"] = phone.lid, phone.jid
			attrs["s_o"], attrs["s_o_pn"] = phone.lid, phone.jid
		}
		participants = append(participants, waBinary.Node{Tag: "participant", Attrs: participant})
	}
	return waBinary.Node{Tag: "group", Attrs: attrs, Content: participants}
}

// handleGroups answers a question about a group (getGroupInfo of whatsmeow), or about all
// groups of the account (GetJoinedGroups).
func (c *conn) handleGroups(request *waBinary.Node) {
	s, number := c.srv, c.device.jid.User
	to, _ := request.Attrs["to"].(types.JID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, all := request.GetOptionalChildByTag("participating"); all {
		var groups []waBinary.Node
		for _, group := range s.groups {
			if slices.Contains(group.members, number) {
				groups = append(groups, s.describe(group))
			}
		}
		c.result(request, waBinary.Node{Tag: "groups", Content: groups})
		return
	}
	group, reason := s.group(to, number)
	if _, ok := request.GetOptionalChildByTag("query"); !ok {
		c.refuse(request, Refuse(501))
	} else if reason != "" {
		c.refuse(request, Refuse(reason.code()))
	} else {
		c.result(request, s.describe(group))
	}
}

// group returns a group of which a number is a member. The caller holds mu.
func (s *Server) group(jid types.JID, number string) (*Group, Refusal) {
	group := s.groups[jid]
	switch {
	case group == nil:
		return nil, ErrNoGroup
	case !slices.Contains(group.members, number):
		return nil, ErrNotMember
	default:
		return group, ""
	}
}
