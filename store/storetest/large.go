package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.mau.fi/util/random"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/store"
)

// largeValues stores values much larger than WhatsApp's.
func largeValues(ctx context.Context, st store.Store) error {
	device, err := linked(ctx, st, "default", 1)
	if err != nil {
		return err
	}
	const size = 1 << 20
	chat, value, text := JID(peer, 0), random.Bytes(size), random.String(size)
	_, _, err = device.Contacts.PutPushName(ctx, chat, text)
	if err := errors.Join(
		err,
		device.Sessions.PutSession(ctx, "1:0", value),
		device.SenderKeys.PutSenderKey(ctx, "group@g.us", "1:0", value),
		device.AppStateKeys.PutAppStateSyncKey(ctx, []byte("id"), wastore.AppStateSyncKey{Data: value, Fingerprint: value}),
		device.MsgSecrets.PutMessageSecret(ctx, chat, chat, "message", value),
		device.PrivacyTokens.PutPrivacyTokens(ctx, wastore.PrivacyToken{User: chat, Token: value, Timestamp: time.Now()}),
		device.NCTSalt.PutNCTSalt(ctx, value),
		device.EventBuffer.PutBufferedEvent(ctx, [32]byte{1}, value, time.Now()),
		device.EventBuffer.AddOutgoingEvent(ctx, chat, "message", "format", value),
	); err != nil {
		return err
	}
	if device, err = st.Device(ctx, "default"); err != nil {
		return err
	}
	var got [10][]byte
	var errs [10]error
	got[0], errs[0] = device.Sessions.GetSession(ctx, "1:0")
	got[1], errs[1] = device.SenderKeys.GetSenderKey(ctx, "group@g.us", "1:0")
	got[2], _, errs[2] = device.MsgSecrets.GetMessageSecret(ctx, chat, chat, "message")
	got[3], errs[3] = device.NCTSalt.GetNCTSalt(ctx)
	_, got[4], errs[4] = device.EventBuffer.GetOutgoingEvent(ctx, chat, types.JID{}, "message")
	key, err := device.AppStateKeys.GetAppStateSyncKey(ctx, []byte("id"))
	if errs[5] = err; key != nil && bytes.Equal(key.Fingerprint, value) {
		got[5] = key.Data
	}
	token, err := device.PrivacyTokens.GetPrivacyToken(ctx, chat)
	if errs[6] = err; token != nil {
		got[6] = token.Token
	}
	event, err := device.EventBuffer.GetBufferedEvent(ctx, [32]byte{1})
	if errs[7] = err; event != nil {
		got[7] = event.Plaintext
	}
	contact, err := device.Contacts.GetContact(ctx, chat)
	if errs[8] = err; contact.PushName == text {
		got[8] = value
	}
	many, err := device.Sessions.GetManySessions(ctx, []string{"1:0"})
	got[9], errs[9] = many["1:0"], err
	for i, what := range []string{
		"session", "sender key", "message secret", "NCT salt", "outgoing event", "app state key", "privacy token", "buffered event",
		"push name", "session, asked for as one of many,",
	} {
		if errs[i] == nil && !bytes.Equal(got[i], value) {
			errs[i] = fmt.Errorf("the %s of %d bytes came back with other bytes, %d of them", what, size, len(got[i]))
		}
	}
	return errors.Join(errs[:]...)
}

// largeBatches stores what a first login and a large account bring.
func largeBatches(ctx context.Context, st store.Store) error {
	device, err := linked(ctx, st, "default", 1)
	if err != nil {
		return err
	}
	user := func(i int) string { return "4915" + strconv.Itoa(10_000_000+i) }
	list := func(n int) []int {
		out := make([]int, n)
		for i := range out {
			out[i] = i
		}
		return out
	}
	contacts := mapped(list(10_000/thin), func(i int) wastore.ContactEntry {
		return wastore.ContactEntry{JID: JID(user(i), 0), FirstName: user(i), FullName: "Ana"}
	})
	lids := mapped(list(5000/thin), func(i int) wastore.LIDMapping {
		return wastore.LIDMapping{LID: types.JID{User: "77" + user(i), Server: types.HiddenUserServer}, PN: JID(user(i), 0)}
	})
	tokens := mapped(list(1500/thin), func(i int) wastore.PrivacyToken {
		return wastore.PrivacyToken{User: JID(user(i), 0), Token: []byte(user(i)), Timestamp: seconds(int64(i) + 1)}
	})
	macs := mapped(list(5000/thin), func(i int) wastore.AppStateMutationMAC {
		return wastore.AppStateMutationMAC{IndexMAC: fmt.Appendf(nil, "%032d", i), ValueMAC: fmt.Appendf(nil, "%032d", -i)}
	})
	addresses := mapped(list(2000/thin), func(i int) string { return user(i) + ":0" })
	sessions := map[string][]byte{}
	for _, address := range addresses {
		sessions[address] = []byte(address)
	}
	preKeys, err := device.PreKeys.GetOrGenPreKeys(ctx, 812)
	if err := errors.Join(
		err,
		device.PreKeys.MarkPreKeysAsUploaded(ctx, 812),
		device.Contacts.PutAllContactNames(ctx, slices.Clone(contacts)),
		device.LIDs.PutManyLIDMappings(ctx, slices.Clone(lids)),
		device.PrivacyTokens.PutPrivacyTokens(ctx, tokens...),
		device.AppState.PutAppStateVersion(ctx, "regular", 1, [128]byte{1}),
		device.AppState.PutAppStateMutationMACs(ctx, "regular", 1, macs),
		device.AppState.DeleteAppStateMutationMACs(ctx, "regular", mapped(macs[:1500/thin], func(m wastore.AppStateMutationMAC) []byte { return m.IndexMAC })),
		device.Sessions.PutManySessions(ctx, sessions),
	); err != nil {
		return err
	}

	if device, err = st.Device(ctx, "default"); err != nil {
		return err
	}
	uploaded, err := device.PreKeys.UploadedPreKeyCount(ctx)
	all, err2 := device.Contacts.GetAllContacts(ctx)
	many, err3 := device.Sessions.GetManySessions(ctx, addresses)
	found, err4 := device.LIDs.GetManyLIDsForPNs(ctx, mapped(lids, func(m wastore.LIDMapping) types.JID { return m.PN }))
	deleted, err5 := device.PrivacyTokens.DeleteExpiredPrivacyTokens(ctx, seconds(750/thin+1))
	gone, err6 := device.AppState.GetAppStateMutationMAC(ctx, "regular", macs[1500/thin-1].IndexMAC)
	left, err7 := device.AppState.GetAppStateMutationMAC(ctx, "regular", macs[1500/thin].IndexMAC)
	errs := []error{err, err2, err3, err4, err5, err6, err7}
	for what, counts := range map[string][2]int{
		"prekeys": {len(preKeys), 812}, "uploaded prekeys": {uploaded, 812}, "contacts": {len(all), len(contacts)},
		"sessions": {len(many), len(sessions)}, "LIDs": {len(found), len(lids)}, "expired privacy tokens": {int(deleted), 750 / thin},
		"bytes of a deleted MAC": {len(gone), 0}, "bytes of a MAC": {len(left), 32},
	} {
		if counts[0] != counts[1] {
			join(&errs, fmt.Errorf("%d %s, want %d", counts[0], what, counts[1]))
		}
	}
	for i, m := range lids {
		if found[m.PN] != m.LID {
			return errors.Join(append(errs, fmt.Errorf("the LID of %s is %s, want %s", m.PN, found[m.PN], m.LID))...)
		}
		if got := all[m.PN]; got.FirstName != user(i) {
			return errors.Join(append(errs, fmt.Errorf("the contact %s is %v", m.PN, got))...)
		}
	}
	for address, want := range sessions {
		if !bytes.Equal(many[address], want) {
			return errors.Join(append(errs, fmt.Errorf("the session of %s is %q", address, many[address]))...)
		}
	}
	return errors.Join(errs...)
}

func mapped[T, U any](list []T, f func(T) U) []U {
	out := make([]U, len(list))
	for i, item := range list {
		out[i] = f(item)
	}
	return out
}
