package walinktest_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/types/events"
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
				return
			}
		}
		t.Error("pair-success has no jurisdiction")
	})
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
			phone.Remove(*c.Store.ID)
		}
	})
}
