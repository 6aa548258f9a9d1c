package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"

	"github.com/walink/walink/store"
)

// identity is what a stored device must still have when it is loaded again.
type identity struct {
	JID, LID               types.JID
	Noise, Identity        [32]byte
	SignedPreKey           [32]byte
	SignedPreKeyID         uint32
	SignedPreKeySignature  [64]byte
	RegistrationID         uint32
	Adv                    []byte
	Details, Key           []byte
	AccountSig, DeviceSig  []byte
	Platform, BusinessName string
}

func identityOf(device *wastore.Device) identity {
	return identity{
		JID:                   device.GetJID(),
		LID:                   device.GetLID(),
		Noise:                 *device.NoiseKey.Priv,
		Identity:              *device.IdentityKey.Priv,
		SignedPreKey:          *device.SignedPreKey.Priv,
		SignedPreKeyID:        device.SignedPreKey.KeyID,
		SignedPreKeySignature: *device.SignedPreKey.Signature,
		RegistrationID:        device.RegistrationID,
		Adv:                   device.AdvSecretKey,
		Details:               device.Account.GetDetails(),
		Key:                   device.Account.GetAccountSignatureKey(),
		AccountSig:            device.Account.GetAccountSignature(),
		DeviceSig:             device.Account.GetDeviceSignature(),
		Platform:              device.Platform,
		BusinessName:          device.BusinessName,
	}
}

func runDevice(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	t.Run("clause 1: an unknown session gives another fresh device each time", func(t *testing.T) {
		t.Parallel()
		st := open(t)
		one, two := get(t, st, "default"), get(t, st, "default")
		for _, device := range []*wastore.Device{one, two} {
			if device.ID != nil || device.Initialized || device.Deleted {
				t.Errorf("ID %v, Initialized %t, Deleted %t, want a fresh device", device.ID, device.Initialized, device.Deleted)
			}
			if device.Container == nil || device.Log == nil {
				t.Errorf("Container %v, Log %v, want both set", device.Container, device.Log)
			}
		}
		if *one.NoiseKey.Priv == *two.NoiseKey.Priv || *one.IdentityKey.Priv == *two.IdentityKey.Priv {
			t.Error("two fresh devices share keys")
		}
	})

	t.Run("clause 2: nothing is stored before Save, then device and name at once", func(t *testing.T) {
		t.Parallel()
		st := open(t)
		device := get(t, st, "default")
		if err := device.Save(t.Context()); err == nil {
			t.Error("Save of a device without ID succeeded")
		}
		Pair(device, JID(number, 1))
		if got := names(t, st); len(got) != 0 {
			t.Fatalf("before Save there are sessions %q", got)
		}

		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		if err := device.Save(canceled); err == nil {
			t.Fatal("Save with a canceled ctx succeeded")
		}
		if device.Initialized {
			t.Error("the device is initialized though Save failed")
		}
		if got := names(t, st); len(got) != 0 {
			t.Fatalf("after a failed Save there are sessions %q", got)
		}

		before := time.Now()
		if err := device.Save(t.Context()); err != nil {
			t.Fatalf("Save: %v", err)
		}
		sessions, err := st.Sessions(t.Context())
		if err != nil {
			t.Fatalf("Sessions: %v", err)
		}
		if len(sessions) != 1 {
			t.Fatalf("%d sessions, want 1", len(sessions))
		}
		linkedAt := sessions[0].LinkedAt
		if linkedAt.Before(before.Add(-time.Millisecond)) || linkedAt.After(time.Now()) || linkedAt.Location() != time.UTC {
			t.Errorf("LinkedAt %v, want a time in UTC after %v", linkedAt, before)
		}
		want := []store.Session{{Name: "default", JID: *device.ID, LID: device.LID, LinkedAt: linkedAt}}
		if diff := cmp.Diff(want, sessions); diff != "" {
			t.Errorf("sessions (-want +got):\n%s", diff)
		}
	})

	t.Run("clause 3: a saved device comes back with its keys and its stores", func(t *testing.T) {
		t.Parallel()
		st := open(t)
		device := Link(t, st, "default", JID(number, 1))
		saved := identityOf(device)
		for _, device := range []*wastore.Device{device, get(t, st, "default")} {
			if diff := cmp.Diff(saved, identityOf(device)); diff != "" {
				t.Errorf("device (-saved +got):\n%s", diff)
			}
			if !device.Initialized {
				t.Error("the device is not initialized")
			}
			checkStores(t, device)
		}

		write(t, device)
		check(t, get(t, st, "default"), written)

		device.PushName = "Maria"
		if err := device.Save(t.Context()); err != nil {
			t.Fatalf("second Save: %v", err)
		}
		if got := get(t, st, "default").PushName; got != "Maria" {
			t.Errorf("after a second Save PushName is %q", got)
		}
		check(t, get(t, st, "default"), written)
	})

	t.Run("clause 3: a Save writes to no key, and a later one to no store", func(t *testing.T) {
		t.Parallel()
		device := get(t, open(t), "default")
		Pair(device, JID(number, 1))
		// Under -race a write is an error.
		saveWhile := func(read func()) {
			t.Helper()
			var group sync.WaitGroup
			group.Go(read)
			if err := device.Save(t.Context()); err != nil {
				t.Fatal(err)
			}
			group.Wait()
		}
		saveWhile(func() { _, _, _ = device.NoiseKey, device.IdentityKey, device.SignedPreKey; _ = device.AdvSecretKey })
		saveWhile(func() { _, _, _ = device.Container, device.Sessions, device.LIDs })
	})

	t.Run("clause 3: prekeys are kept, numbered and uploaded once", func(t *testing.T) {
		t.Parallel()
		st := open(t)
		device := Link(t, st, "default", JID(number, 1))
		first := preKeys(t, device, 812)
		if len(first) != 812 {
			t.Fatalf("%d prekeys, want 812", len(first))
		}
		for i, key := range first {
			if key.KeyID != uint32(i)+1 {
				t.Fatalf("prekey %d has ID %d", i, key.KeyID)
			}
			if *keys.NewKeyPairFromPrivateKey(*key.Priv).Pub != *key.Pub {
				t.Fatalf("prekey %d: the public key is not that of the private one", i)
			}
		}

		loaded := get(t, st, "default")
		if diff := cmp.Diff(first, preKeys(t, loaded, 812)); diff != "" {
			t.Fatalf("the same prekeys again (-want +got):\n%s", diff)
		}
		more := preKeys(t, loaded, 820)
		if len(more) != 820 || more[819].KeyID != 820 || *more[0].Priv != *first[0].Priv {
			t.Fatalf("%d prekeys, want the 812 and 8 new ones", len(more))
		}
		if err := device.PreKeys.MarkPreKeysAsUploaded(t.Context(), 820); err != nil {
			t.Fatal(err)
		}
		if count, err := device.PreKeys.UploadedPreKeyCount(t.Context()); err != nil || count != 820 {
			t.Errorf("UploadedPreKeyCount %d, %v, want 820", count, err)
		}
		one, err := device.PreKeys.GenOnePreKey(t.Context())
		if err != nil || one.KeyID != 821 {
			t.Fatalf("GenOnePreKey %v, %v, want ID 821", one, err)
		}
		next := preKeys(t, device, 50)
		if len(next) != 50 || next[0].KeyID != 822 {
			t.Fatalf("%d prekeys from %d, want 50 from 822", len(next), next[0].KeyID)
		}
		got, err := loaded.PreKeys.GetPreKey(t.Context(), next[49].KeyID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(next[49], got); diff != "" {
			t.Errorf("GetPreKey (-want +got):\n%s", diff)
		}
	})
}

func preKeys(t *testing.T, device *wastore.Device, count uint32) []*keys.PreKey {
	t.Helper()
	batch, err := device.PreKeys.GetOrGenPreKeys(t.Context(), count)
	if err != nil {
		t.Fatalf("GetOrGenPreKeys: %v", err)
	}
	return batch
}
