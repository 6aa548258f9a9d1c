package walinktest_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink/walinktest"
)

// stages returns what the companion has been told of its pairing code.
func (c *client) stages() (stages []string) {
	for len(c.nodes) > 0 {
		node := <-c.nodes
		if registration, ok := node.GetOptionalChildByTag("link_code_companion_reg"); ok && node.Tag == "notification" {
			stages = append(stages, registration.AttrGetter().String("stage"))
		}
	}
	return stages
}

func TestRightCodeLinksAfterTwoWrongOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number)
		c, _ := connected(t, srv)
		code := c.code()
		wantSays(t, phone.EnterCode(ctx, "not a code"), walinktest.ErrWrongCode) // the companion hears nothing
		wantSays(t, phone.EnterCode(ctx, "ABCD-EFGH"), walinktest.ErrWrongCode)
		wantSays(t, phone.EnterCode(ctx, "ABCD-EFGJ"), walinktest.ErrWrongCode)
		wantSays(t, phone.EnterCode(ctx, code), nil)
		await[*events.Connected](c)
		if want, got := []string{"primary_hello", "primary_hello", "primary_hello"}, c.stages(); !slices.Equal(got, want) {
			t.Errorf("the companion got the stages %q, want %q", got, want)
		}
	})
}

func TestThirdWrongCodeSpendsTheCode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number)
		c, _ := connected(t, srv)
		code := c.code()
		for range 3 {
			wantSays(t, phone.EnterCode(ctx, "ABCD-EFGH"), walinktest.ErrWrongCode)
		}
		wantSays(t, phone.EnterCode(ctx, code), walinktest.ErrCodeExpired)
		wantSays(t, phone.EnterCode(ctx, c.code()), nil)
		await[*events.Connected](c)
	})
}

func TestRefreshCodeIsScripted(t *testing.T) {
	t.Parallel()
	for _, manual := range []bool{false, true} {
		t.Run(fmt.Sprint("manual ", manual), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, srv := t.Context(), walinktest.NewServer(t)
				srv.Script(walinktest.StageCompanionFinish, walinktest.RefreshCode(manual))
				phone := srv.NewPhone(number)
				c, _ := connected(t, srv)
				code := c.code()
				wantSays(t, phone.EnterCode(ctx, code), walinktest.ErrWrongCode)
				var last *waBinary.Node
				for len(c.nodes) > 0 {
					last = <-c.nodes
				}
				registration := last.GetChildByTag("link_code_companion_reg")
				if registration.Attrs["stage"] != "refresh_code" || registration.Attrs["force_manual_refresh"] != strconv.FormatBool(manual) {
					t.Errorf("the companion got %s", last)
				}
				wantSays(t, phone.EnterCode(ctx, code), walinktest.ErrCodeExpired)
			})
		})
	}
}

func TestCodeLivesThreeMinutes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		after time.Duration
		want  error
	}{
		{"good when the refs have run out", 179 * time.Second, nil},
		{"expired", 180 * time.Second, walinktest.ErrCodeExpired},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, srv := t.Context(), walinktest.NewServer(t)
				phone := srv.NewPhone(number)
				c, _ := connected(t, srv)
				pass(10 * time.Second)
				code := c.code()
				pass(test.after)
				wantSays(t, phone.EnterCode(ctx, code), test.want)
			})
		})
	}
}

func TestUnlinkedSocketEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		c, _ := connected(t, srv)
		began := time.Now()
		await[*events.Disconnected](c)
		if lasted := time.Since(began); lasted != 3*time.Minute {
			t.Errorf("the socket lasted %s", lasted)
		}
	})
}

func TestCodesOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone, stranger := srv.NewPhone(number), srv.NewPhone("+4915123456789")
		wantSays(t, stranger.EnterCode(ctx, "ABCD-EFGH"), walinktest.ErrNoCode)
		c, _ := connected(t, srv)
		older := c.code()
		wantSays(t, stranger.EnterCode(ctx, older), walinktest.ErrOtherNumber)

		other, _ := connected(t, srv)
		newer := other.code() // the same number: this code replaces the older one
		wantSays(t, phone.EnterCode(ctx, newer), nil)
		await[*events.Connected](other)
		wantSays(t, phone.EnterCode(ctx, older), walinktest.ErrCodeExpired)
	})
}

func TestStaleQR(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number)
		wantSays(t, phone.ScanQR(ctx, "https://example.com"), walinktest.ErrNotAQR)
		gone, codes := connected(t, srv)
		gone.leave()
		pass(time.Second)
		wantSays(t, phone.ScanQR(ctx, codes[0]), walinktest.ErrStaleQR)

		c, codes := connected(t, srv)
		pass(60 * time.Second)
		wantSays(t, phone.ScanQR(ctx, codes[0]), walinktest.ErrStaleQR)
		pass(79*time.Second + 500*time.Millisecond)
		wantSays(t, phone.ScanQR(ctx, codes[3]), walinktest.ErrStaleQR)
		wantSays(t, phone.ScanQR(ctx, codes[4]), nil)
		await[*events.Connected](c)
	})
}

func TestWithdrawnQR(t *testing.T) {
	t.Parallel()
	renew := func(t *testing.T, c *client, old string) string {
		t.Helper()
		rotation := await[*events.RotateADVSecret](c)
		qr, err := walinktest.ParseQR(old)
		if err != nil {
			t.Fatal(err)
		}
		copy(qr.ADVSecret[:], c.Store.AdvSecretKey)
		if rotation.OldSecret == rotation.NewSecret || qr.Payload() == old {
			t.Error("the secret is the same as before")
		}
		return qr.Payload()
	}
	t.Run("by name", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, srv := t.Context(), walinktest.NewServer(t)
			phone := srv.NewPhone(number)
			c, codes := connected(t, srv)
			if n := srv.RefreshRegistration(codes[0]); n != 1 {
				t.Errorf("%d companions got companion_reg_refresh", n)
			}
			fresh := renew(t, c, codes[0])
			wantSays(t, phone.ScanQR(ctx, codes[0]), walinktest.ErrWithdrawnQR)
			wantSays(t, phone.ScanQR(ctx, fresh), nil)
			await[*events.Connected](c)
		})
	})
	t.Run("by the scan", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, srv := t.Context(), walinktest.NewServer(t)
			phone := srv.NewPhone(number)
			srv.Script(walinktest.StagePairSuccess, walinktest.RefreshQR())
			c, codes := connected(t, srv)
			wantSays(t, phone.ScanQR(ctx, codes[0]), walinktest.ErrWithdrawnQR)
			fresh := renew(t, c, codes[0])
			wantSays(t, phone.ScanQR(ctx, codes[0]), walinktest.ErrWithdrawnQR)
			wantSays(t, phone.ScanQR(ctx, fresh), nil)
			await[*events.Connected](c)
		})
	})
	t.Run("unnamed", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, srv := t.Context(), walinktest.NewServer(t)
			phone := srv.NewPhone(number)
			c, codes := connected(t, srv)
			srv.RefreshRegistration()
			renew(t, c, codes[0])
			wantSays(t, phone.ScanQR(ctx, codes[0]), walinktest.ErrWithdrawnQR)
			if failure := await[*events.PairError](c); !errors.Is(failure.Error, whatsmeow.ErrPairInvalidDeviceIdentityHMAC) {
				t.Errorf("the companion fails with %v", failure.Error)
			}
		})
	})
}

func TestLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		srv.SetCodeLimit(1, 15*time.Minute)
		srv.SetDeviceLimit(1)
		phone := srv.NewPhone(number)
		c, codes := connected(t, srv)
		code := c.code()
		_, err := c.pairPhone()
		var iq *whatsmeow.IQError
		if !errors.As(err, &iq) || iq.Code != 429 || iq.ErrorNode.AttrGetter().Int("backoff") != 900 {
			t.Errorf("a second code: %v", err)
		}
		linked(ctx, t, srv, phone)
		wantSays(t, phone.EnterCode(ctx, code), walinktest.ErrDeviceLimit)
		wantSays(t, phone.ScanQR(ctx, codes[0]), walinktest.ErrDeviceLimit)
	})
}

// TestRefusedCodesDoNotCount waits exactly as long as the server says.
func TestRefusedCodesDoNotCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		srv.SetCodeLimit(1, 2*time.Minute)
		c, _ := connected(t, srv)
		c.code()
		pass(time.Minute)
		var iq *whatsmeow.IQError
		if _, err := c.pairPhone(); !errors.As(err, &iq) || iq.Code != 429 || iq.ErrorNode.AttrGetter().Int("backoff") != 60 {
			t.Errorf("a code too early: %v", err)
		}
		pass(time.Minute)
		c.code()
		if n := srv.CodeRequests(number[1:]); n != 3 || srv.Stats().CodeRequests != 3 {
			t.Errorf("%d requests, %d in all, want 3 with the refused one", n, srv.Stats().CodeRequests)
		}
	})
}

func TestDeviceNumbersRunOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number)
		for i := range uint16(99) {
			device := memoryDevice()
			jid := phone.JID()
			jid.Device = i + 1
			device.ID, device.LID = &jid, phone.LID()
			if err := phone.Restore(ctx, device); err != nil {
				t.Fatal(err)
			}
		}
		c, codes := connected(t, srv)
		wantSays(t, phone.ScanQR(ctx, codes[0]), walinktest.ErrDeviceLimit)
		freed := phone.JID()
		freed.Device = 42
		phone.Remove(freed)
		wantSays(t, phone.ScanQR(ctx, codes[0]), nil)
		await[*events.Connected](c)
		if c.Store.ID.Device != 42 {
			t.Errorf("the device has number %d, want the free one", c.Store.ID.Device)
		}
	})
}

func TestCodeOfAnotherNumberAfterOneThatExpired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone, other := srv.NewPhone(number), srv.NewPhone("+4915123456789")
		gone, _ := connected(t, srv)
		if _, err := gone.PairPhone(ctx, other.JID().User, true, whatsmeow.PairClientChrome, "Chrome (Linux)"); err != nil {
			t.Fatal(err)
		}
		pass(180 * time.Second)
		wantSays(t, other.EnterCode(ctx, "ABCD-EFGH"), walinktest.ErrCodeExpired)
		c, _ := connected(t, srv)
		code := c.code()
		wantSays(t, other.EnterCode(ctx, code), walinktest.ErrOtherNumber)
		wantSays(t, phone.EnterCode(ctx, code), nil)
		await[*events.Connected](c)
	})
}

func TestBadHelloIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		c, _ := connected(t, srv)
		for _, hello := range []struct {
			name     string
			platform whatsmeow.PairClientType
		}{
			{"walink", whatsmeow.PairClientChrome},
			{"Chrome (Acme)", whatsmeow.PairClientChrome},
			{"Desktop (Mac OS)", whatsmeow.PairClientElectron},
			{"Chrome (Linux)", "z"},
			{"Chrome (Linux)", whatsmeow.PairClientUnknown},
			{"Chrome (Android)", whatsmeow.PairClientAndroid},
		} {
			_, err := c.PairPhone(ctx, number, true, hello.platform, hello.name)
			if !errors.Is(err, whatsmeow.ErrIQBadRequest) {
				t.Errorf("%v: %v", hello, err)
			}
		}
		for _, system := range []string{"Windows", "Mac OS", "Linux", "Ubuntu", "Android", "iOS"} {
			if _, err := c.PairPhone(ctx, number, true, whatsmeow.PairClientOtherWebClient, "Chrome ("+system+")"); err != nil {
				t.Errorf("%s: %v", system, err)
			}
		}
	})
}

func TestPhoneWithoutServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		phone := srv.NewPhone(number)
		c, codes := connected(t, srv)
		code := c.code()
		srv.Close()
		srv.Close()
		wantSays(t, phone.EnterCode(ctx, code), walinktest.ErrServerUnreachable)
		wantSays(t, phone.ScanQR(ctx, codes[0]), walinktest.ErrServerUnreachable)
		c.leave()
		if err := c.Connect(); err == nil {
			t.Error("connected to a closed server")
		}
	})
}
