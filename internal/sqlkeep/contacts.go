package sqlkeep

import (
	"context"
	"sync"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// contacts locks readers of a contact out while a writer changes it. GetContact
// in sqlstore/store.go unlocks its cache before it copies the cached contact,
// and the methods below change that contact in place. The race detector reports
// it, and a reader can get a string that is half written. Delete when
// GetContact copies the contact under its lock.
type contacts struct {
	wastore.ContactStore
	mu sync.RWMutex
}

// GetContact implements [wastore.ContactStore].
func (c *contacts) GetContact(ctx context.Context, user types.JID) (types.ContactInfo, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.ContactStore.GetContact(ctx, user)
}

// PutPushName implements [wastore.ContactStore].
func (c *contacts) PutPushName(ctx context.Context, user types.JID, name string) (changed bool, previous string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ContactStore.PutPushName(ctx, user, name)
}

// PutBusinessName implements [wastore.ContactStore].
func (c *contacts) PutBusinessName(ctx context.Context, user types.JID, name string) (changed bool, previous string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ContactStore.PutBusinessName(ctx, user, name)
}

// PutContactName implements [wastore.ContactStore]. whatsmeow passes the first
// name first, although the interface names its parameters the other way round.
func (c *contacts) PutContactName(ctx context.Context, user types.JID, firstName, fullName string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ContactStore.PutContactName(ctx, user, firstName, fullName)
}
