package kv

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// How long the two buffers keep their entries, as in sqlstore.
const (
	eventMemory    = 14 * 24 * time.Hour // as long as the server keeps events
	outgoingMemory = 7 * 24 * time.Hour
)

// event is a buffered event.
type event struct {
	plaintext []byte
	sentAt    int64 // Unix seconds, the server's
	storedAt  int64 // Unix milliseconds
}

func (e *event) decode(dec *decoder) {
	e.plaintext, e.sentAt, e.storedAt = dec.bytes(), dec.int(), dec.int()
}

func (e *event) encode() *encoder {
	return newEncoder(len(e.plaintext) + 20).bytes(e.plaintext).int(e.sentAt).int(e.storedAt)
}

// GetBufferedEvent implements [wastore.EventBuffer].
func (d *data) GetBufferedEvent(ctx context.Context, ciphertextHash [32]byte) (*wastore.BufferedEvent, error) {
	var e event
	var found bool
	err := d.get(ctx, d.key(kindEvent, string(ciphertextHash[:])), func(dec *decoder) {
		found = true
		e.decode(dec)
	})
	if err != nil || !found {
		return nil, err
	}
	return &wastore.BufferedEvent{
		Plaintext: e.plaintext, InsertTime: time.UnixMilli(e.storedAt), ServerTime: time.Unix(e.sentAt, 0),
	}, nil
}

// PutBufferedEvent implements [wastore.EventBuffer]. An event can be put only
// once.
func (d *data) PutBufferedEvent(ctx context.Context, ciphertextHash [32]byte, plaintext []byte, serverTimestamp time.Time) error {
	return d.write(ctx, func(tx Tx) error {
		key := d.key(kindEvent, string(ciphertextHash[:]))
		stored, err := tx.Get(key)
		if err != nil {
			return err
		} else if stored != nil {
			return errors.New("the event is already in the buffer")
		}
		e := event{plaintext: plaintext, sentAt: serverTimestamp.Unix(), storedAt: time.Now().UnixMilli()}
		return tx.Set(key, e.encode().b)
	})
}

// DoDecryptionTxn implements [wastore.EventBuffer]. All calls of fn with its
// ctx are in one transaction. Calls with another ctx see the state before the
// transaction, and must not write: they would wait for this transaction for
// ever.
func (d *data) DoDecryptionTxn(ctx context.Context, fn func(context.Context) error) error {
	var own error
	err := d.store.carry(ctx, func(ctx context.Context) error {
		own = fn(ctx)
		return own
	})
	if own != nil {
		return own
	}
	return d.fail(err)
}

// ClearBufferedEventPlaintext implements [wastore.EventBuffer].
func (d *data) ClearBufferedEventPlaintext(ctx context.Context, ciphertextHash [32]byte) error {
	return d.write(ctx, func(tx Tx) error {
		key := d.key(kindEvent, string(ciphertextHash[:]))
		var e event
		var found bool
		err := load(tx, key, func(dec *decoder) {
			found = true
			e.decode(dec)
		})
		if err != nil || !found {
			return err
		}
		e.plaintext = nil
		return tx.Set(key, e.encode().b)
	})
}

// DeleteOldBufferedHashes implements [wastore.EventBuffer]. It deletes only the
// hashes of its own device.
func (d *data) DeleteOldBufferedHashes(ctx context.Context) error {
	before := time.Now().Add(-eventMemory).UnixMilli()
	return d.write(ctx, func(tx Tx) error {
		_, err := deleteWhere(tx, d.key(kindEvent), func(dec *decoder) bool {
			var e event
			e.decode(dec)
			return e.storedAt < before
		})
		return err
	})
}

// outgoing is an event that was sent. It is kept for a recipient who asks for
// it again.
type outgoing struct {
	format    string
	plaintext []byte
	storedAt  int64 // Unix milliseconds
}

func (o *outgoing) decode(dec *decoder) {
	o.format, o.plaintext, o.storedAt = dec.string(), dec.bytes(), dec.int()
}

func (o outgoing) encode() []byte {
	return newEncoder(len(o.format) + len(o.plaintext) + 20).string(o.format).bytes(o.plaintext).int(o.storedAt).b
}

// GetOutgoingEvent implements [wastore.EventBuffer]. If there is no event, the
// error wraps [sql.ErrNoRows], as in whatsmeow's own store.
func (d *data) GetOutgoingEvent(ctx context.Context, chatJID, altChatJID types.JID, id types.MessageID) (string, []byte, error) {
	var o outgoing
	var found bool
	chats := []string{chatJID.String(), altChatJID.String()}
	slices.Sort(chats)
	err := d.read(ctx, func(tx Tx) error {
		found = false
		for _, chat := range chats {
			if chat == "" || found {
				continue
			}
			err := load(tx, d.key(kindOutgoing, chat, id), func(dec *decoder) {
				found = true
				o.decode(dec)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return "", nil, err
	case !found:
		return "", nil, d.fail(sql.ErrNoRows)
	}
	return o.format, o.plaintext, nil
}

// AddOutgoingEvent implements [wastore.EventBuffer].
func (d *data) AddOutgoingEvent(ctx context.Context, chatJID types.JID, id types.MessageID, format string, plaintext []byte) error {
	if err := required("plaintext", plaintext); err != nil {
		return d.fail(err)
	}
	if chatJID.String() == "" {
		return d.fail(errors.New("the chat is missing"))
	}
	o := outgoing{format: format, plaintext: plaintext, storedAt: time.Now().UnixMilli()}
	return d.write(ctx, func(tx Tx) error { return d.set(tx, o.encode(), kindOutgoing, chatJID.String(), id) })
}

// DeleteOldOutgoingEvents implements [wastore.EventBuffer].
func (d *data) DeleteOldOutgoingEvents(ctx context.Context) error {
	before := time.Now().Add(-outgoingMemory).UnixMilli()
	return d.write(ctx, func(tx Tx) error {
		_, err := deleteWhere(tx, d.key(kindOutgoing), func(dec *decoder) bool {
			var o outgoing
			o.decode(dec)
			return o.storedAt < before
		})
		return err
	})
}
