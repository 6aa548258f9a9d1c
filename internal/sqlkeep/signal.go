package sqlkeep

import (
	"context"
	"fmt"
	"sync"
	"unicode/utf8"

	"go.mau.fi/util/dbutil"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// identities and sessions delete and move the addresses that they are told,
// and no others. sqlstore looks for them with LIKE, for which the underscore
// in the address of a LID stands for any character, letters have no case, and
// no index is used; and what it moves it replaces wherever it occurs. Here
// they are a range of the index.
type identities struct {
	wastore.IdentityStore
	owner
	jid types.JID
}

// PutIdentity implements [wastore.IdentityStore]. What is stored already is not
// stored again: whatsmeow puts the identity of the sender with every message,
// and PostgreSQL would commit it each time. SQLite does not: it leaves a page
// alone that stays the same.
func (i identities) PutIdentity(ctx context.Context, address string, key [32]byte) error {
	if i.keeper.db.Dialect == dbutil.Postgres {
		var stored bool
		err := i.keeper.db.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM whatsmeow_identity_keys WHERE our_jid=$1 AND their_id=$2 AND identity=$3)`,
			i.jid, address, key[:]).Scan(&stored)
		if err != nil || stored {
			return i.fail("identity", address, err)
		}
	}
	return i.fail("identity", address, i.IdentityStore.PutIdentity(ctx, address, key))
}

// DeleteAllIdentities implements [wastore.IdentityStore].
func (i identities) DeleteAllIdentities(ctx context.Context, phone string) error {
	from, to := devicesOf(phone)
	_, err := i.keeper.db.Exec(ctx, `DELETE FROM whatsmeow_identity_keys WHERE our_jid=$1 AND `+i.keeper.within("their_id"), i.jid, from, to)
	return err
}

// DeleteIdentity implements [wastore.IdentityStore].
func (i identities) DeleteIdentity(ctx context.Context, address string) error {
	_, err := i.keeper.db.Exec(ctx, `DELETE FROM whatsmeow_identity_keys WHERE our_jid=$1 AND their_id=$2`, i.jid, address)
	return err
}

// devicesOf gives the first address that a user's devices can have, and the
// first after them: a colon and the number of the device follow the user.
func devicesOf(user string) (from, to string) { return user + ":", user + ";" }

// within is the condition that a column is from $2 on and before $3, byte by byte.
func (k *Keeper) within(column string) string {
	if k.db.Dialect == dbutil.Postgres {
		column += ` COLLATE "C"`
	}
	return fmt.Sprintf(`%[1]s>=$2 AND %[1]s<$3`, column)
}

// behind is what stands in a column behind user, and what $5 has to be for it.
func (k *Keeper) behind(user, column string) (expression string, argument int) {
	if k.db.Dialect == dbutil.Postgres {
		return `substr(` + column + `, CAST($5 AS INTEGER))`, utf8.RuneCountInString(user) + 1
	}
	// As bytes, since substr counts the characters of a text, and not all are UTF-8 here.
	return `CAST(substr(CAST(` + column + ` AS BLOB), $5) AS TEXT)`, len(user) + 1
}

type sessions struct {
	wastore.SessionStore
	owner
	jid types.JID

	// migrated has the users that need not be looked for again: whatsmeow
	// migrates the sender of every message. sqlstore also remembers those for
	// which it has failed or was rolled back, and then loses their sessions.
	migrated sync.Map
}

// DeleteAllSessions implements [wastore.SessionStore].
func (s *sessions) DeleteAllSessions(ctx context.Context, phone string) error {
	from, to := devicesOf(phone)
	_, err := s.keeper.db.Exec(ctx, `DELETE FROM whatsmeow_sessions WHERE our_jid=$1 AND `+s.keeper.within("their_id"), s.jid, from, to)
	return err
}

// MigratePNToLID implements [wastore.SessionStore].
func (s *sessions) MigratePNToLID(ctx context.Context, pn, lid types.JID) error {
	user, newUser := pn.SignalAddressUser(), lid.SignalAddressUser()
	if _, done := s.migrated.Load(user); done || user == newUser {
		return nil
	}
	err := s.keeper.txn(ctx, func(ctx context.Context) error {
		for _, t := range []struct{ what, table, address, columns, value string }{
			{"sessions", "whatsmeow_sessions", "their_id", "our_jid", "session"},
			{"identity keys", "whatsmeow_identity_keys", "their_id", "our_jid", "identity"},
			{"sender keys", "whatsmeow_sender_keys", "sender_id", "our_jid, chat_id", "sender_key"},
		} {
			from, to := devicesOf(user)
			within := s.keeper.within(t.address)
			behind, position := s.keeper.behind(user, t.address)
			move := fmt.Sprintf(`
				INSERT INTO %[1]s (%[3]s, %[2]s, %[4]s)
				SELECT %[3]s, $4 || %[5]s, %[4]s
				FROM %[1]s WHERE our_jid=$1 AND %[6]s
				ON CONFLICT (%[3]s, %[2]s) DO UPDATE SET %[4]s=excluded.%[4]s
			`, t.table, t.address, t.columns, t.value, behind, within)
			if _, err := s.keeper.db.Exec(ctx, move, s.jid, from, to, newUser, position); err != nil {
				return fmt.Errorf("failed to migrate %s: %w", t.what, err)
			}
			remove := fmt.Sprintf(`DELETE FROM %s WHERE our_jid=$1 AND %s`, t.table, within)
			if _, err := s.keeper.db.Exec(ctx, remove, s.jid, from, to); err != nil {
				return fmt.Errorf("failed to delete migrated %s: %w", t.what, err)
			}
		}
		return nil
	})
	if _, inside := s.keeper.db.Execable(ctx).(dbutil.Transaction); err == nil && !inside {
		s.migrated.Store(user, struct{}{}) // what may still be rolled back is done again
	}
	return err
}
