package walinktest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow/types/events"
	"go.mau.fi/whatsmeow/util/keys"

	"github.com/walink/walink/walinktest"
)

func TestDeviceResumesWithTheServersKey(t *testing.T) {
	t.Parallel()
	for _, current := range []bool{true, false} {
		name := map[bool]string{true: "IK", false: "XXfallback"}[current]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, srv := t.Context(), walinktest.NewServer(t)
				phone := srv.NewPhone(number)
				c := linked(ctx, t, srv, phone)
				pass(time.Second)
				c.leave()

				full := dial(t, srv.HTTPClient(), "")
				static := full.full(c.Store, keys.NewKeyPair(), nil)
				full.node("success")
				if !current {
					static = keys.NewKeyPair().Pub[:]
				}
				again := dial(t, srv.HTTPClient(), "")
				if resumed := again.resume(c.Store, static); resumed != current {
					t.Errorf("resumed without a full handshake: %t, want %t", resumed, current)
				}
				if lid := again.node("success").AttrGetter().JID("lid"); lid != c.Store.LID {
					t.Errorf("logged in as %s, want %s", lid, c.Store.LID)
				}
				if devices := phone.LinkedDevices(); len(devices) != 1 || devices[0].Logins != 3 || !devices[0].Online {
					t.Errorf("linked devices %+v", devices)
				}
			})
		})
	}
}

func TestResumeWithAnotherNoiseKeyIsLoggedOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		c := linked(ctx, t, srv, srv.NewPhone(number))
		pass(time.Second)
		c.leave()
		static := dial(t, srv.HTTPClient(), "").full(c.Store, keys.NewKeyPair(), nil)
		stranger := *c.Store
		stranger.NoiseKey = keys.NewKeyPair()
		r := dial(t, srv.HTTPClient(), "")
		if !r.resume(&stranger, static) {
			t.Error("the server falls back")
		}
		if reason := r.node("failure").AttrGetter().Int("reason"); reason != int(events.ConnectFailureLoggedOut) {
			t.Errorf("failure %d", reason)
		}
	})
}
