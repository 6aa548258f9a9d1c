package storetest

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
)

// data is one value of each kind of data of a device.
type data struct {
	Session, SenderKey, SyncKey, Salt, Secret, Token []byte
	Trusted                                          bool // whether a wrong identity key is trusted, as an unknown one is
	PreKeys                                          int
	Version                                          uint64
	MAC                                              []byte
	Contact                                          string
	Pinned                                           bool
	Buffered                                         bool
}

const peer = "4915112345678"

var (
	written = data{ //nolint:gochecknoglobals // a constant table
		Session: []byte("session"), SenderKey: []byte("sender key"), SyncKey: []byte("sync key"), Salt: []byte("salt"),
		Secret: []byte("secret"), Token: []byte("token"), PreKeys: 5, Version: 7, MAC: bytes.Repeat([]byte("m"), 32),
		Contact: "Ana", Pinned: true, Buffered: true,
	}
	unwritten = data{Trusted: true} //nolint:gochecknoglobals // a constant table
)

// write stores the values of written in the stores of device, and five prekeys.
func write(t *testing.T, device *wastore.Device) {
	t.Helper()
	ctx, chat := t.Context(), JID(peer, 0)
	_, preKeysErr := device.PreKeys.GetOrGenPreKeys(ctx, 5)
	_, _, contactErr := device.Contacts.PutPushName(ctx, chat, "Ana")
	err := errors.Join(
		preKeysErr,
		contactErr,
		device.PreKeys.MarkPreKeysAsUploaded(ctx, 5),
		device.Identities.PutIdentity(ctx, peer+":0", [32]byte{1}),
		device.Sessions.PutSession(ctx, peer+":0", []byte("session")),
		device.SenderKeys.PutSenderKey(ctx, "group@g.us", peer+":0", []byte("sender key")),
		device.AppStateKeys.PutAppStateSyncKey(ctx, []byte("id"), wastore.AppStateSyncKey{Data: []byte("sync key"), Fingerprint: []byte{}}),
		device.AppState.PutAppStateVersion(ctx, "regular", 7, [128]byte{2}),
		device.AppState.PutAppStateMutationMACs(ctx, "regular", 7, []wastore.AppStateMutationMAC{
			{IndexMAC: make([]byte, 32), ValueMAC: bytes.Repeat([]byte("m"), 32)},
		}),
		device.ChatSettings.PutPinned(ctx, chat, true),
		device.MsgSecrets.PutMessageSecret(ctx, chat, chat, "message", []byte("secret")),
		device.PrivacyTokens.PutPrivacyTokens(ctx, wastore.PrivacyToken{User: chat, Token: []byte("token"), Timestamp: time.Now()}),
		device.NCTSalt.PutNCTSalt(ctx, []byte("salt")),
		device.EventBuffer.PutBufferedEvent(ctx, [32]byte{3}, []byte("event"), time.Now()),
	)
	if err != nil {
		t.Fatalf("writing to the stores of a device: %v", err)
	}
}

// check compares the content of the stores of device.
func check(t *testing.T, device *wastore.Device, want data) {
	t.Helper()
	if diff := different(want, read(t, device)); diff != "" {
		t.Errorf("the stores of the device (-want +got):\n%s", diff)
	}
}

func read(t *testing.T, device *wastore.Device) data {
	t.Helper()
	ctx, chat := t.Context(), JID(peer, 0)
	var got data
	var errs [12]error
	got.Session, errs[0] = device.Sessions.GetSession(ctx, peer+":0")
	got.SenderKey, errs[1] = device.SenderKeys.GetSenderKey(ctx, "group@g.us", peer+":0")
	got.Trusted, errs[2] = device.Identities.IsTrustedIdentity(ctx, peer+":0", [32]byte{9})
	got.PreKeys, errs[3] = device.PreKeys.UploadedPreKeyCount(ctx)
	got.Version, _, errs[4] = device.AppState.GetAppStateVersion(ctx, "regular")
	got.MAC, errs[5] = device.AppState.GetAppStateMutationMAC(ctx, "regular", make([]byte, 32))
	got.Secret, _, errs[6] = device.MsgSecrets.GetMessageSecret(ctx, chat, chat, "message")
	got.Salt, errs[7] = device.NCTSalt.GetNCTSalt(ctx)
	key, err := device.AppStateKeys.GetAppStateSyncKey(ctx, []byte("id"))
	if key != nil {
		got.SyncKey = key.Data
	}
	errs[8] = err
	token, err := device.PrivacyTokens.GetPrivacyToken(ctx, chat)
	if token != nil {
		got.Token = token.Token
	}
	errs[9] = err
	contact, err := device.Contacts.GetContact(ctx, chat)
	got.Contact, errs[10] = contact.PushName, err
	settings, err := device.ChatSettings.GetChatSettings(ctx, chat)
	got.Pinned, errs[11] = settings.Pinned, err
	event, err := device.EventBuffer.GetBufferedEvent(ctx, [32]byte{3})
	got.Buffered = event != nil
	if err := errors.Join(append(errs[:], err)...); err != nil {
		t.Fatalf("reading the stores of a device: %v", err)
	}
	return got
}

// checkStores fails if a store of the device is nil. It also finds stores that
// a later whatsmeow adds.
func checkStores(t *testing.T, device *wastore.Device) {
	t.Helper()
	fields := reflect.ValueOf(device).Elem()
	for i := range fields.NumField() {
		if field := fields.Field(i); field.Kind() == reflect.Interface && field.IsNil() {
			t.Errorf("Device.%s is not set", fields.Type().Field(i).Name)
		}
	}
}
