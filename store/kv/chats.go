package kv

import (
	"context"
	"slices"
	"strings"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// forever is stored for wastore.MutedForever.
const forever = -1

// chat is the stored settings of a chat.
type chat struct {
	mutedUntil       int64 // Unix seconds, or forever
	pinned, archived bool
}

func (d *data) editChat(ctx context.Context, jid types.JID, edit func(*chat)) error {
	return d.write(ctx, func(tx Tx) error {
		if jid.IsEmpty() {
			return nil // in sqlstore such a row is never found
		}
		var c chat
		key := d.key(kindChat, jid.String())
		if err := load(tx, key, c.decode); err != nil {
			return err
		}
		edit(&c)
		return d.set(tx, c.encode(), kindChat, jid.String())
	})
}

func (c chat) encode() []byte {
	return newEncoder(12).int(c.mutedUntil).bool(c.pinned).bool(c.archived).b
}

func (c *chat) decode(dec *decoder) {
	c.mutedUntil, c.pinned, c.archived = dec.int(), dec.bool(), dec.bool()
}

// PutMutedUntil implements [wastore.ChatSettingsStore].
func (d *data) PutMutedUntil(ctx context.Context, jid types.JID, mutedUntil time.Time) error {
	return d.editChat(ctx, jid, func(c *chat) {
		switch {
		case mutedUntil.Equal(wastore.MutedForever):
			c.mutedUntil = forever
		case mutedUntil.IsZero():
			c.mutedUntil = 0
		default:
			c.mutedUntil = mutedUntil.Unix()
		}
	})
}

// PutPinned implements [wastore.ChatSettingsStore].
func (d *data) PutPinned(ctx context.Context, jid types.JID, pinned bool) error {
	return d.editChat(ctx, jid, func(c *chat) { c.pinned = pinned })
}

// PutArchived implements [wastore.ChatSettingsStore].
func (d *data) PutArchived(ctx context.Context, jid types.JID, archived bool) error {
	return d.editChat(ctx, jid, func(c *chat) { c.archived = archived })
}

// GetChatSettings implements [wastore.ChatSettingsStore].
func (d *data) GetChatSettings(ctx context.Context, jid types.JID) (types.LocalChatSettings, error) {
	var c chat
	var found bool
	err := d.get(ctx, d.key(kindChat, jid.String()), func(dec *decoder) {
		found = true
		c.decode(dec)
	})
	if err != nil {
		return types.LocalChatSettings{}, err
	}
	settings := types.LocalChatSettings{Found: found, Pinned: c.pinned, Archived: c.archived}
	switch {
	case c.mutedUntil < 0:
		settings.MutedUntil = wastore.MutedForever
	case c.mutedUntil > 0:
		settings.MutedUntil = time.Unix(c.mutedUntil, 0)
	}
	return settings, nil
}

// putSecret stores the secret of a message that has none yet.
func (d *data) putSecret(tx Tx, insert wastore.MessageSecretInsert) error {
	names := []string{insert.Chat.ToNonAD().String(), insert.Sender.ToNonAD().String(), insert.ID}
	stored, err := tx.Get(d.key(kindSecret, names...))
	if err != nil || stored != nil {
		return err
	}
	return d.set(tx, newEncoder(len(insert.Secret)).bytes(insert.Secret).b, kindSecret, names...)
}

// PutMessageSecrets implements [wastore.MsgSecretStore]. It skips incomplete
// secrets.
func (d *data) PutMessageSecrets(ctx context.Context, inserts []wastore.MessageSecretInsert) error {
	if len(inserts) == 0 {
		return nil
	}
	return d.write(ctx, func(tx Tx) error {
		for _, insert := range inserts {
			if insert.Chat.IsEmpty() || insert.Sender.IsEmpty() || insert.ID == "" || len(insert.Secret) == 0 {
				continue
			}
			if err := d.putSecret(tx, insert); err != nil {
				return err
			}
		}
		return nil
	})
}

// PutMessageSecret implements [wastore.MsgSecretStore].
func (d *data) PutMessageSecret(ctx context.Context, chat, sender types.JID, id types.MessageID, secret []byte) error {
	if err := required("message secret", secret); err != nil {
		return d.fail(err)
	}
	return d.write(ctx, func(tx Tx) error {
		return d.putSecret(tx, wastore.MessageSecretInsert{Chat: chat, Sender: sender, ID: id, Secret: secret})
	})
}

// bothWays returns a JID without its device, and the JID of the same user on
// the other side of the LID map, in the order in which sqlstore looks them up.
func bothWays(tx Tx, jid types.JID) ([]types.JID, error) {
	jid = jid.ToNonAD()
	alt, err := altJID(tx, jid)
	if err != nil || alt.IsEmpty() {
		return []types.JID{jid}, err
	}
	both := []types.JID{jid, alt}
	slices.SortFunc(both, func(a, b types.JID) int { return strings.Compare(a.String(), b.String()) })
	return both, nil
}

// GetMessageSecret implements [wastore.MsgSecretStore]. It finds by phone
// number what was stored under a LID, and the other way round.
func (d *data) GetMessageSecret(ctx context.Context, chat, sender types.JID, id types.MessageID) (secret []byte, realSender types.JID, err error) {
	err = d.read(ctx, func(tx Tx) error {
		secret, realSender = nil, types.EmptyJID
		chats, err := bothWays(tx, chat)
		if err != nil {
			return err
		}
		senders, err := bothWays(tx, sender)
		if err != nil {
			return err
		}
		for _, chat := range chats {
			for _, sender := range senders {
				var found bool
				err := load(tx, d.key(kindSecret, chat.String(), sender.String(), id), func(dec *decoder) {
					secret, realSender, found = dec.bytes(), sender, true
				})
				if err != nil || found {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, types.EmptyJID, err
	}
	return secret, realSender, nil
}

// privacyToken is a stored privacy token.
type privacyToken struct {
	token  []byte
	at     int64 // Unix seconds
	sentAt int64 // Unix seconds
	sent   bool  // sentAt is set
}

func (t *privacyToken) decode(dec *decoder) {
	t.token, t.at, t.sent, t.sentAt = dec.bytes(), dec.int(), dec.bool(), dec.int()
}

func (t privacyToken) encode() []byte {
	return newEncoder(len(t.token) + 24).bytes(t.token).int(t.at).bool(t.sent).int(t.sentAt).b
}

// PutPrivacyTokens implements [wastore.PrivacyTokenStore]. An older token
// changes nothing. If the new token has no time of sending, the stored one
// stays.
func (d *data) PutPrivacyTokens(ctx context.Context, tokens ...wastore.PrivacyToken) error {
	if len(tokens) == 0 {
		return nil
	}
	for _, token := range tokens {
		if err := required("privacy token", token.Token); err != nil {
			return d.fail(err)
		}
	}
	return d.write(ctx, func(tx Tx) error {
		for _, token := range tokens {
			user := token.User.ToNonAD().String()
			stored := privacyToken{at: token.Timestamp.Unix()}
			if err := load(tx, d.key(kindToken, user), stored.decode); err != nil {
				return err
			}
			if token.Timestamp.Unix() < stored.at {
				continue
			}
			if !token.SenderTimestamp.IsZero() {
				stored.sent, stored.sentAt = true, token.SenderTimestamp.Unix()
			}
			stored.token, stored.at = token.Token, token.Timestamp.Unix()
			if err := d.set(tx, stored.encode(), kindToken, user); err != nil {
				return err
			}
		}
		return nil
	})
}

// GetPrivacyToken implements [wastore.PrivacyTokenStore]. It returns the latest
// token of the user's phone number and LID.
func (d *data) GetPrivacyToken(ctx context.Context, user types.JID) (*wastore.PrivacyToken, error) {
	var token *wastore.PrivacyToken
	err := d.read(ctx, func(tx Tx) error {
		token = nil
		users, err := bothWays(tx, user)
		if err != nil {
			return err
		}
		for _, jid := range users {
			var found bool
			var stored privacyToken
			err := load(tx, d.key(kindToken, jid.String()), func(dec *decoder) {
				found = true
				stored.decode(dec)
			})
			if err != nil {
				return err
			}
			if !found || token != nil && token.Timestamp.Unix() >= stored.at {
				continue
			}
			token = &wastore.PrivacyToken{User: user.ToNonAD(), Token: stored.token, Timestamp: time.Unix(stored.at, 0)}
			if stored.sent {
				token.SenderTimestamp = time.Unix(stored.sentAt, 0)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return token, nil
}

// DeleteExpiredPrivacyTokens implements [wastore.PrivacyTokenStore].
func (d *data) DeleteExpiredPrivacyTokens(ctx context.Context, cutoff time.Time) (int64, error) {
	var count int64
	err := d.write(ctx, func(tx Tx) error {
		deleted, err := deleteWhere(tx, d.key(kindToken), func(dec *decoder) bool {
			var stored privacyToken
			stored.decode(dec)
			return stored.at < cutoff.Unix()
		})
		count = deleted
		return err
	})
	return count, err
}

// deleteWhere deletes the keys with the prefix whose values match.
func deleteWhere(tx Tx, prefix []byte, match func(*decoder) bool) (int64, error) {
	var doomed [][]byte
	err := tx.Scan(prefix, func(key, value []byte) error {
		dec := decode(key, value)
		if match(dec) && dec.err == nil {
			doomed = append(doomed, key)
		}
		return dec.end()
	})
	if err != nil {
		return 0, err
	}
	for _, key := range doomed {
		if err := tx.Delete(key); err != nil {
			return 0, err
		}
	}
	return int64(len(doomed)), nil
}

// PutNCTSalt implements [wastore.NCTSaltStore].
func (d *data) PutNCTSalt(ctx context.Context, salt []byte) error {
	if err := required("salt", salt); err != nil {
		return d.fail(err)
	}
	return d.put(ctx, newEncoder(len(salt)).bytes(salt), kindSalt)
}

// GetNCTSalt implements [wastore.NCTSaltStore].
func (d *data) GetNCTSalt(ctx context.Context) ([]byte, error) { return d.blob(ctx, d.key(kindSalt)) }

// DeleteNCTSalt implements [wastore.NCTSaltStore].
func (d *data) DeleteNCTSalt(ctx context.Context) error { return d.drop(ctx, d.key(kindSalt)) }
