package sqlkeep

import (
	"context"
	"fmt"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"

	"github.com/walink/walink/internal/redact"
)

// owner says whose data a store has. The errors of sqlstore do not name the
// session; owner adds it, so that people can find a value that is damaged.
type owner struct {
	keeper  *Keeper
	session string
}

// fail adds to err the session and which of its values the error is about,
// without phone numbers.
func (o owner) fail(what, key string, err error) error {
	if err == nil {
		return nil
	}
	return o.keeper.fail(fmt.Sprintf("the %s %q of session", what, redact.Numbers(key)), o.session, err)
}

// IsTrustedIdentity implements [wastore.IdentityStore].
func (i identities) IsTrustedIdentity(ctx context.Context, address string, key [32]byte) (bool, error) {
	trusted, err := i.IdentityStore.IsTrustedIdentity(ctx, address, key)
	return trusted, i.fail("identity", address, err)
}

// GetSession implements [wastore.SessionStore].
func (s *sessions) GetSession(ctx context.Context, address string) ([]byte, error) {
	session, err := s.SessionStore.GetSession(ctx, address)
	return session, s.fail("Signal session", address, err)
}

// PutSession implements [wastore.SessionStore].
func (s *sessions) PutSession(ctx context.Context, address string, session []byte) error {
	return s.fail("Signal session", address, s.SessionStore.PutSession(ctx, address, session))
}

// PutManySessions implements [wastore.SessionStore].
func (s *sessions) PutManySessions(ctx context.Context, list map[string][]byte) error {
	if err := s.SessionStore.PutManySessions(ctx, list); err != nil {
		return s.keeper.fail("Signal sessions of session", s.session, err)
	}
	return nil
}

// GetPreKey implements [wastore.PreKeyStore].
func (p *preKeys) GetPreKey(ctx context.Context, id uint32) (*keys.PreKey, error) {
	key, err := p.PreKeyStore.GetPreKey(ctx, id)
	return key, p.fail("prekey", fmt.Sprint(id), err)
}

// appState adds the session and the name of the collection to errors.
type appState struct {
	wastore.AppStateStore
	owner
}

// GetAppStateVersion implements [wastore.AppStateStore].
func (a appState) GetAppStateVersion(ctx context.Context, name string) (uint64, [128]byte, error) {
	version, hash, err := a.AppStateStore.GetAppStateVersion(ctx, name)
	return version, hash, a.fail("app state", name, err)
}

// messageSecrets adds the session and the message to errors.
type messageSecrets struct {
	wastore.MsgSecretStore
	owner
}

// GetMessageSecret implements [wastore.MsgSecretStore].
func (m messageSecrets) GetMessageSecret(ctx context.Context, chat, sender types.JID, id types.MessageID) ([]byte, types.JID, error) {
	secret, realSender, err := m.MsgSecretStore.GetMessageSecret(ctx, chat, sender, id)
	return secret, realSender, m.fail("secret of message", id, err)
}

// PutMessageSecrets implements [wastore.MsgSecretStore].
func (m messageSecrets) PutMessageSecrets(ctx context.Context, inserts []wastore.MessageSecretInsert) error {
	if err := m.MsgSecretStore.PutMessageSecrets(ctx, inserts); err != nil {
		return m.keeper.fail("secrets of messages of session", m.session, err)
	}
	return nil
}

// PutMessageSecret implements [wastore.MsgSecretStore].
func (m messageSecrets) PutMessageSecret(ctx context.Context, chat, sender types.JID, id types.MessageID, secret []byte) error {
	return m.fail("secret of message", id, m.MsgSecretStore.PutMessageSecret(ctx, chat, sender, id, secret))
}
