package walinktest_test

import (
	"maps"
	"testing"
	"testing/synctest"

	"go.mau.fi/whatsmeow/appstate"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink/walinktest"
)

func TestDevicesShareAppState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		other := linked(ctx, t, c.srv, c.owner)
		c.bot.settle()
		other.settle()
		if err := c.bot.SendAppState(ctx, appstate.BuildPin(c.contact.JID(), true)); err != nil {
			t.Fatal(err)
		}
		if pin := await[*events.Pin](other); pin.JID != c.contact.JID() || !pin.Action.GetPinned() {
			t.Errorf("the other device learns %+v", pin)
		}
		// A device that has not seen the latest patch gets it with the refusal, and sends again.
		memory, _ := other.Store.AppState.(*memoryStore)
		restore := memory.saveState()
		if err := c.bot.SendAppState(ctx, appstate.BuildPin(c.owner.JID(), true)); err != nil {
			t.Fatal(err)
		}
		await[*events.Pin](other)
		restore()
		if err := other.SendAppState(ctx, appstate.BuildPin(c.contact.JID(), false)); err != nil {
			t.Fatal(err)
		}
		for pin := await[*events.Pin](c.bot); pin.Action.GetPinned(); {
			pin = await[*events.Pin](c.bot)
		}
		late := linked(ctx, t, c.srv, c.owner)
		synced := await[*events.AppStateSyncComplete](late)
		for synced.Name != appstate.WAPatchRegularLow {
			synced = await[*events.AppStateSyncComplete](late)
		}
		if synced.Version != 4 { // the phone's patch, and three of devices
			t.Errorf("a new device has version %d, want 4", synced.Version)
		}
	})
}

// saveState returns a function that restores the app state of now.
func (m *memoryStore) saveState() (restore func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	states, macs := maps.Clone(m.states), maps.Clone(m.stateMACs)
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.states, m.stateMACs = states, macs
	}
}

// A device that has lost the key of the app state asks the phone for it.
func TestPhonesShareTheKeyAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		bot := linked(ctx, t, srv, srv.NewPhone(number))
		bot.settle()
		memory, _ := bot.Store.AppState.(*memoryStore)
		bot.leave()
		device := *bot.Store
		memory.mu.Lock()
		clear(memory.stateKeys)
		clear(memory.states)
		clear(memory.stateMACs)
		memory.mu.Unlock()
		again := clientOf(t, srv, &device)
		again.connect()
		await[*events.Connected](again)
		if err := again.FetchAppState(ctx, appstate.WAPatchRegular, true, false); err == nil {
			t.Fatal("the client decrypts without the key")
		}
		again.settle()
	})
}

func TestWrongAppStateIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		bot := linked(ctx, t, srv, srv.NewPhone(number))
		bot.settle()
		for name, test := range map[string]struct {
			collection, version string
			patch               []byte
			want                string
		}{
			"unknown collection": {"other", "0", nil, "400"},
			"negative version":   {"regular", "-1", nil, "400"},
			"no number":          {"regular", "x", nil, "400"},
			"not a patch":        {"regular", "1", []byte{0xff}, "400"},
			"an empty patch":     {"regular", "1", []byte{}, "400"},
			"an old version":     {"regular", "0", []byte{0xff}, "409"},
			"a future version":   {"regular", "9", []byte{0xff}, "409"},
		} {
			attrs := waBinary.Attrs{"name": test.collection, "version": test.version}
			collection := waBinary.Node{Tag: "collection", Attrs: attrs}
			if test.patch != nil {
				collection.Content = []waBinary.Node{{Tag: "patch", Content: test.patch}}
			}
			answer := <-bot.send(ctx, waBinary.Node{
				Tag: "iq",
				Attrs: waBinary.Attrs{
					"id": name, "type": "set", "xmlns": "w:sync:app:state", "to": types.ServerJID,
				},
				Content: []waBinary.Node{{Tag: "sync", Content: []waBinary.Node{collection}}},
			})
			refusal, _ := answer.GetOptionalChildByTag("sync", "collection", "error")
			if got := refusal.AttrGetter().String("code"); got != test.want {
				t.Errorf("%s: the server answers %s", name, answer)
			}
		}
	})
}

func TestPrivacyTokensReachTheOtherSide(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		other := linked(ctx, t, c.srv, c.contact)
		c.bot.say(ctx, c.contact.JID(), "hello") // and whatsmeow issues a token
		other.hears("hello")
		synctest.Wait()
		memory, _ := other.Store.PrivacyTokens.(*memoryStore)
		if token, _ := memory.GetPrivacyToken(ctx, c.owner.LID()); token == nil || len(token.Token) == 0 {
			t.Errorf("the contact's device has the token %+v", token)
		}
	})
}

func TestPrivacySettings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		other := linked(ctx, t, c.srv, c.owner)
		for _, bot := range []*client{c.bot, other} { // in the first minute
			if event := await[*events.PrivacySettings](bot); !event.LastSeenChanged || !event.ReadReceiptsChanged {
				t.Errorf("the device learns %+v", event)
			}
		}
		settings, err := c.bot.TryFetchPrivacySettings(ctx, true)
		if err != nil || settings.ReadReceipts != types.PrivacySettingAll {
			t.Errorf("the settings are %+v, %v", settings, err)
		}
		if _, err := c.bot.SetPrivacySetting(ctx, types.PrivacySettingTypeLastSeen, types.PrivacySettingNone); err != nil {
			t.Fatal(err)
		}
		if event := await[*events.PrivacySettings](other); !event.LastSeenChanged || event.ReadReceiptsChanged {
			t.Errorf("the other device learns %+v", event)
		}
		settings, err = other.TryFetchPrivacySettings(ctx, true)
		if err != nil || settings.LastSeen != types.PrivacySettingNone {
			t.Errorf("the settings are %+v, %v", settings, err)
		}
		if _, err := c.bot.SetPrivacySetting(ctx, "unknown", types.PrivacySettingNone); err == nil {
			t.Error("the server takes an unknown setting")
		}
	})
}
