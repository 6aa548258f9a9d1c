package walinktest_test

import (
	"testing"
	"testing/synctest"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink/walinktest"
)

func TestNodesThatComeTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		srv.Script(walinktest.StagePairDevice, walinktest.Twice())
		c, codes := connected(t, srv)
		if again := await[*events.QR](c).Codes; again[0] != codes[0] {
			t.Error("the second node differs from the first")
		}
		if _, third := next[*events.QR](c, time.Minute); third {
			t.Error("the node came three times")
		}
	})
}

func TestNodesThatAreOvertaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, srv := t.Context(), walinktest.NewServer(t)
		srv.Script(walinktest.StageCompanionFinish, walinktest.Overtaken())
		phone := srv.NewPhone(number)
		c, _ := connected(t, srv)
		if err := phone.EnterCode(ctx, c.code()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		last := [2]string{}
		for len(c.nodes) > 0 {
			last = [2]string{last[1], kindOf(<-c.nodes)}
			if last[0] == "pair-success" && last[1] != "result" {
				t.Errorf("%q follows", last[1])
			}
			if last == [2]string{"pair-success", "result"} {
				return
			}
		}
		t.Error("pair-success did not come before the answer")
	})
}

// kindOf returns the tag of an IQ's child, or the type of an IQ without one.
func kindOf(node *waBinary.Node) string {
	if children := node.GetChildren(); len(children) == 1 {
		return children[0].Tag
	}
	kind, _ := node.Attrs["type"].(string)
	return kind
}

func TestNodesThatNothingOvertakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		srv.Script(walinktest.StagePairDevice, walinktest.Overtaken())
		c := newClient(t, srv)
		c.connect()
		if _, early := next[*events.QR](c, 2*time.Second); early {
			t.Error("the server did not hold the node back")
		}
		if _, ok := next[*events.QR](c, 2*time.Second); !ok {
			t.Error("the node did not come")
		}
	})
}

func TestCertificateThatHasRunOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		srv.Script(walinktest.StageHandshake, walinktest.ExpiredCertificate())
		c := newClient(t, srv)
		if err := c.Connect(); err == nil {
			t.Error("the client accepts the certificate")
		}
		c.connect()
		await[*events.QR](c)
	})
}
