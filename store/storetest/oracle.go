package storetest

import (
	"context"
	"database/sql"
	"testing"

	"go.mau.fi/util/dbutil"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/store/sqlstore/upgrades"
	"go.mau.fi/whatsmeow/types"
	_ "modernc.org/sqlite" // the driver named "sqlite"
)

// oracle is whatsmeow's own sqlstore, with a database in memory.
type oracle struct {
	db        *dbutil.Database
	container *sqlstore.Container
}

func openOracle(t *testing.T) *oracle {
	t.Helper()
	pool, err := sql.Open("sqlite", "file::memory:?_pragma=foreign_keys(1)&_txlock=immediate")
	if err != nil {
		t.Fatalf("opening the oracle: %v", err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	pool.SetMaxOpenConns(1) // each connection has its own database
	db, err := dbutil.NewWithDB(pool, "sqlite")
	if err != nil {
		t.Fatalf("opening the oracle: %v", err)
	}
	db.VersionTable, db.UpgradeTable = "whatsmeow_version", upgrades.Table
	o := &oracle{db: db}
	o.reopen()
	if err := o.container.Upgrade(t.Context()); err != nil {
		t.Fatalf("opening the oracle: %v", err)
	}
	return o
}

// reopen clears the cache of the LID map, which all devices of a container
// share.
func (o *oracle) reopen() { o.container = sqlstore.NewWithWrappedDB(o.db, nil) }

// link stores a device like the one that a Store has just saved.
func (o *oracle) link(ctx context.Context, like *wastore.Device) (*wastore.Device, error) {
	jid := *like.ID
	device := o.container.NewDevice()
	device.ID, device.LID, device.Account = &jid, like.LID, like.Account
	device.NoiseKey, device.IdentityKey, device.SignedPreKey = like.NoiseKey, like.IdentityKey, like.SignedPreKey
	device.RegistrationID, device.AdvSecretKey = like.RegistrationID, like.AdvSecretKey
	device.Platform, device.BusinessName, device.PushName = like.Platform, like.BusinessName, like.PushName
	return device, o.container.PutDevice(ctx, device)
}

// load returns a device with empty caches.
func (o *oracle) load(ctx context.Context, jid types.JID) (*wastore.Device, error) {
	return o.container.GetDevice(ctx, jid)
}

// forget does what clause 7 requires of Delete. sqlstore itself does not delete
// the privacy tokens.
func (o *oracle) forget(ctx context.Context, jid types.JID) error {
	for _, query := range []string{
		`DELETE FROM whatsmeow_privacy_tokens WHERE our_jid=$1`,
		`DELETE FROM whatsmeow_device WHERE jid=$1`,
	} {
		if _, err := o.db.Exec(ctx, query, jid); err != nil {
			return err
		}
	}
	return nil
}

// alternatives returns all answers to c that sqlstore could have given. It
// takes the first of several rows, in no defined order.
func (o *oracle) alternatives(ctx context.Context, our types.JID, c call) ([][]any, error) {
	jid := func(i int) types.JID {
		jid, _ := c.args[i].(types.JID)
		return jid
	}
	switch c.name() {
	case "MsgSecrets.GetMessageSecret":
		args := []any{our, c.args[2]}
		args = append(append(args, o.both(ctx, jid(0))...), o.both(ctx, jid(1))...)
		return o.answers(ctx, func(row dbutil.Scannable) ([]any, error) {
			var secret []byte
			var sender types.JID
			err := row.Scan(&secret, &sender)
			return []any{secret, sender}, err
		}, `SELECT key, sender_jid FROM whatsmeow_message_secrets
			WHERE our_jid=$1 AND message_id=$2 AND chat_jid IN ($3, $4) AND sender_jid IN ($5, $6)`, args...)
	case "PrivacyTokens.GetPrivacyToken":
		return o.answers(ctx, func(row dbutil.Scannable) ([]any, error) {
			token := &wastore.PrivacyToken{User: jid(0).ToNonAD()}
			var at int64
			var sentAt sql.NullInt64
			err := row.Scan(&token.Token, &at, &sentAt)
			token.Timestamp = seconds(at)
			if sentAt.Valid {
				token.SenderTimestamp = seconds(sentAt.Int64)
			}
			return []any{token}, err
		}, `SELECT token, timestamp, sender_timestamp FROM whatsmeow_privacy_tokens
			WHERE our_jid=$1 AND their_jid IN ($2, $3) AND timestamp=(
				SELECT MAX(timestamp) FROM whatsmeow_privacy_tokens WHERE our_jid=$1 AND their_jid IN ($2, $3))`,
			append([]any{our}, o.both(ctx, jid(0))...)...)
	case "EventBuffer.GetOutgoingEvent":
		return o.answers(ctx, func(row dbutil.Scannable) ([]any, error) {
			var format string
			var plaintext []byte
			err := row.Scan(&format, &plaintext)
			return []any{format, plaintext}, err
		}, `SELECT format, plaintext FROM whatsmeow_retry_buffer WHERE our_jid=$1 AND chat_jid IN ($2, $3) AND message_id=$4`,
			our, jid(0), jid(1), c.args[2])
	case "AppStateKeys.GetLatestAppStateSyncKeyID":
		return o.answers(ctx, func(row dbutil.Scannable) ([]any, error) {
			var id []byte
			err := row.Scan(&id)
			return []any{id}, err
		}, `SELECT key_id FROM whatsmeow_app_state_sync_keys
			WHERE jid=$1 AND timestamp=(SELECT MAX(timestamp) FROM whatsmeow_app_state_sync_keys WHERE jid=$1)`, our)
	default:
		return nil, nil
	}
}

func (o *oracle) answers(ctx context.Context, scan func(dbutil.Scannable) ([]any, error), query string, args ...any) ([][]any, error) {
	rows, err := o.db.Query(ctx, query, args...)
	return dbutil.NewRowIterWithError(rows, scan, err).AsList()
}

// both returns a JID without its device, and the other JID of the user: the LID
// of a phone number, or the phone number of a LID.
func (o *oracle) both(ctx context.Context, jid types.JID) []any {
	jid = jid.ToNonAD()
	query, server := `SELECT lid FROM whatsmeow_lid_map WHERE pn=$1`, types.HiddenUserServer
	switch jid.Server {
	case types.DefaultUserServer:
	case types.HiddenUserServer:
		query, server = `SELECT pn FROM whatsmeow_lid_map WHERE lid=$1`, types.DefaultUserServer
	default:
		return []any{jid, jid}
	}
	var user string
	if err := o.db.QueryRow(ctx, query, jid.User).Scan(&user); err != nil {
		return []any{jid, jid}
	}
	return []any{jid, types.JID{User: user, Server: server}}
}
