package walink_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink"
)

func TestLinkByPairingCode(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRigOver(t, sqliteStore(t), walink.Settings{Phone: "+55 11 98765-4321", PreferPairingCode: true})
		if r.linker.Client() != nil {
			t.Error("there is a client before Linked")
		}
		asked := time.Now()
		r.link(t.Context())
		code := await[walink.PairingCode](r)
		if len(code.Code) != 9 || code.Code[4] != '-' {
			t.Errorf("the code has the wrong form")
		}
		if code.Phone.String() != number || code.Number != 1 || code.Expires.Sub(code.Issued) != 180*time.Second || code.Issued.Before(asked) {
			t.Errorf("unexpected %v", code)
		}
		if got := r.linker.Status(); got.State != walink.StateAwaitingPhone || got.PairingCode == nil || got.QRCode != nil {
			t.Errorf("status %v", got.State)
		}
		r.enter(code)
		linked := r.linked()
		if want := "connecting pairing_code paired linked"; r.kinds() != want {
			t.Errorf("events %s, want %s", r.kinds(), want)
		}
		if linked.Resumed || linked.Account.Phone.String() != number || linked.Account.JID.Device == 0 || linked.Account.LID.IsEmpty() {
			t.Errorf("unexpected %+v", linked.Account)
		}
		r.usable()
		if diff := cmp.Diff([]string{"default"}, r.sessions()); diff != "" {
			t.Errorf("sessions:\n%s", diff)
		}
		if got := r.linker.Status(); got.State != walink.StateLinked || got.PairingCode != nil || got.Account == nil {
			t.Errorf("status %v", got.State)
		}
	})
}

func TestLinkByQRCodeIsTheZeroSettings(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		r.linkByQR()
		if want := "connecting qr_code paired linked"; r.kinds() != want {
			t.Errorf("events %s, want %s", r.kinds(), want)
		}
		r.usable()
		if got := r.srv.CodeRequests(strings.TrimPrefix(number, "+")); got != 0 {
			t.Errorf("%d pairing codes were asked for", got)
		}
	})
}

func TestStoredSessionResumesWithoutACode(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{Session: "shop"})
		first := r.linkByQR()
		again := r.again(walink.Settings{Session: "shop", Phone: number, LinkingMode: walink.ModePairing})
		again.link(t.Context())
		linked := again.linked()
		if !linked.Resumed {
			t.Error("not resumed")
		}
		if diff := cmp.Diff(first.Account.JID, linked.Account.JID); diff != "" {
			t.Errorf("another device:\n%s", diff)
		}
		if want := "connecting linked"; again.kinds() != want {
			t.Errorf("events %s, want %s", again.kinds(), want)
		}
		again.usable()
	})
}

func TestLinkOnAConnectedSessionIsLinkedAtOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		r.linkByQR()
		client := r.linker.Client()
		r.link(t.Context())
		if linked := r.linked(); !linked.Resumed || r.kinds() != "linked" {
			t.Errorf("events %s", r.kinds())
		}
		if r.linker.Client() != client {
			t.Error("the connection was replaced")
		}
		r.usable()
	})
}

func TestSessionRemovedOnThePhoneIsDroppedAndLinkedAfresh(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		old := r.linkByQR().Account.JID
		again := r.again(walink.Settings{})
		if !r.phone.Remove(old) {
			t.Fatal("the phone does not know the device")
		}
		again.link(t.Context())
		retrying := await[walink.Retrying](again)
		wantReason(t, retrying.Err, walink.ErrLoggedOut)
		code := await[walink.QRCode](again)
		if got := again.sessions(); len(got) != 0 {
			t.Errorf("sessions %v are still stored", got)
		}
		again.scan(code)
		linked := again.linked()
		if linked.Resumed || linked.Account.JID == old {
			t.Errorf("not linked afresh: %+v", linked)
		}
		again.usable()
	})
}

func TestSessionRemovedWhileConnectedIsLinkedAfresh(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		old := r.linkByQR().Account.JID
		if !r.phone.Remove(old) {
			t.Fatal("the phone does not know the device")
		}
		<-time.After(time.Second)
		if got := r.sessions(); len(got) != 0 {
			t.Errorf("sessions %v are still stored", got)
		}
		if linked := r.linkByQR(); linked.Resumed || linked.Account.JID == old {
			t.Errorf("not linked afresh: %+v", linked)
		}
		r.usable()
	})
}

func TestStoredSessionOfAnotherAccountIsNotResumed(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		r.linkByQR()
		again := r.again(walink.Settings{Phone: "+4915123456789", LinkingMode: walink.ModePairing})
		again.link(t.Context())
		wantReason(t, again.failed(), walink.ErrWrongAccount)
		if diff := cmp.Diff([]string{"default"}, again.sessions()); diff != "" {
			t.Errorf("the session is not kept:\n%s", diff)
		}
	})
}

func TestUnlinkLogsOutAndForgets(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		r.linkByQR()
		if err := r.linker.Unlink(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := r.phone.LinkedDevices(); len(got) != 0 {
			t.Errorf("the phone still lists %v", got)
		}
		if got := r.sessions(); len(got) != 0 {
			t.Errorf("sessions %v are still stored", got)
		}
		if r.linker.Client() != nil || r.linker.Status().State != walink.StateIdle {
			t.Error("the linker is not idle")
		}
		if err := r.linker.Unlink(t.Context()); !errors.Is(err, walink.ErrLoggedOut) {
			t.Errorf("a second Unlink returns %v", err)
		}
	})
}

func TestUnlinkConnectsAStoredSessionFirst(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		r.linkByQR()
		again := r.again(walink.Settings{})
		if err := again.linker.Unlink(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := r.phone.LinkedDevices(); len(got) != 0 {
			t.Errorf("the phone still lists %v", got)
		}
	})
}

func TestUnlinkForgetsADeviceThatWhatsAppHasRemoved(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		linked := r.linkByQR()
		again := r.again(walink.Settings{})
		r.phone.Remove(linked.Account.JID)
		if err := again.linker.Unlink(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := again.sessions(); len(got) != 0 {
			t.Errorf("sessions %v are still stored", got)
		}
	})
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		r.link(t.Context())
		if _, err := r.linker.Link(t.Context()); !errors.Is(err, walink.ErrInProgress) {
			t.Errorf("Link twice returns %v", err)
		}
		if err := r.linker.Unlink(t.Context()); !errors.Is(err, walink.ErrInProgress) {
			t.Errorf("Unlink during Link returns %v", err)
		}
		if r.linker.Client() != nil {
			t.Error("there is a client before Linked")
		}
		for range 2 {
			if err := r.linker.Close(); err != nil {
				t.Errorf("Close returns %v", err)
			}
		}
		wantReason(t, r.failed(), walink.ErrClosed)
		if _, err := r.linker.Link(t.Context()); !errors.Is(err, walink.ErrClosed) {
			t.Errorf("Link after Close returns %v", err)
		}
		if err := r.linker.Unlink(t.Context()); !errors.Is(err, walink.ErrClosed) {
			t.Errorf("Unlink after Close returns %v", err)
		}
		for _, err := range []error{r.linker.AnswerPasskey(t.Context(), nil), r.linker.ConfirmPasskey(t.Context())} {
			if !errors.Is(err, walink.ErrPasskey) {
				t.Errorf("the passkey methods return %v", err)
			}
		}
	})
}

func TestCloseWithoutLink(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{})
		if err := r.linker.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestFailedLinkCanBeFollowedByAnother(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, walink.Settings{Timeout: time.Minute})
		r.link(t.Context())
		wantReason(t, r.failed(), walink.ErrTimeout)
		r.linkByQR()
		r.usable()
	})
}
