package wire

import (
	"errors"
	"runtime"
	"slices"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/number"
)

// checkAccount returns the client's PrePairCallback, which whatsmeow calls right before
// it stores anything. next is the callback that the program has set, if any.
//
// whatsmeow handles each pair-success in its own goroutine (handleIQ in its
// pair.go). A second one would be stored at the same time as the first, and its
// outcome would end the connection, so the goroutine of a second one ends here.
// Delete that when whatsmeow handles one pair-success at a time.
func (c *Conn) checkAccount(next func(types.JID, string, string) bool) func(types.JID, string, string) bool {
	return func(jid types.JID, platform, business string) bool {
		rejected := c.reject(number.Digits(jid.User))
		c.mu.Lock()
		agreed, good := c.isAgreed, !c.isShut && rejected == nil
		if !agreed {
			c.isAgreed, c.rejected = good, rejected
		}
		c.mu.Unlock()
		if agreed {
			runtime.Goexit()
		}
		return good && (next == nil || next(jid, platform, business))
	}
}

// reject returns why the account must not be linked, or nil.
func (c *Conn) reject(account string) *machine.Failure {
	switch {
	case account == "":
		return &machine.Failure{Reason: machine.ReasonPairing, Op: "pair", Err: errNoDevice}
	case c.cfg.Reject == nil:
		return nil
	}
	return c.cfg.Reject(account)
}

// awaitPairing waits until whatsmeow has handled a pair-success.
func (c *Conn) awaitPairing() {
	c.mu.Lock()
	pairing := c.pairing
	c.mu.Unlock()
	await(pairing, storeGrace)
}

// await waits until done is closed, but not longer than limit. A nil channel is no reason
// to wait.
func await(done <-chan struct{}, limit time.Duration) {
	if done == nil {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// beginPairing notes that whatsmeow is handling a pair-success.
func (c *Conn) beginPairing() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pairing == nil {
		c.pairing = make(chan struct{})
	}
}

// paired notes that whatsmeow has handled a pair-success. It posts the outcome, and
// then the inputs that came meanwhile.
func (c *Conn) paired(in machine.PairSuccess) {
	c.mu.Lock()
	c.late = slices.Insert(c.late, 0, machine.Input(in))
	c.mu.Unlock()
	c.endPairing(true)
}

// endPairing notes that whatsmeow has handled a pair-success. It posts or drops the
// inputs that came meanwhile, before awaitPairing returns.
func (c *Conn) endPairing(keep bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, in := range c.late {
		if keep {
			c.put(in)
		}
	}
	if c.pairing != nil && !c.isPaired {
		close(c.pairing)
	}
	c.isPaired, c.late = true, nil
}

// afterPairing posts an input, but not before the outcome of a pair-success that
// whatsmeow is still handling.
func (c *Conn) afterPairing(in machine.Input) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.isRefused:
	case c.pairing != nil && !c.isPaired:
		if c.late = append(c.late, in); len(c.late) == 1 {
			time.AfterFunc(storeGrace, func() { c.endPairing(true) }) // whatsmeow may have dropped the pair-success
		}
	default:
		c.put(in)
	}
}

// refuse notes that a pair-success was refused. All that happens to the connection
// next is a consequence, and is not posted. refuse returns why checkAccount said no, or
// nil if it did not.
func (c *Conn) refuse() (rejected *machine.Failure) {
	c.endPairing(false)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isRefused = true
	return c.rejected
}

// pairFailed says what whatsmeow's PairError means. rejected is why checkAccount said
// no, or nil.
func pairFailed(err error, rejected *machine.Failure) (failure *machine.Failure, tries int) {
	const op = "pair"
	var (
		db    *whatsmeow.PairDatabaseError
		proto *whatsmeow.PairProtoError
	)
	switch {
	case errors.Is(err, whatsmeow.ErrPairRejectedLocally) && rejected != nil:
		if rejected.Reason == machine.ReasonPairing {
			return rejected, machine.FewTries
		}
		return rejected, 0
	case errors.As(err, &db):
		return &machine.Failure{Reason: machine.ReasonStore, Op: op, Err: err}, machine.NoTries
	case errors.As(err, &proto), errors.Is(err, whatsmeow.ErrPairInvalidDeviceIdentityHMAC),
		errors.Is(err, whatsmeow.ErrPairInvalidDeviceSignature), errors.Is(err, whatsmeow.ErrPairRejectedLocally):
		return &machine.Failure{Reason: machine.ReasonPairing, Op: op, Err: err}, machine.FewTries
	}
	return &machine.Failure{Reason: machine.ReasonNetwork, Op: op, Err: err}, 0
}

var errNoDevice = errors.New("pair-success names no device")
