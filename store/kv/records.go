package kv

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/store/transfer"
)

// kinds lists the kinds of data of a device in the order of an Exporter,
// without the long parts of keys.
func kinds() []string {
	return []string{
		kindPreKey, kindIdentity, kindSession, kindSenderKey, kindSyncKey, kindSyncState, kindMAC,
		kindContact, kindChat, kindSecret, kindToken, kindSalt, kindEvent, kindOutgoing,
	}
}

// decodeRecord makes a record of a value. names is what follows the kind in its
// key.
func decodeRecord(kind string, key, value []byte, names []string) (transfer.Record, error) {
	names = append(names, "", "", "") // what an incomplete key lacks is empty
	switch kind {
	case kindPreKey:
		k, err := decodePreKey(key, value)
		return transfer.PreKeyRecord{ID: k.id, Key: k.priv, Uploaded: k.uploaded}, err
	case kindSyncKey:
		k, err := decodeSyncKey(key, value)
		return transfer.SyncKeyRecord{ID: k.id, Data: k.Data, Fingerprint: k.Fingerprint, Timestamp: k.Timestamp}, err
	case kindContact:
		c, err := decodeContact(key, value)
		return transfer.ContactRecord{
			JID: names[0], FirstName: c.FirstName, FullName: c.FullName,
			PushName: c.PushName, BusinessName: c.BusinessName, RedactedPhone: c.RedactedPhone,
		}, err
	}
	dec := decode(key, value)
	var record transfer.Record
	switch kind {
	case kindIdentity:
		r := transfer.IdentityRecord{Address: names[0]}
		dec.fixed(r.Key[:])
		record = r
	case kindSession:
		record = transfer.SessionRecord{Address: names[0], Session: dec.bytes()}
	case kindSenderKey:
		record = transfer.SenderKeyRecord{Group: names[1], Address: names[0], Key: dec.bytes()}
	case kindSyncState:
		r := transfer.SyncVersionRecord{Name: names[0], Version: dec.uint()}
		dec.fixed(r.Hash[:])
		record = r
	case kindMAC:
		version, err := strconv.ParseUint(names[2], 16, 63)
		if err != nil {
			dec.fail("its key has no version")
		}
		r := transfer.MACRecord{Name: names[0], Version: math.MaxInt64 - version}
		if copy(r.Index[:], names[1]) != len(names[1]) {
			dec.fail("the index in its key has the wrong length")
		}
		dec.fixed(r.Value[:])
		record = r
	case kindChat:
		var c chat
		c.decode(dec)
		record = transfer.ChatRecord{JID: names[0], MutedUntil: c.mutedUntil, Pinned: c.pinned, Archived: c.archived}
	case kindSecret:
		record = transfer.MessageSecretRecord{Chat: names[0], Sender: names[1], ID: names[2], Secret: dec.bytes()}
	case kindToken:
		var t privacyToken
		t.decode(dec)
		record = transfer.PrivacyTokenRecord{JID: names[0], Token: t.token, Timestamp: t.at, SentAt: t.sentAt, Sent: t.sent}
	case kindSalt:
		record = transfer.SaltRecord{Salt: dec.bytes()}
	case kindEvent:
		var e event
		e.decode(dec)
		r := transfer.EventRecord{Plaintext: e.plaintext, SentAt: e.sentAt, StoredAt: e.storedAt}
		if copy(r.Hash[:], names[0]) != len(r.Hash) {
			dec.fail("the hash in its key has the wrong length")
		}
		record = r
	case kindOutgoing:
		var o outgoing
		o.decode(dec)
		record = transfer.OutgoingRecord{Chat: names[0], ID: names[1], Format: o.format, Plaintext: o.plaintext, StoredAt: o.storedAt}
	}
	return record, dec.end()
}

// importRecord stores a record, which is not a DeviceRecord.
func (d *data) importRecord(tx Tx, record transfer.Record) error {
	switch r := record.(type) {
	case transfer.DeviceRecord:
		return errors.New("the records have two devices")
	case transfer.PreKeyRecord:
		return tx.Set(d.preKeyKey(r.ID), preKey{id: r.ID, priv: r.Key, uploaded: r.Uploaded}.encode())
	case transfer.IdentityRecord:
		return d.set(tx, newEncoder(32).bytes(r.Key[:]).b, kindIdentity, r.Address)
	case transfer.SessionRecord:
		return d.set(tx, newEncoder(len(r.Session)).bytes(r.Session).b, kindSession, r.Address)
	case transfer.SenderKeyRecord:
		return d.set(tx, newEncoder(len(r.Key)).bytes(r.Key).b, kindSenderKey, r.Address, r.Group)
	case transfer.SyncKeyRecord:
		k := syncKey{id: r.ID, AppStateSyncKey: wastore.AppStateSyncKey{Data: r.Data, Fingerprint: r.Fingerprint, Timestamp: r.Timestamp}}
		return tx.Set(d.key(kindSyncKey, string(r.ID)), k.encode())
	case transfer.SyncVersionRecord:
		return d.set(tx, newEncoder(len(r.Hash)).uint(r.Version).bytes(r.Hash[:]).b, kindSyncState, r.Name)
	case transfer.MACRecord:
		return tx.Set(d.macKey(r.Name, r.Index[:], r.Version), newEncoder(32).bytes(r.Value[:]).b)
	case transfer.ContactRecord:
		return d.set(tx, encodeContact(types.ContactInfo{
			FirstName: r.FirstName, FullName: r.FullName, PushName: r.PushName, BusinessName: r.BusinessName, RedactedPhone: r.RedactedPhone,
		}), kindContact, r.JID)
	case transfer.ChatRecord:
		return d.set(tx, chat{mutedUntil: r.MutedUntil, pinned: r.Pinned, archived: r.Archived}.encode(), kindChat, r.JID)
	case transfer.MessageSecretRecord:
		return d.set(tx, newEncoder(len(r.Secret)).bytes(r.Secret).b, kindSecret, r.Chat, r.Sender, r.ID)
	case transfer.PrivacyTokenRecord:
		return d.set(tx, privacyToken{token: r.Token, at: r.Timestamp, sent: r.Sent, sentAt: r.SentAt}.encode(), kindToken, r.JID)
	case transfer.SaltRecord:
		return d.set(tx, newEncoder(len(r.Salt)).bytes(r.Salt).b, kindSalt)
	case transfer.EventRecord:
		e := event{plaintext: r.Plaintext, sentAt: r.SentAt, storedAt: r.StoredAt}
		return tx.Set(d.key(kindEvent, string(r.Hash[:])), e.encode().b)
	case transfer.OutgoingRecord:
		return d.set(tx, outgoing{format: r.Format, plaintext: r.Plaintext, storedAt: r.StoredAt}.encode(), kindOutgoing, r.Chat, r.ID)
	}
	return fmt.Errorf("unknown record type %T", record)
}
