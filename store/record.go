package store

import (
	"context"
	"errors"
	"iter"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
)

// ErrTaken is returned, wrapped, where a session cannot be imported since its
// name has a device already, or its device another name.
var ErrTaken = errors.New("the place is taken")

// Exporter is an optional interface of a [Store], for [Copy]: it tells all that
// is stored for a session, which whatsmeow's stores do not.
type Exporter interface {
	// Export gives the records of session: first its [DeviceRecord], and
	// [SyncVersionRecord] before [MACRecord]. All are of one state of the
	// Store, and not in memory at once. An error is the last that it gives; it
	// wraps [ErrNotFound] where there is no such session. The Store may be
	// read and written by others meanwhile, but not from within the loop.
	Export(ctx context.Context, session string) iter.Seq2[Record, error]
	// ExportLIDs gives the LID map, which all sessions of the Store share. An
	// error is the last that it gives; it wraps [ErrDamaged] where all but the
	// pairs that cannot be read were given before.
	ExportLIDs(ctx context.Context) iter.Seq2[wastore.LIDMapping, error]
}

// Importer is an optional interface of a [Store], for [Copy]: the other end of
// an [Exporter].
type Importer interface {
	// Import stores under session what records gives, in the order of an
	// [Exporter], in one transaction: all of it, or nothing where records gives
	// an error or ctx ends. Where the session has a device, or the device is
	// stored already, under whatever name, the error wraps [ErrTaken], and
	// nothing is changed.
	Import(ctx context.Context, session string, records iter.Seq2[Record, error]) error
	// ImportLIDs adds what pairs gives to the LID map. Where the Store knows
	// a number or a LID by another pair, that one stays. The error wraps
	// [ErrDamaged] where all were added but those for which the Store has
	// something already that cannot be read.
	ImportLIDs(ctx context.Context, pairs iter.Seq2[wastore.LIDMapping, error]) error
}

// Record is one thing that is stored for a session: one of the types below.
// Addresses are Signal's, a user, a colon and a device; JIDs and names are as
// whatsmeow stores them. What is empty and what is not there are the same.
//
//sumtype:decl
type Record interface {
	// Kind names the type, for people. It is no secret.
	Kind() string
	isRecord()
}

type (
	// DeviceRecord is the device itself, without its stores.
	DeviceRecord struct {
		Device   *wastore.Device
		LinkedAt time.Time
	}
	// PreKeyRecord is a private prekey.
	PreKeyRecord struct {
		ID       uint32
		Key      [32]byte
		Uploaded bool
	}
	// IdentityRecord is the identity key of an address.
	IdentityRecord struct {
		Address string
		Key     [32]byte
	}
	// SessionRecord is the Signal session with an address.
	SessionRecord struct {
		Address string
		Session []byte
	}
	// SenderKeyRecord is the key with which an address writes to a group.
	SenderKeyRecord struct {
		Group, Address string
		Key            []byte
	}
	// SyncKeyRecord is a key of the app state.
	SyncKeyRecord struct {
		ID                []byte
		Data, Fingerprint []byte
		Timestamp         int64
	}
	// SyncVersionRecord is how far a part of the app state is known.
	SyncVersionRecord struct {
		Name    string
		Version uint64
		Hash    [128]byte
	}
	// MACRecord is of one entry in a part of the app state.
	MACRecord struct {
		Name         string
		Version      uint64
		Index, Value [32]byte
	}
	// ContactRecord is what is known of a contact.
	ContactRecord struct {
		JID                                                        string
		FirstName, FullName, PushName, BusinessName, RedactedPhone string
	}
	// ChatRecord has the settings of a chat.
	ChatRecord struct {
		JID              string
		MutedUntil       int64 // Unix seconds; 0 is not muted, and -1 for ever
		Pinned, Archived bool
	}
	// MessageSecretRecord is the secret of a message.
	MessageSecretRecord struct {
		Chat, Sender, ID string
		Secret           []byte
	}
	// PrivacyTokenRecord is the token of a user.
	PrivacyTokenRecord struct {
		JID       string
		Token     []byte
		Timestamp int64 // Unix seconds
		SentAt    int64 // Unix seconds, if Sent
		Sent      bool
	}
	// SaltRecord is the NCT salt.
	SaltRecord struct{ Salt []byte }
	// EventRecord is an event that was received, by the hash of its ciphertext.
	EventRecord struct {
		Hash      [32]byte
		Plaintext []byte // nil once it was handled
		SentAt    int64  // Unix seconds
		StoredAt  int64  // Unix milliseconds
	}
	// OutgoingRecord is an event that was sent.
	OutgoingRecord struct {
		Chat, ID, Format string
		Plaintext        []byte
		StoredAt         int64 // Unix milliseconds
	}
)

// Kind implements [Record].
func (DeviceRecord) Kind() string { return "device" }

// Kind implements [Record].
func (PreKeyRecord) Kind() string { return "prekey" }

// Kind implements [Record].
func (IdentityRecord) Kind() string { return "identity" }

// Kind implements [Record].
func (SessionRecord) Kind() string { return "Signal session" }

// Kind implements [Record].
func (SenderKeyRecord) Kind() string { return "sender key" }

// Kind implements [Record].
func (SyncKeyRecord) Kind() string { return "app state key" }

// Kind implements [Record].
func (SyncVersionRecord) Kind() string { return "app state version" }

// Kind implements [Record].
func (MACRecord) Kind() string { return "app state MAC" }

// Kind implements [Record].
func (ContactRecord) Kind() string { return "contact" }

// Kind implements [Record].
func (ChatRecord) Kind() string { return "chat settings" }

// Kind implements [Record].
func (MessageSecretRecord) Kind() string { return "message secret" }

// Kind implements [Record].
func (PrivacyTokenRecord) Kind() string { return "privacy token" }

// Kind implements [Record].
func (SaltRecord) Kind() string { return "NCT salt" }

// Kind implements [Record].
func (EventRecord) Kind() string { return "buffered event" }

// Kind implements [Record].
func (OutgoingRecord) Kind() string { return "outgoing event" }

func (DeviceRecord) isRecord()        {}
func (PreKeyRecord) isRecord()        {}
func (IdentityRecord) isRecord()      {}
func (SessionRecord) isRecord()       {}
func (SenderKeyRecord) isRecord()     {}
func (SyncKeyRecord) isRecord()       {}
func (SyncVersionRecord) isRecord()   {}
func (MACRecord) isRecord()           {}
func (ContactRecord) isRecord()       {}
func (ChatRecord) isRecord()          {}
func (MessageSecretRecord) isRecord() {}
func (PrivacyTokenRecord) isRecord()  {}
func (SaltRecord) isRecord()          {}
func (EventRecord) isRecord()         {}
func (OutgoingRecord) isRecord()      {}
