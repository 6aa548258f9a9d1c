package walinktest

import (
	"slices"
	"testing"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/whatsmeow/proto/waAdv"
	"google.golang.org/protobuf/proto"
)

func TestKeyIndexListHasTheIndexesOfTheLinkedDevices(t *testing.T) {
	t.Parallel()
	srv := NewServer(t)
	phone := srv.NewPhone("+5511987654321", WithHosted(false))
	srv.mu.Lock()
	defer srv.mu.Unlock()
	var indexes []uint32
	for range 3 {
		device := srv.newDevice(phone, &companion{})
		srv.devices[device.id()] = device
		indexes = append(indexes, device.keyIndex)
	}
	delete(srv.devices, deviceID{phone.number, 2})
	data, err := phone.keyIndexList()
	if err != nil {
		t.Fatal(err)
	}
	var signed waAdv.ADVSignedKeyIndexList
	var list waAdv.ADVKeyIndexList
	if err := proto.Unmarshal(data, &signed); err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(signed.GetDetails(), &list); err != nil {
		t.Fatal(err)
	}
	want := []uint32{indexes[0], indexes[2]}
	if !slices.Equal(list.GetValidIndexes(), want) || list.GetCurrentIndex() != indexes[2] ||
		list.GetRawID() != phone.rawID || list.GetAccountType() != waAdv.ADVEncryptionType_HOSTED {
		t.Errorf("the list is %v, want the indexes %v", &list, want)
	}
	message := append([]byte{6, 2}, signed.GetDetails()...)
	if !ecc.VerifySignature(ecc.NewDjbECPublicKey(*phone.identity.Pub), message, [64]byte(signed.GetAccountSignature())) {
		t.Error("the phone has not signed the list")
	}
}
