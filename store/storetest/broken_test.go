package storetest_test

import (
	"context"
	"errors"
	"strings"
	"sync"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"

	"github.com/walink/walink/store"
)

// brokenStore is a Store whose devices are spoilt.
type brokenStore struct {
	store.Store
	spoil func(device *wastore.Device)
	names func(session string) string // changes the name of a session; nil changes nothing
}

func (s brokenStore) Device(ctx context.Context, session string) (*wastore.Device, error) {
	if s.names != nil {
		session = s.names(session)
	}
	device, err := s.Store.Device(ctx, session)
	if err != nil {
		return nil, err
	}
	if device.Initialized {
		s.spoil(device)
	}
	device.Container = brokenContainer{device.Container, s.spoil}
	return device, nil
}

type brokenContainer struct {
	wastore.DeviceContainer
	spoil func(device *wastore.Device)
}

func (c brokenContainer) PutDevice(ctx context.Context, device *wastore.Device) error {
	initialized := device.Initialized
	err := c.DeviceContainer.PutDevice(ctx, device)
	if err == nil && !initialized {
		c.spoil(device)
		c.DeviceContainer = device.Container
		device.Container = c
	}
	return err
}

// sessions has a function for each method that it spoils.
type sessions struct {
	wastore.SessionStore
	put     func(ctx context.Context, address string, session []byte) error
	get     func(ctx context.Context, address string) ([]byte, error)
	putMany func(ctx context.Context, many map[string][]byte) error
	delete  func(ctx context.Context, phone string) error
	migrate func(ctx context.Context, pn, lid types.JID) error
}

func (s sessions) PutSession(ctx context.Context, address string, session []byte) error {
	if s.put != nil {
		return s.put(ctx, address, session)
	}
	return s.SessionStore.PutSession(ctx, address, session)
}

func (s sessions) GetSession(ctx context.Context, address string) ([]byte, error) {
	if s.get != nil {
		return s.get(ctx, address)
	}
	return s.SessionStore.GetSession(ctx, address)
}

func (s sessions) PutManySessions(ctx context.Context, many map[string][]byte) error {
	if s.putMany != nil {
		return s.putMany(ctx, many)
	}
	return s.SessionStore.PutManySessions(ctx, many)
}

func (s sessions) DeleteAllSessions(ctx context.Context, phone string) error {
	if s.delete != nil {
		return s.delete(ctx, phone)
	}
	return s.SessionStore.DeleteAllSessions(ctx, phone)
}

func (s sessions) MigratePNToLID(ctx context.Context, pn, lid types.JID) error {
	if s.migrate != nil {
		return s.migrate(ctx, pn, lid)
	}
	return s.SessionStore.MigratePNToLID(ctx, pn, lid)
}

// folding takes addresses for others.
type folding struct {
	wastore.SessionStore
	fold func(string) string
}

func (s folding) PutSession(ctx context.Context, address string, session []byte) error {
	return s.SessionStore.PutSession(ctx, s.fold(address), session)
}

func (s folding) GetSession(ctx context.Context, address string) ([]byte, error) {
	return s.SessionStore.GetSession(ctx, s.fold(address))
}

// salt is kept by the device alone.
type salt struct{ salt []byte }

func (s *salt) PutNCTSalt(_ context.Context, salt []byte) error { s.salt = salt; return nil }
func (s *salt) GetNCTSalt(context.Context) ([]byte, error)      { return s.salt, nil }
func (s *salt) DeleteNCTSalt(context.Context) error             { s.salt = nil; return nil }

// events has a function for each method that it spoils.
type events struct {
	wastore.EventBuffer
	txn      func(ctx context.Context, fn func(context.Context) error) error
	get      func(event *wastore.BufferedEvent)
	outgoing error
}

func (e events) DoDecryptionTxn(ctx context.Context, fn func(context.Context) error) error {
	if e.txn != nil {
		return e.txn(ctx, fn)
	}
	return e.EventBuffer.DoDecryptionTxn(ctx, fn)
}

func (e events) GetBufferedEvent(ctx context.Context, hash [32]byte) (*wastore.BufferedEvent, error) {
	event, err := e.EventBuffer.GetBufferedEvent(ctx, hash)
	if event != nil && e.get != nil {
		e.get(event)
	}
	return event, err
}

func (e events) GetOutgoingEvent(ctx context.Context, chat, alt types.JID, id types.MessageID) (string, []byte, error) {
	format, plaintext, err := e.EventBuffer.GetOutgoingEvent(ctx, chat, alt, id)
	if err != nil && e.outgoing != nil {
		err = e.outgoing
	}
	return format, plaintext, err
}

// preKeys gives other keys than it has stored, or one of them twice.
type preKeys struct {
	wastore.PreKeyStore
	mu    sync.Mutex
	other bool
	first *keys.PreKey
}

func (p *preKeys) GetPreKey(ctx context.Context, id uint32) (*keys.PreKey, error) {
	key, err := p.PreKeyStore.GetPreKey(ctx, id)
	if key != nil && p.other {
		return keys.NewPreKey(id), nil
	}
	return key, err
}

func (p *preKeys) GenOnePreKey(ctx context.Context) (*keys.PreKey, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key, err := p.PreKeyStore.GenOnePreKey(ctx)
	if p.other {
		return key, err
	}
	if p.first == nil {
		p.first = key
	}
	return p.first, err
}

// contacts says that a name is new, always, or takes only so many at once.
type contacts struct {
	wastore.ContactStore
	limit int
}

func (c contacts) PutPushName(ctx context.Context, user types.JID, name string) (bool, string, error) {
	changed, previous, err := c.ContactStore.PutPushName(ctx, user, name)
	return changed || c.limit == 0, previous, err
}

func (c contacts) PutAllContactNames(ctx context.Context, entries []wastore.ContactEntry) error {
	if c.limit > 0 {
		entries = entries[:min(len(entries), c.limit)]
	}
	return c.ContactStore.PutAllContactNames(ctx, entries)
}

// lids forgets the number of the device.
type lids struct{ wastore.LIDStore }

func (l lids) GetLIDForPN(ctx context.Context, pn types.JID) (types.JID, error) {
	jid, err := l.LIDStore.GetLIDForPN(ctx, pn)
	return jid.ToNonAD(), err
}

// tokens outlive their device, as sqlstore's do.
type tokens struct {
	wastore.PrivacyTokenStore
	kept map[types.JID]wastore.PrivacyToken
	jid  types.JID
}

func (p tokens) PutPrivacyTokens(ctx context.Context, list ...wastore.PrivacyToken) error {
	for _, token := range list {
		p.kept[token.User] = token
	}
	return p.PrivacyTokenStore.PutPrivacyTokens(ctx, list...)
}

func (p tokens) GetPrivacyToken(ctx context.Context, user types.JID) (*wastore.PrivacyToken, error) {
	token, err := p.PrivacyTokenStore.GetPrivacyToken(ctx, user)
	if kept, ok := p.kept[user]; ok && token == nil && p.jid.Device == 1 {
		return &kept, err
	}
	return token, err
}

var errOther = errors.New("another error")

func cutAtNUL(s string) string {
	before, _, _ := strings.Cut(s, "\x00")
	return before
}
