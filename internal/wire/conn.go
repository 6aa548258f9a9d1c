// Package wire hides whatsmeow's connection behind a Conn: one whatsmeow client and its
// connection. A Conn posts inputs of package machine, and turns whatsmeow's errors and
// nodes into failures.
//
// For much that a Link has to know, whatsmeow writes a log line and sends no event. And
// its ways of ending a connection are unsafe in three places. So a Conn also reads
// whatsmeow's log (log.go is the logger, tap.go reads the nodes). It puts its own layer
// between whatsmeow and the network (transport.go), and another one between whatsmeow
// and the store (guard.go). docs/whatsmeow.md has all hazards of whatsmeow in one place.
package wire

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/queue"
	"github.com/walink/walink/internal/redact"
)

const (
	closeGrace = time.Second      // for a websocket to be closed in order
	storeGrace = 5 * time.Second  // for a pairing that whatsmeow is storing to end
	silence    = 45 * time.Second // without an answer to a keepalive; the next keepalive comes within 40 s
	absence    = 30 * time.Second // for whatsmeow to open another connection, or to report the end of the last one

	// ShutLimit is how long Shut takes at most.
	ShutLimit = 3*closeGrace + storeGrace
)

// Inbox is where the inputs of a Conn go. Put must not block, and must not call the
// Conn.
type Inbox interface{ Put(in machine.Input) }

// Conn is one whatsmeow client and its connection. whatsmeow's handlers run in
// whatsmeow's goroutines; here they only post inputs. The methods of a Conn may be
// called from several goroutines at once.
type Conn struct {
	cfg       *Config
	epoch     int
	linked    bool // the device was linked before this Conn
	device    *wastore.Device
	http      *http.Client
	transport *transport
	base      context.Context // the parent of every life

	answering chan struct{} // holds one token while an assertion is on its way
	gone      chan struct{} // closed when WhatsApp has removed the device

	reconnects, manual bool // the values of EnableAutoReconnect and DisableLoginAutoReconnect after the login

	mu         sync.Mutex
	inbox      Inbox // gets the inputs; Redirect changes it
	client     *whatsmeow.Client
	life       context.Context // whatsmeow takes the life of a connection from the context of its Connect
	cancel     context.CancelFunc
	isShut     bool
	isReleased bool             // the reconnects are whatsmeow's
	isLost     bool             // a Lost was posted, and no LoggedIn since
	pairing    chan struct{}    // not nil once a pair-success has come; closed when whatsmeow has handled it
	isPaired   bool             // pairing is closed
	isAgreed   bool             // checkAccount has said yes
	isRefused  bool             // a pair-success was refused, which is why the connection ends
	late       []machine.Input  // the inputs that came while whatsmeow was handling the pair-success
	rejected   *machine.Failure // why checkAccount said no
	account    machine.Account  // that the device is linked to
	challenge  json.RawMessage  // of the passkey, as it arrived last
	helloID    string           // of the last companion_hello
	codeRef    string           // of the code in the answer to the last companion_hello
	finishID   string           // of the companion_finish that is on its way
	leaveID    string           // of the request to remove the device, unless WhatsApp has refused it
	secret     []byte           // the ADV secret that counts
	agreed     bool             // the phone has got that secret, and its answer is due
	renewed    []byte           // the ADV secret that whatsmeow has made meanwhile
	cat        chan struct{}    // not nil once a stream error of the CAT has come; closed when whatsmeow handles it
	ceremony   ceremony
}

// Params are what differs between the Conns of a Linker.
type Params struct {
	Epoch      int
	Device     *wastore.Device
	Inbox      Inbox
	Held       func() bool // reports whether the session is still ours; if not, nothing passes. It never blocks
	Patient    bool        // the store may take longer: nobody waits for a login after pairing
	Supervised bool        // walink reconnects after a 515, also after the login
}

// New returns a Conn that is not connected. The values of base go to every call
// that whatsmeow makes; the end of base ends nothing. The pace is that of all sockets of
// the session.
func New(base context.Context, cfg *Config, pace *Pace, p Params) *Conn {
	c := &Conn{
		cfg: cfg, epoch: p.Epoch, device: p.Device, linked: p.Device.ID != nil, inbox: p.Inbox,
		account: deviceAccount(p.Device), base: context.WithoutCancel(base), answering: make(chan struct{}, 1), gone: make(chan struct{}),
		secret: p.Device.AdvSecretKey, manual: p.Supervised,
	}
	c.life, c.cancel = context.WithCancel(c.base)
	c.http, c.transport = track(cfg.HTTP, p.Held, c.isLinked, pace, c.socketClosed)
	c.guard(p.Patient)
	return c
}

// Connect makes the client, opens its connection, and posts Opened or Lost. It
// blocks until then.
func (c *Conn) Connect() {
	c.newClient()
	c.open()
}

// Reconnect closes the connection and opens another one with the same client. It
// posts Opened or Lost, and blocks until then.
func (c *Conn) Reconnect() {
	c.mu.Lock()
	client, cancel := c.client, c.cancel
	c.life, c.cancel = context.WithCancel(c.base)
	c.mu.Unlock()
	c.disconnect(client, cancel)
	cancel()
	c.open()
}

func (c *Conn) open() {
	c.mu.Lock()
	ctx, client, isShut := c.life, c.client, c.isShut
	if !isShut {
		c.transport.begin()
	}
	c.mu.Unlock()
	if isShut {
		return
	}
	err := client.ConnectContext(ctx)
	c.transport.opened()
	if err != nil && !errors.Is(err, whatsmeow.ErrAlreadyConnected) {
		failure, tries := connectFailed(err, c.cfg.Proxy)
		c.post(machine.Lost{Epoch: c.epoch, Err: failure, Tries: tries})
		return
	}
	c.post(machine.Opened{Epoch: c.epoch})
}

// Shut closes the connection for good, and returns when whatsmeow has finished with
// the connection. If whatsmeow is storing a pairing, Shut waits for the outcome.
func (c *Conn) Shut() {
	c.mu.Lock()
	c.isShut = true
	client, cancel := c.client, c.cancel
	c.mu.Unlock()
	defer cancel()
	if client == nil {
		return // no client yet: open will see isShut, and will not connect
	}
	c.disconnect(client, cancel)
	c.awaitPairing() // checkAccount lets no other pairing begin
}

// disconnect closes the connection: cleanly if that takes at most closeGrace, and
// otherwise by force. A reconnect by whatsmeow itself may block Disconnect.
func (c *Conn) disconnect(client *whatsmeow.Client, cancel context.CancelFunc) {
	w, dialing := c.transport.block()
	// A connect, by walink or by whatsmeow itself, holds the lock that Disconnect needs.
	if dialing {
		cancel()
	}
	c.awaitCAT()
	end := cancel
	if w != nil {
		w.drain(closeGrace)
		end = func() {
			w.kill()
			cancel()
		}
		defer w.kill()
	}
	hurry := time.AfterFunc(closeGrace, end)
	defer hurry.Stop()
	client.Disconnect()
}

// Client returns the client; nil before Connect.
func (c *Conn) Client() *whatsmeow.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.client
}

// Epoch returns the number of the attempt that the Conn belongs to.
func (c *Conn) Epoch() int { return c.epoch }

// Context returns a context with the values of New's, which never ends.
func (c *Conn) Context() context.Context { return c.base }

// Account returns the account that the device is linked to. The device itself may
// be changing: whatsmeow deletes the device in another goroutine.
func (c *Conn) Account() machine.Account {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.account
}

// IsUp reports whether the Conn is connected and logged in.
func (c *Conn) IsUp() bool { return c.Client().IsLoggedIn() && c.transport.up() }

// Redirect gives the Conn another inbox.
func (c *Conn) Redirect(to Inbox) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inbox = to
}

// HandOver gives the Conn another inbox, and moves the Conn's inputs there: those of
// rest, which were taken out of from before, and those that from still holds.
func (c *Conn) HandOver(to Inbox, from *queue.Queue[machine.Input], rest []machine.Input) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inbox = to
	for _, in := range slices.Concat(rest, from.Take()) {
		if machine.Attempt(in) == c.epoch {
			to.Put(in)
		}
	}
}

// post puts an input into the inbox.
func (c *Conn) post(in machine.Input) {
	c.mu.Lock()
	defer c.mu.Unlock() // Redirect must not come in between
	c.put(in)
}

// put is post for a caller that holds c.mu.
func (c *Conn) put(in machine.Input) {
	if _, ok := in.(machine.Lost); ok {
		c.isLost = true
	} else if _, ok := in.(machine.LoggedIn); ok {
		c.isLost = false
	}
	c.inbox.Put(in)
}

// socketClosed watches over what follows a connection that has ended after the login.
// whatsmeow opens another one, or reports the end. It does neither if the program has
// called Disconnect (client.go), or if the end was expected and nothing was sent
// before: the CAT of the stream errors 413 and 414 (connectionevents.go).
func (c *Conn) socketClosed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isReleased && !c.isShut {
		time.AfterFunc(absence, c.missing)
	}
}

// missing reports that the session is offline.
func (c *Conn) missing() {
	if !c.IsUp() {
		c.report(&machine.Failure{Reason: machine.ReasonNetwork, Op: "connection", Err: errAbsent})
	}
}

// left reports that the program itself has logged the device out: nothing else deletes
// the device without a word of the server before.
func (c *Conn) left() {
	c.report(&machine.Failure{Reason: machine.ReasonLoggedOut, Op: "log out", Err: ErrLeft})
}

// report reports a loss after the login, unless a loss is known.
func (c *Conn) report(err *machine.Failure) {
	c.mu.Lock()
	known := c.isShut || c.isLost || !c.isReleased
	c.mu.Unlock()
	if !known {
		c.lost(err, machine.NoTries)
	}
}

// handle is whatsmeow's event handler. The failures that arrive as nodes are posted by
// received, which sees them earlier, and sees all of them.
func (c *Conn) handle(evt any) {
	switch e := evt.(type) {
	case *events.QR:
		c.post(machine.Refs{Epoch: c.epoch, Payloads: slices.Clone(e.Codes)})
	case *events.RotateADVSecret:
		c.refreshed()
	case *events.PairPasskeyRequest:
		c.challenged()
		c.post(machine.PasskeyWanted{Epoch: c.epoch, Challenge: c.passkeyChallenge()})
	case *events.PairPasskeyError:
		c.passkeyFailed(e)
	case *events.PairSuccess:
		account := accountOf(e.ID, e.LID, e.BusinessName, e.Platform)
		c.mu.Lock()
		c.account = account
		c.mu.Unlock()
		c.paired(machine.PairSuccess{Epoch: c.epoch, Account: account})
	case *events.PairError:
		failure, tries := pairFailed(e.Error, c.refuse())
		c.post(machine.Lost{Epoch: c.epoch, Err: failure, Tries: tries})
	case *events.QRScannedWithoutMultidevice:
		c.lost(&machine.Failure{Reason: machine.ReasonMultideviceOff, Op: "scan"}, machine.FewTries)
	case *events.ManualLoginReconnect:
		c.afterPairing(machine.RestartWanted{Epoch: c.epoch})
	case *events.Connected:
		// If the connection has ended already, Disconnected follows.
		if c.transport.whileUp(c.release) {
			c.post(machine.LoggedIn{Epoch: c.epoch, Account: c.Account()})
		}
	case *events.KeepAliveTimeout:
		// whatsmeow reconnects then, and sends no event for that: keepAliveLoop in its
		// keepalive.go. Delete when it does.
		limit := whatsmeow.KeepAliveMaxFailTime
		if c.released() {
			limit = silence
		}
		if time.Since(e.LastSuccess) > limit {
			c.lost(&machine.Failure{Reason: machine.ReasonNetwork, Op: "connection", Err: errSilent}, 0)
		}
	case *events.KeepAliveRestored:
		if c.transport.whileUp(func() {}) {
			c.post(machine.LoggedIn{Epoch: c.epoch, Account: c.Account()})
		}
	case *events.Disconnected:
		c.lost(&machine.Failure{Reason: machine.ReasonNetwork, Op: "connection", Err: errClosed}, 0)
	}
}

// release hands the reconnects over to whatsmeow, once. From then on the client has
// the settings of the program.
func (c *Conn) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isReleased {
		c.isReleased = true
		c.client.EnableAutoReconnect, c.client.DisableLoginAutoReconnect = c.reconnects, c.manual
	}
}

// released reports whether release was called.
func (c *Conn) released() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isReleased
}

// restarts reports whether whatsmeow itself reconnects after a 515.
func (c *Conn) restarts() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isReleased && !c.manual
}

func (c *Conn) lost(err *machine.Failure, tries int) {
	c.mu.Lock()
	if err.Reason == machine.ReasonLoggedOut {
		if !c.isGone() {
			close(c.gone)
		}
		if c.leaveID != "" {
			err = &machine.Failure{Reason: err.Reason, Op: err.Op, Err: ErrLeft}
		}
	}
	c.mu.Unlock()
	c.afterPairing(machine.Lost{Epoch: c.epoch, Err: err, Tries: tries})
}

// isLinked reports whether the connection is one of a linked device.
func (c *Conn) isLinked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.linked || c.pairing != nil
}

var (
	errSilent = errors.New("WhatsApp has been silent for minutes")
	errClosed = errors.New("WhatsApp closed the connection")
	errAbsent = errors.New("the client is disconnected, and does not connect again by itself")

	// ErrLeft is the cause of a loss after the program's own Client.Logout.
	ErrLeft = errors.New("the program has logged the client out")
)

// deviceAccount is the account that a device is linked to.
func deviceAccount(d *wastore.Device) machine.Account {
	return accountOf(d.GetJID(), d.GetLID(), d.BusinessName, d.Platform)
}

// accountOf cleans the names: the account's owner chose them.
func accountOf(jid, lid types.JID, business, platform string) machine.Account {
	return machine.Account{JID: jid, LID: lid, BusinessName: redact.Line(business), Platform: redact.Line(platform)}
}
