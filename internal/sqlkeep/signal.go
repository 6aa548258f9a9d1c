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

// identities and sessions delete and move exactly the addresses that whatsmeow
// names. DeleteAllIdentities, DeleteAllSessions and MigratePNToLID in
// sqlstore/store.go select addresses with LIKE: there the underscore in the
// address of a LID matches any character, case is ignored, and no index is
// used. replace in MigratePNToLID replaces the user wherever it occurs in the
// address. The methods here select a range of the index. Delete when sqlstore
// compares addresses exactly.
type identities struct {
	wastore.IdentityStore
	owner
	jid types.JID
}

// PutIdentity implements [wastore.IdentityStore]. It does not store again what
// is already stored: whatsmeow puts the identity of the sender with every
// message, and PostgreSQL would commit it each time. SQLite needs no such
// check, because it does not write a page that stays the same.
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

// devicesOf returns the first address that a device of user can have, and the
// first address after all of them. In an address, a colon and the number of the
// device follow the user.
func devicesOf(user string) (from, to string) { return user + ":", user + ";" }

// within returns the condition that column is at least $2 and less than $3,
// byte by byte.
func (k *Keeper) within(column string) string {
	if k.db.Dialect == dbutil.Postgres {
		column += ` COLLATE "C"`
	}
	return fmt.Sprintf(`%[1]s>=$2 AND %[1]s<$3`, column)
}

// behind returns an expression for the rest of column after user, and the value
// of its parameter $5.
func (k *Keeper) behind(user, column string) (expression string, argument int) {
	if k.db.Dialect == dbutil.Postgres {
		return `substr(` + column + `, CAST($5 AS INTEGER))`, utf8.RuneCountInString(user) + 1
	}
	// As bytes: substr counts the characters of a text, and in SQLite a text
	// need not be UTF-8.
	return `CAST(substr(CAST(` + column + ` AS BLOB), $5) AS TEXT)`, len(user) + 1
}

type sessions struct {
	wastore.SessionStore
	owner
	jid types.JID

	// migrated has the users whose addresses were moved, because whatsmeow
	// migrates the sender of every message. sqlstore remembers a user even if
	// the transaction failed or was rolled back, and then never moves that
	// user's sessions.
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
		s.migrated.Store(user, struct{}{}) // inside another transaction it may still be rolled back
	}
	return err
}
