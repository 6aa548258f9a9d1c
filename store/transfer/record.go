package transfer

import (
	"context"
	"errors"
	"iter"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
)

// ErrTaken is returned, wrapped, if a session cannot be imported because its
// name already has a device, or its device already has a name.
var ErrTaken = errors.New("the place is taken")

// Exporter is an optional interface of a [store.Store], for [Copy]. It lists
// everything that is stored for a session, which whatsmeow's stores cannot.
type Exporter interface {
	// Export yields the records of session. The [DeviceRecord] is the first,
	// and every [SyncVersionRecord] comes before the first [MACRecord]. All
	// records are of one state of the Store, and they are never all in memory.
	// An error is the last thing that Export yields; the error wraps
	// [store.ErrNotFound] if there is no such session. Others may read and write
	// the Store meanwhile, but the body of the loop may not.
	Export(ctx context.Context, session string) iter.Seq2[Record, error]
	// ExportLIDs yields the LID map, which all sessions of the Store share. An
	// error is the last thing that ExportLIDs yields; the error wraps
	// [store.ErrDamaged] if every pair was yielded except the damaged ones.
	ExportLIDs(ctx context.Context) iter.Seq2[wastore.LIDMapping, error]
}

// Importer is an optional interface of a [store.Store], for [Copy]. It stores
// what an [Exporter] lists.
type Importer interface {
	// Import stores records under session, in one transaction. The records come
	// in the order of an [Exporter]. If records yields an error or ctx ends,
	// nothing is stored. If the session has a device, or the device is stored
	// under any name, the error wraps [ErrTaken] and nothing is changed.
	Import(ctx context.Context, session string, records iter.Seq2[Record, error]) error
	// ImportLIDs adds pairs to the LID map. If the Store has another pair for
	// a number or a LID, that pair stays. The error wraps [store.ErrDamaged] if
	// every pair was added except those whose place in the Store is damaged.
	ImportLIDs(ctx context.Context, pairs iter.Seq2[wastore.LIDMapping, error]) error
}

// Record is one value that is stored for a session, and has one of the types
// below. Addresses are Signal's: a user, a colon and a device. JIDs and names
// are as whatsmeow stores them. An empty value and a missing one are the same.
//
//sumtype:decl
type Record interface {
	// Kind names the type, for people. It is no secret.
	Kind() string
	isRecord()
}

type (
	// DeviceRecord is the device itself, without its stores (see [Bare]).
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
	// SenderKeyRecord is the key that an address encrypts with in a group.
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
	// SyncVersionRecord is the version of one collection of the app state.
	SyncVersionRecord struct {
		Name    string
		Version uint64
		Hash    [128]byte
	}
	// MACRecord is the MAC of one entry in a collection of the app state.
	MACRecord struct {
		Name         string
		Version      uint64
		Index, Value [32]byte
	}
	// ContactRecord has the names and the masked phone number of a contact.
	ContactRecord struct {
		JID                                                        string
		FirstName, FullName, PushName, BusinessName, RedactedPhone string
	}
	// ChatRecord has the settings of a chat.
	ChatRecord struct {
		JID              string
		MutedUntil       int64 // Unix seconds; 0 is not muted, and -1 is muted for ever
		Pinned, Archived bool
	}
	// MessageSecretRecord is the secret of a message.
	MessageSecretRecord struct {
		Chat, Sender, ID string
		Secret           []byte
	}
	// PrivacyTokenRecord is the privacy token of a user.
	PrivacyTokenRecord struct {
		JID       string
		Token     []byte
		Timestamp int64 // Unix seconds
		SentAt    int64 // Unix seconds, if Sent
		Sent      bool
	}
	// SaltRecord is the NCT salt.
	SaltRecord struct{ Salt []byte }
	// EventRecord is an event that was received, under the hash of its
	// ciphertext.
	EventRecord struct {
		Hash      [32]byte
		Plaintext []byte // nil once the event was handled
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
