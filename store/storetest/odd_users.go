package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/store"
)

// oddUsers stores values for each odd user.
func oddUsers(ctx context.Context, st store.Store) error {
	device, err := linked(ctx, st, "default", 1)
	if err != nil {
		return err
	}
	// A JID with one of these in its user is not valid: another JID has the
	// same text.
	users := slices.DeleteFunc(takenKeys(ctx), func(user string) bool { return user == "" || strings.ContainsAny(user, "@.:") })
	var contacts []wastore.ContactEntry
	var phones []wastore.RedactedPhoneEntry
	var tokens []wastore.PrivacyToken
	var lids []wastore.LIDMapping
	for i, user := range users {
		jid, name := JID(user, 0), fmt.Sprint(i)
		contacts = append(contacts, wastore.ContactEntry{JID: jid, FirstName: name, FullName: user})
		phones = append(phones, wastore.RedactedPhoneEntry{JID: jid, RedactedPhone: name})
		tokens = append(tokens, wastore.PrivacyToken{User: jid, Token: []byte(name), Timestamp: seconds(int64(i) + 1)})
		lids = append(lids, wastore.LIDMapping{LID: types.JID{User: user + "l", Server: types.HiddenUserServer}, PN: jid})
	}
	if err := errors.Join(
		device.Contacts.PutAllContactNames(ctx, slices.Clone(contacts)),
		device.Contacts.PutManyRedactedPhones(ctx, slices.Clone(phones)),
		device.PrivacyTokens.PutPrivacyTokens(ctx, slices.Clone(tokens)...),
		device.LIDs.PutManyLIDMappings(ctx, slices.Clone(lids)),
		device.EventBuffer.DoDecryptionTxn(ctx, func(ctx context.Context) error {
			var errs []error
			for i, user := range users {
				join(&errs, device.ChatSettings.PutMutedUntil(ctx, JID(user, 0), seconds(int64(i)+1)))
				join(&errs, device.MsgSecrets.PutMessageSecret(ctx, JID(user, 0), JID(user, 0), "message", []byte(user)))
			}
			return errors.Join(errs...)
		}),
	); err != nil {
		return err
	}
	if device, err = st.Device(ctx, "default"); err != nil {
		return err
	}
	all, err := device.Contacts.GetAllContacts(ctx)
	errs := []error{err}
	if len(all) != len(users) {
		join(&errs, fmt.Errorf("%d contacts, want %d", len(all), len(users)))
	}
	for i, user := range users {
		join(&errs, oddUser(ctx, device, all, lids[i].LID, contacts[i], tokens[i].Timestamp))
		if secret, _, err := device.MsgSecrets.GetMessageSecret(ctx, JID(user, 0), JID(user, 0), "message"); err != nil || string(secret) != user {
			join(&errs, failf("the message secret of %.40q is %.40q, %v", user, secret, err))
		}
	}
	return errors.Join(errs...)
}

func oddUser(
	ctx context.Context, device *wastore.Device, all map[types.JID]types.ContactInfo, lid types.JID, want wastore.ContactEntry, at time.Time,
) error {
	var errs []error
	info := types.ContactInfo{Found: true, FirstName: want.FirstName, FullName: want.FullName, RedactedPhone: want.FirstName}
	if got, err := device.Contacts.GetContact(ctx, want.JID); err != nil || got != info {
		join(&errs, failf("the contact %.40q is %.80v, %v, want %s", want.JID.User, got, err, want.FirstName))
	}
	if all[want.JID] != info {
		join(&errs, fmt.Errorf("contact %.40q in the list of all is %.80v, want %s", want.JID.User, all[want.JID], want.FirstName))
	}
	if got, err := device.PrivacyTokens.GetPrivacyToken(ctx, want.JID); err != nil || got == nil || string(got.Token) != want.FirstName || got.User != want.JID {
		join(&errs, failf("the privacy token of %.40q is %.80v, %v, want %s", want.JID.User, got, err, want.FirstName))
	}
	if got, err := device.ChatSettings.GetChatSettings(ctx, want.JID); err != nil || !got.Found || !got.MutedUntil.Equal(at) {
		join(&errs, failf("the settings of the chat %.40q are %v, %v, want it muted until %v", want.JID.User, got, err, at))
	}
	if got, err := device.LIDs.GetLIDForPN(ctx, want.JID); err != nil || got != lid {
		join(&errs, failf("the LID of %.40q is %.40q, %v", want.JID.User, got.User, err))
	}
	if got, err := device.LIDs.GetPNForLID(ctx, lid); err != nil || got != want.JID {
		join(&errs, failf("the number of LID %.40q is %.40q, %v", lid.User, got.User, err))
	}
	return errors.Join(errs...)
}
