package sqlkeep

import (
	"context"
	"sync"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// contacts keeps whoever reads a contact from those who write it. sqlstore
// gives up its lock before it copies what it found in its cache, and the names
// in there are changed in place: without this a reader can meet a string that
// is half written.
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

// PutContactName implements [wastore.ContactStore]. whatsmeow calls it with
// the first name first, whatever the interface calls its parameters.
func (c *contacts) PutContactName(ctx context.Context, user types.JID, firstName, fullName string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ContactStore.PutContactName(ctx, user, firstName, fullName)
}
