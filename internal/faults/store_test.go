package faults_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"

	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/store"
)

// storeCall names a call of a Store or of one of its devices.
type storeCall string

const (
	callTake     storeCall = "take the lease"
	callRenew    storeCall = "renew the lease"
	callRelease  storeCall = "release the lease"
	callDevice   storeCall = "load the session"
	callCode     storeCall = "count the code"
	callRefusal  storeCall = "record the refusal"
	callSave     storeCall = "save the device"
	callIdentity storeCall = "save the phone's identity"
	callLID      storeCall = "save the LID"
	callCount    storeCall = "count one-time keys"
	callKeys     storeCall = "make one-time keys"
	callUploaded storeCall = "mark one-time keys"
	callDelete   storeCall = "delete the session"
	callForget   storeCall = "forget the device"
)

// uploadLimit is more than whatsmeow's uploadPreKeys can take: two requests of 75 s each, and
// five seconds between them.
const uploadLimit = 3 * time.Minute

var errUploading = errors.New("an earlier login may still be uploading keys")

// errDiskFull is the error of SQLite when the disk is full.
var errDiskFull = errors.New("database or disk is full (13)")

// fullStore is a Store with all that a Linker makes use of.
type fullStore interface {
	store.Store
	store.Ledger
	store.Leaser
}

// faultyStore is a Store of which a call fails, or hangs, on request.
type faultyStore struct {
	fullStore

	mu       sync.Mutex
	broken   map[storeCall]error // a nil error hangs until the context ends
	saved    int
	uploadBy time.Time // when an upload of one-time keys that may be under way has ended
}

// fail has a call fail from now on. With a nil error it hangs until its context ends.
func fail(call storeCall, err error) func(*faultyStore) {
	return func(s *faultyStore) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.broken = map[storeCall]error{call: err}
	}
}

func (s *faultyStore) heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = nil
}

// saves returns how many devices were saved.
func (s *faultyStore) saves() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saved
}

// meet returns the error of a call, if it has one, and hangs if the call does.
func (s *faultyStore) meet(ctx context.Context, call storeCall) error {
	s.mu.Lock()
	err, broken := s.broken[call]
	s.mu.Unlock()
	if broken && err == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

// Device implements store.Store.
func (s *faultyStore) Device(ctx context.Context, session string) (*wastore.Device, error) {
	if err := s.meet(ctx, callDevice); err != nil {
		return nil, err
	}
	device, err := s.fullStore.Device(ctx, session)
	if err != nil {
		return nil, err
	}
	rig.ShareKeys(device)
	device.Container = faultyContainer{device.Container, s}
	if device.ID != nil {
		s.wrap(device)
	}
	return device, nil
}

// Delete implements store.Store.
func (s *faultyStore) Delete(ctx context.Context, session string) error {
	if err := s.meet(ctx, callDelete); err != nil {
		return err
	}
	return s.fullStore.Delete(ctx, session)
}

// TakeCode implements store.Ledger.
func (s *faultyStore) TakeCode(ctx context.Context, number string, now time.Time, limit int, window time.Duration) (time.Time, error) {
	if err := s.meet(ctx, callCode); err != nil {
		return time.Time{}, err
	}
	return s.fullStore.TakeCode(ctx, number, now, limit, window)
}

// RefuseCode implements store.Ledger.
func (s *faultyStore) RefuseCode(ctx context.Context, number string, now time.Time, wait time.Duration) (time.Time, error) {
	if err := s.meet(ctx, callRefusal); err != nil {
		return time.Time{}, err
	}
	return s.fullStore.RefuseCode(ctx, number, now, wait)
}

// TakeLeases implements store.Leaser.
func (s *faultyStore) TakeLeases(
	ctx context.Context, sessions []string, holder store.Holder, ttl time.Duration,
) (taken, busy []store.Lease, err error) {
	if err := s.meet(ctx, callTake); err != nil {
		return nil, nil, err
	}
	return s.fullStore.TakeLeases(ctx, sessions, holder, ttl)
}

// RenewHolder implements store.Leaser.
func (s *faultyStore) RenewHolder(ctx context.Context, holder store.Holder, ttl time.Duration) (store.Holder, error) {
	if err := s.meet(ctx, callRenew); err != nil {
		return store.Holder{}, err
	}
	return s.fullStore.RenewHolder(ctx, holder, ttl)
}

// EndHolder implements store.Leaser. It is what releases the only lease.
func (s *faultyStore) EndHolder(ctx context.Context, holder store.Holder) error {
	if err := s.meet(ctx, callRelease); err != nil {
		return err
	}
	return s.fullStore.EndHolder(ctx, holder)
}

// wrap puts what can fail into a device that is stored.
func (s *faultyStore) wrap(device *wastore.Device) {
	device.Identities = faultyIdentities{device.Identities, s}
	device.PreKeys = faultyPreKeys{device.PreKeys, s}
	device.LIDs = faultyLIDs{device.LIDs, s}
}

type faultyContainer struct {
	wastore.DeviceContainer
	s *faultyStore
}

func (c faultyContainer) PutDevice(ctx context.Context, device *wastore.Device) error {
	if err := c.s.meet(ctx, callSave); err != nil {
		return err
	}
	if err := c.DeviceContainer.PutDevice(ctx, device); err != nil {
		return err
	}
	device.Container = c // sqlstore has put its own Container there
	c.s.mu.Lock()
	c.s.saved++
	c.s.mu.Unlock()
	c.s.wrap(device)
	return nil
}

func (c faultyContainer) DeleteDevice(ctx context.Context, device *wastore.Device) error {
	if err := c.s.meet(ctx, callForget); err != nil {
		return err
	}
	return c.DeviceContainer.DeleteDevice(ctx, device)
}

type faultyIdentities struct {
	wastore.IdentityStore
	s *faultyStore
}

func (i faultyIdentities) PutIdentity(ctx context.Context, address string, key [32]byte) error {
	if err := i.s.meet(ctx, callIdentity); err != nil {
		return err
	}
	return i.IdentityStore.PutIdentity(ctx, address, key)
}

type faultyLIDs struct {
	wastore.LIDStore
	s *faultyStore
}

func (l faultyLIDs) PutLIDMapping(ctx context.Context, lid, jid types.JID) error {
	if err := l.s.meet(ctx, callLID); err != nil {
		return err
	}
	return l.LIDStore.PutLIDMapping(ctx, lid, jid)
}

type faultyPreKeys struct {
	wastore.PreKeyStore
	s *faultyStore
}

// UploadedPreKeyCount fails while an earlier login may be uploading keys. whatsmeow holds a
// lock for an upload, and this login would wait for it: the time of a bubble stands still then.
func (k faultyPreKeys) UploadedPreKeyCount(ctx context.Context) (int, error) {
	if err := k.s.meet(ctx, callCount); err != nil {
		return 0, err
	}
	count, err := k.PreKeyStore.UploadedPreKeyCount(ctx)
	if err != nil {
		return 0, err
	}
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	if time.Now().Before(k.s.uploadBy) {
		return 0, errUploading
	}
	if count < whatsmeow.MinPreKeyCount {
		k.s.uploadBy = time.Now().Add(uploadLimit)
	}
	return count, nil
}

// GetOrGenPreKeys is the begin of an upload, also of one that the server's count has asked for.
func (k faultyPreKeys) GetOrGenPreKeys(ctx context.Context, count uint32) ([]*keys.PreKey, error) {
	k.s.mu.Lock()
	k.s.uploadBy = time.Now().Add(uploadLimit)
	k.s.mu.Unlock()
	if err := k.s.meet(ctx, callKeys); err != nil {
		return nil, err
	}
	return k.PreKeyStore.GetOrGenPreKeys(ctx, count)
}

func (k faultyPreKeys) MarkPreKeysAsUploaded(ctx context.Context, upTo uint32) error {
	if err := k.s.meet(ctx, callUploaded); err != nil {
		return err
	}
	k.s.mu.Lock()
	k.s.uploadBy = time.Time{}
	k.s.mu.Unlock()
	return k.PreKeyStore.MarkPreKeysAsUploaded(ctx, upTo)
}
