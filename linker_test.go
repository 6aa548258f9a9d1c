package walink_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
)

func TestLinkByPairingCode(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{Phone: "+55 11 98765-4321", PreferPairingCode: true}, rig.WithStore(rig.SQLiteStore(t)))
		if r.Linker.Client() != nil {
			t.Error("there is a client before Linked")
		}
		start := time.Now()
		r.Link(t.Context())
		code := rig.Await[walink.PairingCode](r)
		if len(code.Code) != 9 || code.Code[4] != '-' {
			t.Error("the code does not have the form ABCD-EFGH")
		}
		life := code.Expires.Sub(code.Issued)
		if code.Phone.String() != rig.Number || code.Number != 1 || life != 180*time.Second || code.Issued.Before(start) {
			t.Errorf("the event is %v", code)
		}
		if got := r.Linker.Status(); got.State != walink.StateAwaitingPhone || got.PairingCode == nil || got.QRCode != nil {
			t.Errorf("the status is %+v", got)
		}
		r.Enter(code)
		linked := r.Linked()
		if want := "connecting pairing_code paired linked"; r.Kinds() != want {
			t.Errorf("the events are %s, want %s", r.Kinds(), want)
		}
		if linked.Resumed || linked.Account.Phone.String() != rig.Number || linked.Account.JID.Device == 0 || linked.Account.LID.IsEmpty() {
			t.Errorf("the account is %+v", linked.Account)
		}
		r.CheckUsable()
		if diff := cmp.Diff([]string{"default"}, r.Sessions()); diff != "" {
			t.Errorf("the stored sessions (-want +got):\n%s", diff)
		}
		if got := r.Linker.Status(); got.State != walink.StateLinked || got.PairingCode != nil || got.Account == nil {
			t.Errorf("the status is %+v", got)
		}
	})
}

func TestLinkByQRCodeIsTheZeroSettings(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.LinkByQR()
		if want := "connecting qr_code paired linked"; r.Kinds() != want {
			t.Errorf("the events are %s, want %s", r.Kinds(), want)
		}
		r.CheckUsable()
		if got := r.Server.CodeRequests(strings.TrimPrefix(rig.Number, "+")); got != 0 {
			t.Errorf("%d pairing codes are requested", got)
		}
	})
}

func TestStoredSessionResumesWithoutACode(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{Session: "shop"})
		first := r.LinkByQR()
		again := r.Again(walink.Settings{Session: "shop", Phone: rig.Number, LinkingMode: walink.ModePairing})
		again.Link(t.Context())
		linked := again.Linked()
		if !linked.Resumed {
			t.Error("the session is not resumed")
		}
		if diff := cmp.Diff(first.Account.JID, linked.Account.JID); diff != "" {
			t.Errorf("another device is linked (-want +got):\n%s", diff)
		}
		if want := "connecting linked"; again.Kinds() != want {
			t.Errorf("the events are %s, want %s", again.Kinds(), want)
		}
		again.CheckUsable()
	})
}

func TestLinkOnAConnectedSessionIsLinkedAtOnce(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.LinkByQR()
		client := r.Linker.Client()
		r.Link(t.Context())
		if linked := r.Linked(); !linked.Resumed || r.Kinds() != "linked" {
			t.Errorf("the events are %s", r.Kinds())
		}
		if r.Linker.Client() != client {
			t.Error("the client is another one")
		}
		r.CheckUsable()
	})
}

func TestSessionRemovedOnThePhoneIsDroppedAndLinkedAfresh(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		old := r.LinkByQR().Account.JID
		again := r.Again(walink.Settings{})
		if !r.Phone.Remove(old) {
			t.Fatal("the phone does not know the device")
		}
		again.Link(t.Context())
		retrying := rig.Await[walink.Retrying](again)
		rig.WantReason(t, retrying.Err, walink.ErrLoggedOut)
		code := rig.Await[walink.QRCode](again)
		if got := again.Sessions(); len(got) != 0 {
			t.Errorf("%v is still stored", got)
		}
		again.Scan(code)
		linked := again.Linked()
		if linked.Resumed || linked.Account.JID == old {
			t.Errorf("the Linker does not link afresh: %+v", linked)
		}
		again.CheckUsable()
	})
}

func TestSessionRemovedWhileConnectedIsLinkedAfresh(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		old := r.LinkByQR().Account.JID
		if !r.Phone.Remove(old) {
			t.Fatal("the phone does not know the device")
		}
		time.Sleep(time.Second)
		if got := r.Sessions(); len(got) != 0 {
			t.Errorf("%v is still stored", got)
		}
		if linked := r.LinkByQR(); linked.Resumed || linked.Account.JID == old {
			t.Errorf("the Linker does not link afresh: %+v", linked)
		}
		r.CheckUsable()
	})
}

func TestStoredSessionOfAnotherAccountIsNotResumed(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.LinkByQR()
		again := r.Again(walink.Settings{Phone: "+4915123456789", LinkingMode: walink.ModePairing})
		again.Link(t.Context())
		rig.WantReason(t, again.Failed(), walink.ErrWrongAccount)
		if diff := cmp.Diff([]string{"default"}, again.Sessions()); diff != "" {
			t.Errorf("the stored sessions (-want +got):\n%s", diff)
		}
	})
}

func TestMisuseOfALinkerReturnsAnError(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.Link(t.Context())
		if _, err := r.Linker.Link(t.Context()); !errors.Is(err, walink.ErrInProgress) {
			t.Errorf("Link twice returns %v", err)
		}
		if err := r.Linker.Unlink(t.Context()); !errors.Is(err, walink.ErrInProgress) {
			t.Errorf("Unlink during Link returns %v", err)
		}
		if r.Linker.Client() != nil {
			t.Error("there is a client before Linked")
		}
		for range 2 {
			if err := r.Linker.Close(); err != nil {
				t.Errorf("Close returns %v", err)
			}
		}
		rig.WantReason(t, r.Failed(), walink.ErrClosed)
		if _, err := r.Linker.Link(t.Context()); !errors.Is(err, walink.ErrClosed) {
			t.Errorf("Link after Close returns %v", err)
		}
		if err := r.Linker.Unlink(t.Context()); !errors.Is(err, walink.ErrClosed) {
			t.Errorf("Unlink after Close returns %v", err)
		}
		for _, err := range []error{r.Linker.AnswerPasskey(t.Context(), nil), r.Linker.ConfirmPasskey(t.Context())} {
			if !errors.Is(err, walink.ErrPasskey) {
				t.Errorf("a passkey method returns %v", err)
			}
		}
	})
}

func TestCloseWithoutALink(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{})
		r.Close()
	})
}

func TestFailedLinkCanBeFollowedByAnother(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		r := rig.New(t, walink.Settings{Timeout: time.Minute})
		r.Link(t.Context())
		rig.WantReason(t, r.Failed(), walink.ErrTimeout)
		r.LinkByQR()
		r.CheckUsable()
	})
}

type foreignTransport struct{ http.RoundTripper }

//nolint:paralleltest // it replaces a variable of net/http
func TestNewRefusesAReplacedDefaultTransport(t *testing.T) {
	old := http.DefaultTransport
	http.DefaultTransport = foreignTransport{old}
	defer func() { http.DefaultTransport = old }()
	if _, err := walink.New(rig.MemoryStore(t), walink.Settings{}); !errors.Is(err, walink.ErrInvalidSettings) {
		t.Errorf("New returns %v", err)
	}
}
