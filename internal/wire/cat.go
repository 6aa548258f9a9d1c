package wire

import (
	"context"
	"errors"

	"go.mau.fi/whatsmeow"
)

// The failures and stream errors 413 and 414 are about the CAT, a token of Messenger's
// clients, which no client here has. whatsmeow calls RefreshCAT for them, for a failure
// without looking whether it is set (handleConnectFailure in its connectionevents.go). For a
// stream error it takes socketLock (handleStreamError), which Disconnect holds while it waits
// up to five seconds for the handler (unlockedDisconnect in its client.go). So walink lets
// the handler get there first, unless a handler of the program takes longer than a second.
// Delete when whatsmeow does without that lock.
//
// Without a new CAT whatsmeow does not reconnect after such a stream error. So walink does not
// wait for a reconnect, even if the program's own RefreshCAT brings a CAT.

var errNoCAT = errors.New("there is no CAT to refresh")

// errOfCAT is in the cause of a loss after such a stream error.
var errOfCAT = errors.New("it asks for a CAT, a token of Messenger's clients")

// refreshCAT has the client say when it handles a stream error of the CAT.
func (c *Conn) refreshCAT(client *whatsmeow.Client) {
	own := client.RefreshCAT // the program's
	client.RefreshCAT = func(ctx context.Context) error {
		c.mu.Lock()
		if c.cat != nil {
			close(c.cat)
			c.cat = nil
		}
		c.mu.Unlock()
		if own == nil {
			return errNoCAT
		}
		return own(ctx)
	}
}

// isOfCAT reports whether a stream error with this code is about the CAT.
func isOfCAT(code string) bool { return code == "413" || code == "414" }

// noteCAT notes that a stream error with this code has arrived, if it is one of the CAT.
func (c *Conn) noteCAT(code string) {
	if !isOfCAT(code) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cat == nil {
		c.cat = make(chan struct{})
	}
}

// awaitCAT waits until whatsmeow handles the stream error of the CAT that has arrived, if one
// has.
func (c *Conn) awaitCAT() {
	c.mu.Lock()
	cat := c.cat
	c.mu.Unlock()
	await(cat, closeGrace)
	c.mu.Lock()
	c.cat = nil
	c.mu.Unlock()
}
