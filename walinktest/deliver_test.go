package walinktest_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"go.mau.fi/whatsmeow/util/keys"

	"github.com/walink/walink/walinktest"
)

// node returns a node with children that have no attributes.
func node(tag string, attrs waBinary.Attrs, children ...string) waBinary.Node {
	if len(children) == 0 {
		return waBinary.Node{Tag: tag, Attrs: attrs}
	}
	var content []waBinary.Node
	for _, child := range children {
		content = append(content, waBinary.Node{Tag: child})
	}
	return waBinary.Node{Tag: tag, Attrs: attrs, Content: content}
}

func TestSecondPairDeviceAtAnyStage(t *testing.T) {
	t.Parallel()
	for _, stage := range []walinktest.Stage{walinktest.StagePairDevice, walinktest.StageCompanionHello} {
		t.Run(string(stage), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, srv := t.Context(), walinktest.NewServer(t)
				srv.Script(stage, walinktest.Send(node("iq", waBinary.Attrs{"type": "set", "xmlns": "md"}, "pair-device")))
				phone := srv.NewPhone(number)
				c, stale := connected(t, srv)
				if stage == walinktest.StageCompanionHello {
					c.code()
				}
				codes := await[*events.QR](c).Codes
				wantSays(t, phone.ScanQR(ctx, stale[0]), walinktest.ErrStaleQR)
				wantSays(t, phone.ScanQR(ctx, codes[0]), nil)
				await[*events.Connected](c)
			})
		})
	}
}

func TestSecretIsWithdrawnAtAnyStage(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"companion_reg_refresh", "pair-device-rotate-qr"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, srv := t.Context(), walinktest.NewServer(t)
				srv.Script(walinktest.StageCompanionHello,
					walinktest.Send(node("notification", waBinary.Attrs{"type": "companion_reg_refresh"}, kind)))
				c, codes := connected(t, srv)
				c.code()
				await[*events.RotateADVSecret](c)
				wantSays(t, srv.NewPhone(number).ScanQR(ctx, codes[0]), walinktest.ErrWithdrawnQR)
				if failure := await[*events.PairError](c); !errors.Is(failure.Error, whatsmeow.ErrPairInvalidDeviceIdentityHMAC) {
					t.Errorf("the companion fails with %v", failure.Error)
				}
			})
		})
	}
}

func TestDowngradeReachesACompanion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		srv.Script(walinktest.StagePairDevice, walinktest.Send(node("ib", nil, "downgrade_webclient")))
		c := newClient(t, srv)
		c.connect()
		await[*events.QRScannedWithoutMultidevice](c)
	})
}

func TestScriptedNodesReachALoggedInDevice(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		nodes []waBinary.Node
		seen  func(*client) bool
		left  int // linked devices afterwards
	}{
		"a stream error with any child": {
			[]waBinary.Node{node("stream:error", nil, "xml-not-well-formed")},
			func(c *client) bool {
				event := await[*events.StreamError](c)
				_, ok := event.Raw.GetOptionalChildByTag("xml-not-well-formed")
				return ok && event.Code == ""
			}, 1,
		},
		"the end of the stream": {
			[]waBinary.Node{node("xmlstreamend", nil)},
			func(c *client) bool {
				await[*events.Disconnected](c)
				await[*events.Connected](c)
				return true
			}, 1,
		},
		"516 in answer to a request": {
			[]waBinary.Node{node("stream:error", waBinary.Attrs{"code": "516"}), node("xmlstreamend", nil)},
			func(c *client) bool {
				return await[*events.StreamError](c).Code == "516" && await[*events.LoggedOut](c).OnConnect
			}, 0,
		},
		"516 as a number": {
			[]waBinary.Node{node("stream:error", waBinary.Attrs{"code": 516})},
			func(c *client) bool { return await[*events.LoggedOut](c).OnConnect }, 0,
		},
		"device_removed in answer to a request": {
			[]waBinary.Node{{
				Tag: "stream:error", Attrs: waBinary.Attrs{"code": "401"},
				Content: []waBinary.Node{{Tag: "conflict", Attrs: waBinary.Attrs{"type": "device_removed"}}},
			}},
			func(c *client) bool { return !await[*events.LoggedOut](c).OnConnect }, 0,
		},
		"presence": {
			[]waBinary.Node{node("presence", waBinary.Attrs{"from": types.NewJID("4915123456789", types.DefaultUserServer), "type": "unavailable"})},
			func(c *client) bool {
				presence := await[*events.Presence](c)
				return presence.From.User == "4915123456789" && presence.Unavailable
			}, 1,
		},
		"edge routing": {
			[]waBinary.Node{{Tag: "ib", Content: []waBinary.Node{{
				Tag: "edge_routing", Content: []waBinary.Node{{Tag: "routing_info", Content: []byte{8, 2, 8, 5}}},
			}}}},
			func(c *client) bool {
				pass(time.Second)
				for len(c.nodes) > 0 {
					got := <-c.nodes
					if info, ok := got.GetOptionalChildByTag("edge_routing", "routing_info"); ok {
						content, _ := info.Content.([]byte)
						return got.Tag == "ib" && string(content) == "\x08\x02\x08\x05"
					}
				}
				return false
			}, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, srv := t.Context(), walinktest.NewServer(t)
				phone := srv.NewPhone(number)
				c := linked(ctx, t, srv, phone)
				srv.Script(walinktest.StageAfterLogin, walinktest.Send(test.nodes...))
				// SetPassive would wait for the next connection together with autoReconnect, a data race of
				// exsync.Event.
				if err := c.DangerousInternals().SendNode(ctx, activation()); err != nil { //nolint:staticcheck // nothing public sends a node and waits for nothing
					t.Fatal(err)
				}
				if !test.seen(c) {
					t.Error("the device did not see it")
				}
				if devices := phone.LinkedDevices(); len(devices) != test.left {
					t.Errorf("the phone lists %d devices, want %d", len(devices), test.left)
				}
			})
		})
	}
}

func TestHeaderWithEdgeRoutingIsAccepted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		r := dial(t, srv.HTTPClient(), "ED\x00\x01\x00\x00\x04\x08\x02\x08\x05")
		r.full(memoryDevice(), keys.NewKeyPair(), nil)
		if iq := r.node("iq"); iq.GetChildren()[0].Tag != "pair-device" {
			t.Errorf("the server sends %s", iq)
		}
	})
}

// The companion gets no answer if something happens on the phone alone.
func TestPhoneStopsAndTheCompanionHearsNothing(t *testing.T) {
	t.Parallel()
	for _, refusal := range []walinktest.Refusal{walinktest.ErrSuspicious, walinktest.ErrMakePasskey, walinktest.ErrTryAgainAt} {
		for _, stage := range []walinktest.Stage{walinktest.StagePrimaryHello, walinktest.StagePairSuccess} {
			t.Run(string(stage)+", "+string(refusal), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					ctx, srv := t.Context(), walinktest.NewServer(t)
					srv.Script(stage, walinktest.Say(refusal))
					phone := srv.NewPhone(number)
					c, codes := connected(t, srv)
					take := func() error { return phone.ScanQR(ctx, codes[0]) }
					if stage == walinktest.StagePrimaryHello {
						code := c.code()
						take = func() error { return phone.EnterCode(ctx, code) }
					}
					synctest.Wait()
					before := len(c.nodes)
					wantSays(t, take(), refusal)
					synctest.Wait()
					if heard := len(c.nodes) - before; heard != 0 || !c.IsConnected() {
						t.Errorf("the companion got %d nodes, connected %t", heard, c.IsConnected())
					}
					wantSays(t, take(), nil)
					await[*events.Connected](c)
				})
			})
		}
	}
}

func TestLinkingIsLockedAfterFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		srv.SetLinkLock(2, 24*time.Hour)
		phone := srv.NewPhone(number)
		c, codes := connected(t, srv)
		code := c.code()
		wantSays(t, phone.EnterCode(ctx, "ABCD-EFGH"), walinktest.ErrWrongCode)
		wantSays(t, phone.EnterCode(ctx, "ABCD-EFGH"), walinktest.ErrWrongCode)
		for range 3 {
			wantSays(t, phone.EnterCode(ctx, code), walinktest.ErrLinkLocked)
			wantSays(t, phone.ScanQR(ctx, codes[0]), walinktest.ErrLinkLocked)
		}
		if got := len(c.stages()); got != 2 {
			t.Errorf("the companion heard of the phone %d times, want 2", got)
		}
		if other := srv.NewPhone("+4915123456789").ScanQR(ctx, codes[0]); errors.Is(other, walinktest.ErrLinkLocked) {
			t.Error("another account is locked, too")
		}
		pass(24 * time.Hour)
		linked(ctx, t, srv, phone)
	})
}

func TestLinkLockCountsTheFailuresBeforeIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number)
		c, _ := connected(t, srv)
		code := c.code()
		wantSays(t, phone.EnterCode(ctx, "ABCD-EFGH"), walinktest.ErrWrongCode)
		srv.SetLinkLock(1, time.Hour)
		wantSays(t, phone.EnterCode(ctx, "ABCD-EFGH"), walinktest.ErrWrongCode)
		wantSays(t, phone.EnterCode(ctx, code), walinktest.ErrLinkLocked)
	})
}

func TestMissingAckEndsTheStream(t *testing.T) {
	t.Parallel()
	for _, acks := range []bool{true, false} {
		t.Run(fmt.Sprint("acknowledged ", acks), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, srv := t.Context(), walinktest.NewServer(t)
				phone := srv.NewPhone(number)
				c := linked(ctx, t, srv, phone)
				pass(time.Second)
				c.leave()
				srv.Script(walinktest.StageAfterLogin, walinktest.Send(node("notification", waBinary.Attrs{"type": "server_sync"})))
				r := login(t, srv, c.Store)
				r.send(activation())
				notification := r.node("notification")
				r.node("iq")
				if acks {
					r.send(node("ack", waBinary.Attrs{"class": "notification", "id": notification.Attrs["id"], "to": types.ServerJID}))
					pass(time.Hour)
					if !phone.LinkedDevices()[0].Online {
						t.Error("the server has ended the stream")
					}
					return
				}
				began := time.Now()
				failure := r.node("stream:error")
				if ack := failure.GetChildByTag("ack"); ack.Attrs["id"] != notification.Attrs["id"] {
					t.Errorf("the stream ends with %s", failure)
				}
				if took := time.Since(began); took != 5*time.Minute {
					t.Errorf("the stream ends after %s", took)
				}
				if _, more := r.frame(); more {
					t.Error("the connection stays open")
				}
			})
		})
	}
}

// whatsmeow acknowledges what it gets.
func TestWhatsmeowKeepsItsStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		c := linked(ctx, t, srv, srv.NewPhone(number))
		srv.Script(walinktest.StageAfterLogin, walinktest.Send(
			node("notification", waBinary.Attrs{"type": "server_sync"}),
			node("notification", waBinary.Attrs{"type": "server_sync", "id": 70001}), // whatsmeow sends numbers, too
		))
		if err := c.SetPassive(ctx, false); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		if stats := srv.Stats(); stats.Logins != 1 || !c.IsLoggedIn() {
			t.Errorf("%d logins, logged in %t", stats.Logins, c.IsLoggedIn())
		}
	})
}

// A program can keep whatsmeow from acknowledging.
func TestWhatsmeowLosesItsStreamWithoutAnAck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		owner := srv.NewPhone(number)
		c := linked(ctx, t, srv, owner)
		c.SynchronousAck = true
		c.AddEventHandlerWithSuccessStatus(func(event any) bool {
			_, joined := event.(*events.JoinedGroup)
			return !joined
		})
		began := time.Now()
		srv.NewGroup("walkers", owner)
		failure := await[*events.StreamError](c).Raw
		if ack := failure.GetChildByTag("ack"); ack.Attrs["id"] == nil || time.Since(began) != 5*time.Minute {
			t.Errorf("the stream ends with %s after %s", failure, time.Since(began))
		}
		await[*events.Connected](c)
	})
}
