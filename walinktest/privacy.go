package walinktest

import (
	"slices"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// newPrivacy returns the privacy settings of a new account (parsePrivacySettings of whatsmeow).
func newPrivacy() []waBinary.Node {
	var settings []waBinary.Node
	for _, name := range []types.PrivacySettingType{
		types.PrivacySettingTypeGroupAdd, types.PrivacySettingTypeLastSeen, types.PrivacySettingTypeStatus,
		types.PrivacySettingTypeProfile, types.PrivacySettingTypeReadReceipts, types.PrivacySettingTypeOnline,
		types.PrivacySettingTypeCallAdd, types.PrivacySettingTypeMessages,
	} {
		attrs := waBinary.Attrs{"name": string(name), "value": string(types.PrivacySettingAll)}
		settings = append(settings, waBinary.Node{Tag: "category", Attrs: attrs})
	}
	return settings
}

// handlePrivacy returns the account's privacy settings (TryFetchPrivacySettings of whatsmeow), or
// changes one (SetPrivacySetting), or issues privacy tokens (issuePrivacyToken): the devices of
// each account that the request names get a new one, with which they may write to this account.
func (c *conn) handlePrivacy(request *waBinary.Node) {
	s, phone := c.srv, c.device.phone
	setting, tokens := request.GetChildByTag("privacy", "category"), request.GetChildByTag("tokens")
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(phone.privacy, func(n waBinary.Node) bool { return n.Attrs["name"] == setting.Attrs["name"] })
	switch {
	case text(request.Attrs["type"]) == "get":
		c.result(request, waBinary.Node{Tag: "privacy", Content: phone.privacy})
		return
	case i >= 0:
		phone.privacy = slices.Clone(phone.privacy) // a notification may wait with the old ones
		phone.privacy[i] = setting
		changed := waBinary.Node{Tag: "privacy", Content: []waBinary.Node{setting}}
		s.tellOthers(c.device.endpoint(), s.notification("account_sync", phone.jid, changed))
	case tokens.Tag != "tokens":
		c.refuse(request, Refuse(400))
		return
	}
	for _, token := range tokens.GetChildrenByTag("token") {
		jid, _ := token.Attrs["jid"].(types.JID)
		token.Content = random(16)
		issued := s.notification("privacy_token", phone.jid, waBinary.Node{Tag: "tokens", Content: []waBinary.Node{token}})
		issued.Attrs["sender_lid"] = phone.lid // handlePrivacyTokenNotification of whatsmeow
		if trusted := s.account(jid); trusted != nil {
			s.tellOthers(endpoint{phone: trusted}, issued)
		}
	}
	c.result(request)
}
