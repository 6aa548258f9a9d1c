package rig

import (
	"context"
	"sync"
	"testing"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/util/keys"

	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/sqlite"
)

// Memory is a Store in memory. Its devices share their one-time keys, as
// [ShareKeys] has it.
type Memory struct{ *kv.Store }

// MemoryStore returns a Memory, which the end of the test closes. It is open at
// once, unlike a database, which first makes its tables.
func MemoryStore(tb testing.TB) Memory {
	tb.Helper()
	st := kv.New(memory.New())
	tb.Cleanup(func() {
		if err := st.Close(); err != nil {
			tb.Error(err)
		}
	})
	return Memory{st}
}

// Device implements store.Store.
func (m Memory) Device(ctx context.Context, session string) (*wastore.Device, error) {
	device, err := m.Store.Device(ctx, session)
	if err == nil {
		ShareKeys(device)
	}
	return device, err
}

// SQLiteStore returns a Store on SQLite in memory, which the end of the test closes.
func SQLiteStore(tb testing.TB) *sqlite.Store {
	tb.Helper()
	st, err := sqlite.Open(tb.Context(), ":memory:")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := st.Close(); err != nil {
			tb.Error(err)
		}
	})
	return st
}

// ShareKeys has a device upload the same 812 one-time keys at its first login as
// every other device. Fresh ones would take most of a test's time under -race.
func ShareKeys(device *wastore.Device) {
	if device.ID == nil { // the Store puts its own PreKeys there when it saves the device
		device.Container = sharingContainer{device.Container}
	} else {
		device.PreKeys = sharedKeys{device.PreKeys}
	}
}

type sharingContainer struct{ wastore.DeviceContainer }

func (c sharingContainer) PutDevice(ctx context.Context, device *wastore.Device) error {
	if err := c.DeviceContainer.PutDevice(ctx, device); err != nil {
		return err
	}
	device.PreKeys = sharedKeys{device.PreKeys}
	return nil
}

type sharedKeys struct{ wastore.PreKeyStore }

func (sharedKeys) GetOrGenPreKeys(context.Context, uint32) ([]*keys.PreKey, error) {
	return oneTimeKeys(), nil
}

func (k sharedKeys) GetPreKey(ctx context.Context, id uint32) (*keys.PreKey, error) {
	key, err := k.PreKeyStore.GetPreKey(ctx, id)
	if shared := oneTimeKeys(); err == nil && key == nil && id > 0 && id <= uint32(len(shared)) {
		return shared[id-1], nil
	}
	return key, err
}

var oneTimeKeys = sync.OnceValue(func() []*keys.PreKey {
	list := make([]*keys.PreKey, 812)
	for i := range list {
		list[i] = keys.NewPreKey(uint32(i + 1))
	}
	return list
})
