package walinktest_test

import (
	"context"
	"maps"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
)

// memoryDevice returns a new device that keeps in memory what a chat needs. SQLite takes
// seconds for its keys under the race detector.
func memoryDevice() *store.Device {
	memory := &memoryStore{
		NoopStore:  &store.NoopStore{},
		preKeys:    make(map[uint32]*keys.PreKey),
		identities: make(map[string][32]byte),
		sessions:   make(map[string][]byte),
		senderKeys: make(map[string][]byte),
		lids:       make(map[string]types.JID),
		stateKeys:  make(map[string]store.AppStateSyncKey),
		states:     make(map[string]appstate.HashState),
		stateMACs:  make(map[string][]byte),
		pushNames:  make(map[types.JID]string),
		tokens:     make(map[types.JID]store.PrivacyToken),
	}
	device := &store.Device{
		NoiseKey:       keys.NewKeyPair(),
		IdentityKey:    keys.NewKeyPair(),
		RegistrationID: 1,
		AdvSecretKey:   keys.NewKeyPair().Priv[:],
	}
	device.SignedPreKey = device.IdentityKey.CreateSignedPreKey(1)
	device.SetAllStores(memory)
	device.LIDs, device.Container = memory, memory
	return device
}

// memoryStore is a store.AllStores and a store.DeviceContainer. Its lock orders
// whatsmeow's goroutines, as the lock of a database does.
type memoryStore struct {
	*store.NoopStore
	mu                sync.Mutex
	preKeys           map[uint32]*keys.PreKey
	lastKey, uploaded uint32
	identities        map[string][32]byte
	sessions          map[string][]byte
	senderKeys        map[string][]byte
	lids              map[string]types.JID // by user of the other address
	stateKeys         map[string]store.AppStateSyncKey
	lastStateKey      []byte
	states            map[string]appstate.HashState
	stateMACs         map[string][]byte // by name and index
	pushNames         map[types.JID]string
	tokens            map[types.JID]store.PrivacyToken
}

// GetOrGenPreKeys makes fewer keys than whatsmeow wants. The 812 keys of a first upload
// take seconds under the race detector.
func (m *memoryStore) GetOrGenPreKeys(context.Context, uint32) ([]*keys.PreKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	made := make([]*keys.PreKey, whatsmeow.MinPreKeyCount)
	for i := range made {
		made[i] = m.newPreKey()
	}
	return made, nil
}

func (m *memoryStore) GenOnePreKey(context.Context) (*keys.PreKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.newPreKey(), nil
}

func (m *memoryStore) newPreKey() *keys.PreKey {
	m.lastKey++
	m.preKeys[m.lastKey] = keys.NewPreKey(m.lastKey)
	return m.preKeys[m.lastKey]
}

func (m *memoryStore) GetPreKey(_ context.Context, id uint32) (*keys.PreKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.preKeys[id], nil
}

func (m *memoryStore) RemovePreKey(_ context.Context, id uint32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.preKeys, id)
	return nil
}

func (m *memoryStore) MarkPreKeysAsUploaded(_ context.Context, id uint32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.uploaded = id
	return nil
}

func (m *memoryStore) UploadedPreKeyCount(context.Context) (count int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.preKeys {
		if id <= m.uploaded {
			count++
		}
	}
	return count, nil
}

func (m *memoryStore) PutIdentity(_ context.Context, address string, key [32]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.identities[address] = key
	return nil
}

func (m *memoryStore) DeleteIdentity(_ context.Context, address string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.identities, address)
	return nil
}

func (m *memoryStore) IsTrustedIdentity(_ context.Context, address string, key [32]byte) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known, ok := m.identities[address]
	return !ok || known == key, nil
}

func (m *memoryStore) GetSession(_ context.Context, address string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sessions[address], nil
}

func (m *memoryStore) HasSession(ctx context.Context, address string) (bool, error) {
	session, err := m.GetSession(ctx, address)
	return session != nil, err
}

func (m *memoryStore) GetManySessions(_ context.Context, addresses []string) (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	many := make(map[string][]byte)
	for _, address := range addresses {
		many[address] = m.sessions[address]
	}
	return many, nil
}

func (m *memoryStore) PutSession(ctx context.Context, address string, session []byte) error {
	return m.PutManySessions(ctx, map[string][]byte{address: session})
}

func (m *memoryStore) PutManySessions(_ context.Context, sessions map[string][]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.Copy(m.sessions, sessions)
	return nil
}

func (m *memoryStore) DeleteSession(_ context.Context, address string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sessions, address)
	return nil
}

func (m *memoryStore) PutSenderKey(_ context.Context, group, user string, key []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.senderKeys[group+user] = key
	return nil
}

func (m *memoryStore) GetSenderKey(_ context.Context, group, user string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.senderKeys[group+user], nil
}

func (m *memoryStore) PutManyLIDMappings(ctx context.Context, mappings []store.LIDMapping) error {
	for _, mapping := range mappings {
		_ = m.PutLIDMapping(ctx, mapping.LID, mapping.PN)
	}
	return nil
}

func (m *memoryStore) PutLIDMapping(_ context.Context, lid, pn types.JID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lids[pn.User], m.lids[lid.User] = lid.ToNonAD(), pn.ToNonAD()
	return nil
}

func (m *memoryStore) GetLIDForPN(_ context.Context, jid types.JID) (types.JID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	other := m.lids[jid.User]
	if !other.IsEmpty() {
		other.Device = jid.Device
	}
	return other, nil
}

func (m *memoryStore) GetPNForLID(ctx context.Context, lid types.JID) (types.JID, error) {
	return m.GetLIDForPN(ctx, lid)
}

func (m *memoryStore) GetManyLIDsForPNs(ctx context.Context, pns []types.JID) (map[types.JID]types.JID, error) {
	many := make(map[types.JID]types.JID)
	for _, pn := range pns {
		if lid, _ := m.GetLIDForPN(ctx, pn); !lid.IsEmpty() {
			many[pn] = lid
		}
	}
	return many, nil
}

func (m *memoryStore) PutAppStateSyncKey(_ context.Context, id []byte, key store.AppStateSyncKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stateKeys[string(id)], m.lastStateKey = key, id
	return nil
}

func (m *memoryStore) GetAppStateSyncKey(_ context.Context, id []byte) (*store.AppStateSyncKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if key, ok := m.stateKeys[string(id)]; ok {
		return &key, nil
	}
	return nil, nil // whatsmeow's way to say that there is none
}

func (m *memoryStore) GetLatestAppStateSyncKeyID(context.Context) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lastStateKey, nil
}

func (m *memoryStore) PutAppStateVersion(_ context.Context, name string, version uint64, hash [128]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.states[name] = appstate.HashState{Version: version, Hash: hash}
	return nil
}

func (m *memoryStore) GetAppStateVersion(_ context.Context, name string) (uint64, [128]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.states[name].Version, m.states[name].Hash, nil
}

func (m *memoryStore) PutAppStateMutationMACs(
	_ context.Context, name string, _ uint64, mutations []store.AppStateMutationMAC,
) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, mutation := range mutations {
		m.stateMACs[name+string(mutation.IndexMAC)] = mutation.ValueMAC
	}
	return nil
}

func (m *memoryStore) GetAppStateMutationMAC(_ context.Context, name string, index []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stateMACs[name+string(index)], nil
}

func (m *memoryStore) PutPushName(_ context.Context, user types.JID, name string) (bool, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.pushNames[user]
	m.pushNames[user] = name
	return before != name, before, nil
}

func (m *memoryStore) PutPrivacyTokens(_ context.Context, tokens ...store.PrivacyToken) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, token := range tokens {
		m.tokens[token.User] = token
	}
	return nil
}

func (m *memoryStore) GetPrivacyToken(_ context.Context, user types.JID) (*store.PrivacyToken, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if token, ok := m.tokens[user]; ok {
		return &token, nil
	}
	return nil, nil // whatsmeow's way to say that there is none
}

// forget loses all Signal sessions, as a client with an old backup of its store does.
func (c *client) forget() {
	memory, _ := c.Store.Sessions.(*memoryStore)
	memory.mu.Lock()
	defer memory.mu.Unlock()
	clear(memory.sessions)
	clear(memory.senderKeys)
}

func (m *memoryStore) DeleteExpiredPrivacyTokens(context.Context, time.Time) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return 0, nil
}

func (m *memoryStore) DeleteDevice(context.Context, *store.Device) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return nil
}
