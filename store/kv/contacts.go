package kv

import (
	"context"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

func encodeContact(info types.ContactInfo) []byte {
	return newEncoder(len(info.FirstName) + len(info.FullName) + len(info.PushName) + len(info.BusinessName) + len(info.RedactedPhone)).
		string(info.FirstName).string(info.FullName).string(info.PushName).string(info.BusinessName).string(info.RedactedPhone).b
}

func decodeContact(key, value []byte) (types.ContactInfo, error) {
	dec := decode(key, value)
	info := types.ContactInfo{
		Found: true, FirstName: dec.string(), FullName: dec.string(),
		PushName: dec.string(), BusinessName: dec.string(), RedactedPhone: dec.string(),
	}
	return info, dec.end()
}

func (d *data) contact(tx Tx, user types.JID) (types.ContactInfo, error) {
	key := d.key(kindContact, user.String())
	value, err := tx.Get(key)
	if err != nil || value == nil {
		return types.ContactInfo{}, err
	}
	return decodeContact(key, value)
}

// editContact changes one contact. If edit returns false, nothing is stored.
func (d *data) editContact(ctx context.Context, user types.JID, edit func(*types.ContactInfo) bool) error {
	return d.write(ctx, func(tx Tx) error {
		info, err := d.contact(tx, user)
		if err != nil || !edit(&info) {
			return err
		}
		return d.set(tx, encodeContact(info), kindContact, user.String())
	})
}

// PutPushName implements [wastore.ContactStore].
func (d *data) PutPushName(ctx context.Context, user types.JID, pushName string) (bool, string, error) {
	return d.putName(ctx, user, pushName, func(info *types.ContactInfo) *string { return &info.PushName })
}

// PutBusinessName implements [wastore.ContactStore].
func (d *data) PutBusinessName(ctx context.Context, user types.JID, businessName string) (bool, string, error) {
	return d.putName(ctx, user, businessName, func(info *types.ContactInfo) *string { return &info.BusinessName })
}

// putName returns whether the name has changed, and the name before. Most names
// have not changed; then no transaction has to write.
func (d *data) putName(ctx context.Context, user types.JID, text string, field func(*types.ContactInfo) *string) (changed bool, before string, err error) {
	info, err := d.GetContact(ctx, user)
	if err != nil || *field(&info) == text {
		return false, "", err
	}
	err = d.editContact(ctx, user, func(info *types.ContactInfo) bool {
		at := field(info)
		changed, before = *at != text, *at
		*at = text
		return changed
	})
	if err != nil || !changed {
		return false, "", err
	}
	return true, before, nil
}

// PutContactName implements [wastore.ContactStore]. As in sqlstore, the first
// name comes first, although the interface names its parameters the other way
// round.
func (d *data) PutContactName(ctx context.Context, user types.JID, firstName, fullName string) error {
	return d.editContact(ctx, user, func(info *types.ContactInfo) bool {
		changed := info.FirstName != firstName || info.FullName != fullName
		info.FirstName, info.FullName = firstName, fullName
		return changed
	})
}

// PutAllContactNames implements [wastore.ContactStore]. Of several entries for
// one contact the first counts.
func (d *data) PutAllContactNames(ctx context.Context, contacts []wastore.ContactEntry) error {
	names := make(map[types.JID]wastore.ContactEntry, len(contacts))
	users := make([]types.JID, 0, len(contacts))
	for _, contact := range contacts {
		if _, known := names[contact.JID]; !known {
			names[contact.JID] = contact
			users = append(users, contact.JID)
		}
	}
	return d.editContacts(ctx, users, func(user types.JID, info *types.ContactInfo) {
		info.FirstName, info.FullName = names[user].FirstName, names[user].FullName
	})
}

// PutManyRedactedPhones implements [wastore.ContactStore]. Of several entries
// for one contact the first counts.
func (d *data) PutManyRedactedPhones(ctx context.Context, entries []wastore.RedactedPhoneEntry) error {
	phones := make(map[types.JID]string, len(entries))
	users := make([]types.JID, 0, len(entries))
	for _, entry := range entries {
		if _, known := phones[entry.JID]; !known {
			phones[entry.JID] = entry.RedactedPhone
			users = append(users, entry.JID)
		}
	}
	return d.editContacts(ctx, users, func(user types.JID, info *types.ContactInfo) { info.RedactedPhone = phones[user] })
}

func (d *data) editContacts(ctx context.Context, users []types.JID, edit func(types.JID, *types.ContactInfo)) error {
	if len(users) == 0 {
		return nil
	}
	return d.write(ctx, func(tx Tx) error {
		for _, user := range users {
			info, err := d.contact(tx, user)
			if err != nil {
				return err
			}
			edit(user, &info)
			if err := d.set(tx, encodeContact(info), kindContact, user.String()); err != nil {
				return err
			}
		}
		return nil
	})
}

// GetContact implements [wastore.ContactStore].
func (d *data) GetContact(ctx context.Context, user types.JID) (info types.ContactInfo, err error) {
	err = d.read(ctx, func(tx Tx) (err error) {
		info, err = d.contact(tx, user)
		return err
	})
	if err != nil {
		return types.ContactInfo{}, err
	}
	return info, nil
}

// GetAllContacts implements [wastore.ContactStore].
func (d *data) GetAllContacts(ctx context.Context) (map[types.JID]types.ContactInfo, error) {
	var all map[types.JID]types.ContactInfo
	err := d.read(ctx, func(tx Tx) error {
		all = map[types.JID]types.ContactInfo{}
		return tx.Scan(d.key(kindContact), func(key, value []byte) error {
			suffix, err := d.suffix(tx, key)
			if err != nil {
				return err
			}
			jid, err := parseJID(suffix[0])
			if err != nil {
				return damaged(key, err)
			}
			all[jid], err = decodeContact(key, value)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
