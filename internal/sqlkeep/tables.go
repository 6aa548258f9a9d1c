package sqlkeep

import (
	"database/sql"
	"fmt"
	"slices"

	"github.com/walink/walink/store/transfer"
)

// table is one of whatsmeow's tables with data of a device. The table of the
// devices themselves is not one of them.
type table struct {
	name    string
	owner   string   // the column with the device's JID
	keys    []string // the rest of the primary key
	columns []string // all other columns
	// record makes a record of a row. scan reads the columns in order: keys,
	// then columns.
	record func(scan func(to ...any) error) (transfer.Record, error)
}

// tables lists the tables so that rows refer only to rows of earlier tables. A
// test compares the list with the schema.
func tables() []table {
	return append([]table{
		{"whatsmeow_pre_keys", "jid", []string{"key_id"}, []string{"key", "uploaded"}, func(scan func(...any) error) (transfer.Record, error) {
			var r transfer.PreKeyRecord
			err := scan(&r.ID, fixed(r.Key[:]), &r.Uploaded)
			return r, err
		}},
		{"whatsmeow_identity_keys", "our_jid", []string{"their_id"}, []string{"identity"}, func(scan func(...any) error) (transfer.Record, error) {
			var r transfer.IdentityRecord
			err := scan(&r.Address, fixed(r.Key[:]))
			return r, err
		}},
		{"whatsmeow_sessions", "our_jid", []string{"their_id"}, []string{"session"}, func(scan func(...any) error) (transfer.Record, error) {
			var r transfer.SessionRecord
			err := scan(&r.Address, &r.Session)
			return r, err
		}},
		{"whatsmeow_sender_keys", "our_jid", []string{"chat_id", "sender_id"}, []string{"sender_key"}, func(scan func(...any) error) (transfer.Record, error) {
			var r transfer.SenderKeyRecord
			err := scan(&r.Group, &r.Address, &r.Key)
			return r, err
		}},
		{"whatsmeow_app_state_sync_keys", "jid", []string{"key_id"}, []string{"key_data", "timestamp", "fingerprint"}, func(scan func(...any) error) (transfer.Record, error) {
			var r transfer.SyncKeyRecord
			err := scan(&r.ID, &r.Data, &r.Timestamp, &r.Fingerprint)
			return r, err
		}},
		{"whatsmeow_app_state_version", "jid", []string{"name"}, []string{"version", "hash"}, func(scan func(...any) error) (transfer.Record, error) {
			var r transfer.SyncVersionRecord
			err := scan(&r.Name, &r.Version, fixed(r.Hash[:]))
			return r, err
		}},
		{"whatsmeow_app_state_mutation_macs", "jid", []string{"name", "version", "index_mac"}, []string{"value_mac"}, func(scan func(...any) error) (transfer.Record, error) {
			var r transfer.MACRecord
			err := scan(&r.Name, &r.Version, fixed(r.Index[:]), fixed(r.Value[:]))
			return r, err
		}},
	}, accountTables()...)
}

// accountTables lists the tables that have no Signal keys.
func accountTables() []table {
	names := []string{"first_name", "full_name", "push_name", "business_name", "redacted_phone"}
	return []table{
		{"whatsmeow_contacts", "our_jid", []string{"their_jid"}, names, func(scan func(...any) error) (transfer.Record, error) {
			var r transfer.ContactRecord
			err := scan(&r.JID, text(&r.FirstName), text(&r.FullName), text(&r.PushName), text(&r.BusinessName), text(&r.RedactedPhone))
			return r, err
		}},
		{"whatsmeow_chat_settings", "our_jid", []string{"chat_jid"}, []string{"muted_until", "pinned", "archived"}, func(scan func(...any) error) (transfer.Record, error) {
			var r transfer.ChatRecord
			err := scan(&r.JID, &r.MutedUntil, &r.Pinned, &r.Archived)
			return r, err
		}},
		{"whatsmeow_message_secrets", "our_jid", []string{"chat_jid", "sender_jid", "message_id"}, []string{"key"}, func(scan func(...any) error) (transfer.Record, error) {
			var r transfer.MessageSecretRecord
			err := scan(&r.Chat, &r.Sender, &r.ID, &r.Secret)
			return r, err
		}},
		{"whatsmeow_privacy_tokens", "our_jid", []string{"their_jid"}, []string{"token", "timestamp", "sender_timestamp"}, func(scan func(...any) error) (transfer.Record, error) {
			var r transfer.PrivacyTokenRecord
			var sent sql.NullInt64
			err := scan(&r.JID, &r.Token, &r.Timestamp, &sent)
			r.SentAt, r.Sent = sent.Int64, sent.Valid
			return r, err
		}},
		{"whatsmeow_nct_salt", "our_jid", nil, []string{"salt"}, func(scan func(...any) error) (transfer.Record, error) {
			var r transfer.SaltRecord
			err := scan(&r.Salt)
			return r, err
		}},
		{"whatsmeow_event_buffer", "our_jid", []string{"ciphertext_hash"}, []string{"plaintext", "server_timestamp", "insert_timestamp"}, func(scan func(...any) error) (transfer.Record, error) {
			var r transfer.EventRecord
			err := scan(fixed(r.Hash[:]), &r.Plaintext, &r.SentAt, &r.StoredAt)
			return r, err
		}},
		{"whatsmeow_retry_buffer", "our_jid", []string{"chat_jid", "message_id"}, []string{"format", "plaintext", "timestamp"}, func(scan func(...any) error) (transfer.Record, error) {
			var r transfer.OutgoingRecord
			err := scan(&r.Chat, &r.ID, &r.Format, &r.Plaintext, &r.StoredAt)
			return r, err
		}},
	}
}

// row returns the table of a record, and the values of its keys and columns. It
// does not support a DeviceRecord.
func row(r transfer.Record) (table string, values []any) {
	switch r := r.(type) {
	case transfer.DeviceRecord:
	case transfer.PreKeyRecord:
		return "whatsmeow_pre_keys", []any{r.ID, r.Key[:], r.Uploaded}
	case transfer.IdentityRecord:
		return "whatsmeow_identity_keys", []any{r.Address, r.Key[:]}
	case transfer.SessionRecord:
		return "whatsmeow_sessions", []any{r.Address, blob(r.Session)}
	case transfer.SenderKeyRecord:
		return "whatsmeow_sender_keys", []any{r.Group, r.Address, blob(r.Key)}
	case transfer.SyncKeyRecord:
		return "whatsmeow_app_state_sync_keys", []any{blob(r.ID), blob(r.Data), r.Timestamp, blob(r.Fingerprint)}
	case transfer.SyncVersionRecord:
		return "whatsmeow_app_state_version", []any{r.Name, r.Version, r.Hash[:]}
	case transfer.MACRecord:
		return "whatsmeow_app_state_mutation_macs", []any{r.Name, r.Version, r.Index[:], r.Value[:]}
	case transfer.ContactRecord:
		return "whatsmeow_contacts", []any{r.JID, r.FirstName, r.FullName, r.PushName, r.BusinessName, r.RedactedPhone}
	case transfer.ChatRecord:
		return "whatsmeow_chat_settings", []any{r.JID, r.MutedUntil, r.Pinned, r.Archived}
	case transfer.MessageSecretRecord:
		return "whatsmeow_message_secrets", []any{r.Chat, r.Sender, r.ID, blob(r.Secret)}
	case transfer.PrivacyTokenRecord:
		return "whatsmeow_privacy_tokens", []any{r.JID, blob(r.Token), r.Timestamp, sql.NullInt64{Int64: r.SentAt, Valid: r.Sent}}
	case transfer.SaltRecord:
		return "whatsmeow_nct_salt", []any{blob(r.Salt)}
	case transfer.EventRecord:
		var plaintext any // NULL tells whatsmeow that the event was handled
		if len(r.Plaintext) > 0 {
			plaintext = r.Plaintext
		}
		return "whatsmeow_event_buffer", []any{r.Hash[:], plaintext, r.SentAt, r.StoredAt}
	case transfer.OutgoingRecord:
		return "whatsmeow_retry_buffer", []any{r.Chat, r.ID, r.Format, blob(r.Plaintext), r.StoredAt}
	}
	return "", nil
}

// blob returns b, which is never NULL in the database.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// text reads a column that may be NULL.
func text(to *string) sql.Scanner {
	return scanner(func(value any) error {
		var s sql.NullString
		err := s.Scan(value)
		*to = s.String
		return err
	})
}

// fixed reads exactly len(to) bytes.
func fixed(to []byte) sql.Scanner {
	return scanner(func(value any) error {
		b, ok := value.([]byte)
		if !ok || len(b) != len(to) {
			return fmt.Errorf("the value has %d bytes, want %d", len(b), len(to))
		}
		copy(to, b)
		return nil
	})
}

type scanner func(value any) error

// Scan implements [sql.Scanner].
func (s scanner) Scan(value any) error { return s(value) }

// Exported lists the columns that an export has, as table.column, for a test
// that compares them with the schema.
func Exported() []string {
	var all []string
	for _, t := range tables() {
		for _, column := range slices.Concat([]string{t.owner}, t.keys, t.columns) {
			all = append(all, t.name+"."+column)
		}
	}
	return all
}
