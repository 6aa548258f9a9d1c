package walinktest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"go.mau.fi/whatsmeow/util/gcmutil"
	"go.mau.fi/whatsmeow/util/hkdfutil"
	"google.golang.org/protobuf/proto"

	"github.com/walink/walink/walinktest"
)

// details returns what the phone has signed for the client.
func (c *client) details() *waAdv.ADVDeviceIdentity {
	c.tb.Helper()
	details := new(waAdv.ADVDeviceIdentity)
	if err := proto.Unmarshal(c.Store.Account.GetDetails(), details); err != nil {
		c.tb.Fatal(err)
	}
	return details
}

func TestPairSuccessHasWhatWhatsAppWebReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		c, codes := connected(t, srv)
		wantSays(t, srv.NewPhone(number).ScanQR(ctx, codes[0]), nil)
		if props := await[*events.PairSuccess](c).Props; !props.GetIsChatDbLidMigrated() {
			t.Errorf("the client-props are %v", props)
		}
		for len(c.nodes) > 0 {
			node := <-c.nodes
			if jurisdiction, ok := node.GetOptionalChildByTag("pair-success", "jurisdiction"); ok {
				if jurisdiction.Attrs["iso"] != "BR" || jurisdiction.Attrs["cc"] != "55" {
					t.Errorf("the jurisdiction is %s", &jurisdiction)
				}
				metadata := node.GetChildByTag("pair-success", "encryption-metadata")
				if payload, err := openMetadata(c, &metadata); err != nil || payload.Nonce == "" || payload.FBID == "" {
					t.Errorf("the metadata %s has %v, %v", &metadata, payload, err)
				}
				return
			}
		}
		t.Error("pair-success has no jurisdiction")
	})
}

// openMetadata does as WAWebHandleCanonicalRegistration of WhatsApp Web.
func openMetadata(c *client, metadata *waBinary.Node) (payload struct{ Nonce, FBID string }, err error) {
	part := func(tag string) []byte {
		data, _ := metadata.GetChildByTag(tag).Content.([]byte)
		return data
	}
	key := hkdfutil.SHA256(c.Store.AdvSecretKey, c.Store.NoiseKey.Pub[:], []byte("Canonical Ent Companion Nonce Encrypt"), 32)
	opened, err := gcmutil.Decrypt(key, part("nonce"), slices.Concat(part("encrypted_data"), part("auth_tag")), nil)
	if err != nil {
		return payload, err
	}
	err = json.Unmarshal(opened, &payload)
	return payload, err
}

func TestHostedAccounts(t *testing.T) {
	t.Parallel()
	for _, devices := range []bool{false, true} {
		for name, test := range map[string]struct {
			action  walinktest.Action
			failure error
		}{
			"good":          {walinktest.Pass(), nil},
			"bad HMAC":      {walinktest.BadHMAC(), whatsmeow.ErrPairInvalidDeviceIdentityHMAC},
			"bad signature": {walinktest.BadSignature(), whatsmeow.ErrPairInvalidDeviceSignature},
		} {
			t.Run(fmt.Sprintf("%s, devices %t", name, devices), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					ctx, srv := t.Context(), walinktest.NewServer(t)
					srv.Script(walinktest.StagePairSuccess, test.action)
					c, codes := connected(t, srv)
					said := srv.NewPhone(number, walinktest.WithHosted(devices)).ScanQR(ctx, codes[0])
					if test.failure != nil {
						wantSays(t, said, walinktest.ErrLinkFailed)
						if failure := await[*events.PairError](c); !errors.Is(failure.Error, test.failure) {
							t.Errorf("the companion fails with %v", failure.Error)
						}
						return
					}
					wantSays(t, said, nil)
					await[*events.Connected](c)
					inner := map[bool]waAdv.ADVEncryptionType{false: waAdv.ADVEncryptionType_E2EE, true: waAdv.ADVEncryptionType_HOSTED}[devices]
					details := c.details()
					if details.GetAccountType() != waAdv.ADVEncryptionType_HOSTED || details.GetDeviceType() != inner {
						t.Errorf("the account is %s, the device %s", details.GetAccountType(), details.GetDeviceType())
					}
				})
			})
		}
	}
}

func TestKeyIndexesAreNeverUsedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number)
		var last uint32
		for range 4 {
			c := linked(ctx, t, srv, phone)
			index := c.details().GetKeyIndex()
			if index <= last || index == uint32(c.Store.ID.Device) {
				t.Errorf("device %d has the key index %d, the one before had %d", c.Store.ID.Device, index, last)
			}
			last = index
			remove(phone, *c.Store.ID)
		}
	})
}

func TestDeviceListsHaveTheKeyIndexList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		owner := srv.NewPhone(number, walinktest.WithHosted(false))
		asking := linked(ctx, t, srv, srv.NewPhone(contactNumber))
		first, second, third := linked(ctx, t, srv, owner), linked(ctx, t, srv, owner), linked(ctx, t, srv, owner)
		remove(owner, *second.Store.ID)
		if devices, err := asking.GetUserDevices(ctx, []types.JID{owner.JID()}); err != nil || len(devices) != 3 {
			t.Fatalf("the devices are %v, %v", devices, err)
		}
		var data []byte
		for len(asking.nodes) > 0 && data == nil {
			node := <-asking.nodes
			list, _ := node.GetOptionalChildByTag("usync", "list", "user", "devices", "key-index-list")
			data, _ = list.Content.([]byte)
		}
		var signed waAdv.ADVSignedKeyIndexList
		var indexes waAdv.ADVKeyIndexList
		if err := errors.Join(proto.Unmarshal(data, &signed), proto.Unmarshal(signed.GetDetails(), &indexes)); err != nil {
			t.Fatal(err)
		}
		valid := []uint32{first.details().GetKeyIndex(), third.details().GetKeyIndex()}
		if !slices.Equal(indexes.GetValidIndexes(), valid) || indexes.GetCurrentIndex() != valid[1] ||
			indexes.GetRawID() != first.details().GetRawID() || indexes.GetAccountType() != waAdv.ADVEncryptionType_HOSTED {
			t.Errorf("the list is %v, want the indexes %v", &indexes, valid)
		}
		account := [32]byte(first.Store.Account.GetAccountSignatureKey())
		message := append([]byte{6, 2}, signed.GetDetails()...)
		if !ecc.VerifySignature(ecc.NewDjbECPublicKey(account), message, [64]byte(signed.GetAccountSignature())) {
			t.Error("the phone has not signed the list")
		}
	})
}
