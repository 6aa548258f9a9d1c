package walinktest

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"go.mau.fi/whatsmeow/appstate"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waServerSync"
	"go.mau.fi/whatsmeow/proto/waSyncAction"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	waLog "go.mau.fi/whatsmeow/util/log"
	"google.golang.org/protobuf/proto"
)

// appState is an account's app state: five collections of settings, which its devices share. Each
// is a list of patches, and its version is their number. There are no snapshots: a new device gets
// all patches.
type appState struct {
	*store.NoopStore // what whatsmeow's encoder needs, next to GetAppStateSyncKey
	id, key          []byte
	patches          map[appstate.WAPatchName][]waBinary.Node // the server's mu guards it
}

// newAppState returns the state of a new account, encrypted with a key of its phone. Each
// collection has one setting (dispatchAppState of whatsmeow): from version 0 whatsmeow's devices
// would make no events of a change.
func newAppState(p *Phone) *appState {
	id := random(6)
	st := &appState{&store.NoopStore{}, id, random(32), make(map[appstate.WAPatchName][]waBinary.Node)}
	encoder := appstate.NewProcessor(&store.Device{AppStateKeys: st, AppState: st}, waLog.Noop)
	type value = waSyncAction.SyncActionValue
	set := func(name appstate.WAPatchName, version int32, value *value, index ...string) {
		mutation := appstate.MutationInfo{Index: index, Version: version, Value: value}
		info := appstate.PatchInfo{Type: name, Mutations: []appstate.MutationInfo{mutation}}
		// Only a push name that is not UTF-8 is an error. The collection is then empty.
		if patch, err := encoder.EncodePatch(context.Background(), id, appstate.HashState{}, info); err == nil {
			st.add(name, patch)
		}
	}
	set(appstate.WAPatchCriticalBlock, 1, &value{PushNameSetting: &waSyncAction.PushNameSetting{Name: &p.pushName}},
		appstate.IndexSettingPushName)
	set(appstate.WAPatchCriticalUnblockLow, 2, &value{ContactAction: &waSyncAction.ContactAction{FullName: &p.pushName}},
		appstate.IndexContact, p.jid.String())
	set(appstate.WAPatchRegularHigh, 1, &value{NctSaltSyncAction: &waSyncAction.NctSaltSyncAction{Salt: random(32)}},
		appstate.IndexNCTSaltSync)
	set(appstate.WAPatchRegular, 7, &value{PrimaryFeature: &waSyncAction.PrimaryFeature{}}, appstate.IndexPrimaryFeature)
	set(appstate.WAPatchRegularLow, 4, &value{UnarchiveChatsSetting: &waSyncAction.UnarchiveChatsSetting{}},
		appstate.IndexSettingUnarchiveChats)
	return st
}

// GetAppStateSyncKey is for whatsmeow's encoder.
func (st *appState) GetAppStateSyncKey(context.Context, []byte) (*store.AppStateSyncKey, error) {
	return &store.AppStateSyncKey{Data: st.key}, nil
}

// add appends a patch to a collection, and returns false if it is no patch.
func (st *appState) add(name appstate.WAPatchName, encoded []byte) bool {
	patch := new(waServerSync.SyncdPatch)
	if proto.Unmarshal(encoded, patch) != nil || len(patch.GetMutations()) == 0 {
		return false
	}
	patch.Version = &waServerSync.SyncdVersion{Version: new(uint64(len(st.patches[name]) + 1))}
	st.patches[name] = append(st.patches[name], waBinary.Node{Tag: "patch", Content: encode(patch)})
	return true
}

// syncAppState returns the patches that a device lacks, and takes its own (fetchAppStatePatches and
// sendAppState of whatsmeow). A device that sends a patch must know all before it. Otherwise it
// gets error 409 with those that it lacks.
func (c *conn) syncAppState(request *waBinary.Node) {
	st, sync := c.device.phone.state(), request.GetChildByTag("sync")
	var answers []waBinary.Node
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	for _, collection := range sync.GetChildrenByTag("collection") {
		name := appstate.WAPatchName(text(collection.Attrs["name"]))
		// A device that wants all patches names no version.
		since, err := strconv.ParseUint(cmp.Or(text(collection.Attrs["version"]), "0"), 10, 64)
		had := uint64(len(st.patches[name]))
		children := []waBinary.Node{{Tag: "patches", Content: st.patches[name][min(since, had):]}}
		_, sends := collection.GetOptionalChildByTag("patch")
		code := 0
		switch {
		case sends && err == nil && since != had:
			code = 409
		case err != nil, !slices.Contains(appstate.AllPatchNames[:], name),
			sends && !st.add(name, content(&collection, "patch")):
			code = 400
		}
		attrs := waBinary.Attrs{"name": string(name), "version": len(st.patches[name])}
		answer := waBinary.Node{Tag: "collection", Attrs: attrs}
		if sends && code == 0 {
			c.srv.tellOthers(c.device.endpoint(), c.srv.notification("server_sync", types.ServerJID, answer))
		}
		if code != 0 {
			attrs["type"], children = "error", append(children, iqError(code))
		}
		answer.Content = children
		answers = append(answers, answer)
	}
	c.result(request, waBinary.Node{Tag: "sync", Content: answers})
}

// shareKey sends a device the key of the app state (handleAppStateSyncKeyShare of whatsmeow).
func (p *Phone) shareKey(with endpoint) {
	fingerprint := &waE2E.AppStateSyncKeyFingerprint{RawID: &p.rawID}
	now := new(time.Now().UnixMilli())
	key := &waE2E.AppStateSyncKeyData{KeyData: p.state().key, Timestamp: now, Fingerprint: fingerprint}
	keys := []*waE2E.AppStateSyncKey{{KeyID: &waE2E.AppStateSyncKeyId{KeyID: p.state().id}, KeyData: key}}
	p.sendPeer(with, &waE2E.ProtocolMessage{
		Type:                 waE2E.ProtocolMessage_APP_STATE_SYNC_KEY_SHARE.Enum(),
		AppStateSyncKeyShare: &waE2E.AppStateSyncKeyShare{Keys: keys},
	})
}
