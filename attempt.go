package walink

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waWa6"
	wastore "go.mau.fi/whatsmeow/store"
	"google.golang.org/protobuf/proto"
)

// workerGrace is how long the end of a Link waits for its workers. The longest
// that they take by themselves is what shutting a socket takes.
const workerGrace = 2*closeGrace + storeGrace + 5*time.Second

// attempt drives one Link. Its goroutine owns the machine, the sockets and the
// timer, and turns effects into calls. Whatever can block runs in a worker,
// which posts its result to the inbox; whatsmeow's handlers only post there.
type attempt struct {
	linker   *Linker
	settings *resolved
	machine  *machine
	inbox    *inbox
	outbox
	end Event // the terminal event, held back until everything is put away

	life    context.Context //nolint:containedctx // of the connections, which outlive Link's context
	kill    context.CancelFunc
	work    context.Context //nolint:containedctx // of the workers: ends with the attempt
	http    *http.Client
	workers sync.WaitGroup

	rest       []input            // what had come when the end was decided
	stopAsking context.CancelFunc // ends the context of Settings.Passkey
	goodbye    func()             // lets go of the connection of an earlier Link, before the first load

	sock   *socket // of the current epoch, once it is being connected
	loaded loaded
}

// loaded is the device that a worker took from the store.
type loaded struct {
	mu     sync.Mutex
	epoch  int
	device *wastore.Device
	tenure *tenure // its lease
	over   bool    // the Link has ended
}

// run drives the Link to its end. previous is the connection of an earlier
// Link: if it still stands, that is all there is to do, and otherwise it has
// to go first.
func (a *attempt) run(ctx context.Context, previous *socket, killPrevious context.CancelFunc) {
	if previous != nil {
		if previous.stands() {
			a.kill()
			a.sock, a.kill = previous, killPrevious
			a.end = Linked{Account: previous.linkedTo(), Resumed: true}
			a.finish()
			return
		}
		a.goodbye = sync.OnceFunc(func() {
			previous.shut()
			killPrevious()
		})
	}
	work, stop := context.WithCancel(ctx)
	defer stop()
	a.work = work
	timer := time.NewTimer(0)
	defer timer.Stop()
	done := ctx.Done()
	a.step(inStart{})
	for a.end == nil {
		if next := a.machine.next(); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
		out, head := a.head()
		select {
		case <-a.inbox.ready:
			inputs := a.inbox.take()
			if ctx.Err() != nil { // before what its end has caused
				a.step(inStop{stopped(ctx)})
			}
			for len(inputs) > 0 && a.end == nil {
				a.step(inputs[0])
				inputs = inputs[1:]
			}
			a.rest = inputs
		case <-timer.C:
			a.step(inTick{})
		case <-done:
			done = nil
			a.step(inStop{stopped(ctx)})
		case out <- head:
			a.sent()
		}
	}
	stop()
	a.finish()
}

// stopped tells why the context of a Link has ended.
func stopped(ctx context.Context) *Error {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, ErrClosed):
		return &Error{Reason: ErrClosed, Op: "link"}
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.Is(cause, context.DeadlineExceeded):
		return &Error{Reason: ErrTimeout, Op: "link", Err: cause}
	}
	return &Error{Reason: ErrCanceled, Op: "link", Err: cause}
}

// finish puts everything away, tells the Linker how it ended, and only then
// sends the terminal event: whoever has read it may start the next Link.
func (a *attempt) finish() {
	sock := a.sock
	if sock != nil {
		sock.redirect(a.linker.watch(), a.inbox, a.rest)
	}
	a.inbox.close()
	_, linked := a.end.(Linked)
	if !linked && sock != nil {
		sock.shut()
		sock = nil
	}
	a.await() // also for the workers that shut sockets, which need them alive
	a.loaded.mu.Lock()
	a.loaded.over = true
	tenure := a.loaded.tenure
	a.loaded.mu.Unlock()
	if !linked {
		a.kill()
		tenure.giveBack(a.life)
		tenure = nil
	}
	a.close(a.linker.ended(a.end, sock, a.kill, tenure))
}

// await waits for the workers. One that is held up in somebody else's code, a
// Store that does not heed its context or an OnClient that does not return,
// does not keep the Link from ending.
func (a *attempt) await() {
	done := make(chan struct{})
	go func() {
		a.workers.Wait()
		close(done)
	}()
	timer := time.NewTimer(workerGrace)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// step feeds the machine and does what it wants.
func (a *attempt) step(in input) {
	if a.end != nil {
		return
	}
	for _, e := range a.machine.step(time.Now(), in) {
		switch e := e.(type) {
		case doEmit:
			a.emit(e.event)
		case doLoad:
			a.workers.Go(func() { a.load(e.epoch) })
		case doConnect:
			a.connect(e.epoch)
		case doRelogin:
			sock := a.sock
			a.workers.Go(func() { sock.reconnect(a.life, a.connectLost(e.epoch)) })
		case doRequestCode:
			sock, now := a.sock, time.Now()
			a.workers.Go(func() { a.requestCode(sock, now) })
		case doAskPasskey:
			a.stopAsking()
			var asking context.Context
			asking, a.stopAsking = context.WithDeadline(a.work, e.expires)
			a.workers.Go(func() { a.askPasskey(asking, e) })
		case doAnswer:
			sock := a.sock
			a.workers.Go(func() {
				err := sock.answerPasskey(e.assertion)
				a.inbox.post(inPasskeySent{e.epoch, e.answer, err})
				tell(e.reply, err)
			})
		case doConfirm:
			sock := a.sock
			a.workers.Go(func() {
				err := sock.confirmPasskey()
				a.inbox.post(inConfirmed{e.epoch, err})
				tell(e.reply, err)
			})
		case doReply:
			tell(e.reply, e.err)
		case doShut:
			a.stopAsking()
			if sock := a.sock; sock != nil && sock.epoch == e.epoch {
				a.sock = nil
				a.workers.Go(sock.shut)
			}
		case doRefreshVersion:
			a.workers.Go(func() { a.inbox.post(inVersion{e.epoch, a.refreshVersion()}) })
		case doDrop:
			a.workers.Go(func() { a.inbox.post(inDropped{e.epoch, a.drop()}) })
		}
	}
}

func (a *attempt) emit(event Event) {
	a.settings.logger.DebugContext(a.life, "link event", "session", mask(a.settings.session), "kind", string(event.Kind()), "event", event)
	switch event.(type) {
	case Linked, Failed:
		a.end = event
	case Connecting, PairingCode, QRCode, Withdrawn, PasskeyRequired, PasskeyConfirmation, Paired, Retrying,
		Disconnected, Reconnected:
		a.linker.observe(event)
		a.push(event)
	}
}

// load takes the session's device from the store.
func (a *attempt) load(epoch int) {
	a.goodbye() // before two connections of one session throw each other out
	a.linker.evictions.Wait()
	if err := a.hold(); err != nil {
		a.inbox.post(inDevice{epoch: epoch, err: err})
		return
	}
	device, err := a.linker.store.Device(a.work, a.settings.session)
	if err != nil {
		a.inbox.post(inDevice{epoch: epoch, err: storeFailed("load session", a.settings.session, err)})
		return
	}
	a.loaded.mu.Lock()
	if epoch > a.loaded.epoch { // else a later attempt has overtaken this one
		a.loaded.epoch, a.loaded.device = epoch, device
	}
	a.loaded.mu.Unlock()
	a.inbox.post(inDevice{epoch: epoch, linked: device.ID != nil, account: deviceAccount(device)})
}

// connect makes a client for the loaded device and opens its socket.
func (a *attempt) connect(epoch int) {
	a.loaded.mu.Lock()
	device := a.loaded.device
	a.loaded.device = nil
	a.loaded.mu.Unlock()
	sock := &socket{
		epoch: epoch, inbox: a.inbox, phone: a.settings.phone,
		device: device, linked: device.ID != nil, account: deviceAccount(device),
		answering: make(chan struct{}, 1),
	}
	a.sock = sock
	sock.life, sock.cancel = context.WithCancel(a.life)
	limit := linkStoreLimit
	if sock.linked && !a.machine.paired {
		limit = resumeStoreLimit
	}
	sock.guard(limit)
	a.workers.Go(func() {
		a.newClient(sock)
		sock.connect(a.connectLost(epoch))
	})
}

// connectLost returns what turns the error of a connect into an input.
func (a *attempt) connectLost(epoch int) func(error) inLost {
	return func(err error) inLost {
		failure, tries := connectFailed(err, a.settings.proxy)
		return inLost{epoch, failure, tries}
	}
}

// newClient makes the whatsmeow client of a socket. All that whatsmeow has as
// process-wide variables is set here for this client alone.
func (a *attempt) newClient(sock *socket) {
	set := a.settings
	var conn *http.Client
	conn, sock.tracker = tracked(a.http, a.leased().holds)
	client := whatsmeow.NewClient(sock.device, &waLogger{
		ctx: a.life, log: set.logger, recv: sock.recv, send: sock.send,
		opened: sock.tracker.opened, gone: sock.tracker.tornDown,
	})
	client.SetPreLoginHTTPClient(conn)
	client.SetWebsocketHTTPClient(conn)
	if set.proxy != nil {
		client.SetMediaHTTPClient(&http.Client{Transport: a.http.Transport})
	}
	client.QRClientType = set.browser.clientType()
	linker := a.linker // and not a: the client outlives the attempt
	client.GetClientPayload = func() *waWa6.ClientPayload {
		return linker.payload(sock.device, set)
	}
	client.AddEventHandler(sock.handle)
	if set.onClient != nil {
		set.onClient(client)
	}
	if client.RefreshCAT == nil {
		// whatsmeow calls it for the failures 413 and 414, whether it is set or not.
		client.RefreshCAT = func(context.Context) error { return errNoCAT }
	}
	// The 515 is ours, and every reconnect until the login; under Supervise the 515 is
	// ours for good, since whatsmeow does nothing if the connect fails that follows it.
	sock.reconnects, client.EnableAutoReconnect = client.EnableAutoReconnect, false
	sock.manual, client.DisableLoginAutoReconnect = client.DisableLoginAutoReconnect || linker.watch() != nil, true
	client.PrePairCallback = sock.checkAccount(client.PrePairCallback)
	sock.setClient(client)
}

// refreshVersion asks WhatsApp for the current version of its web client.
func (a *attempt) refreshVersion() error {
	version, err := whatsmeow.GetLatestVersion(a.work, a.http)
	if err != nil {
		return fmt.Errorf("fetch the current version: %s", mask(firstRunes(err.Error(), 200)))
	}
	a.linker.version.Store(version)
	return nil
}

// drop deletes the stored session.
func (a *attempt) drop() *Error {
	return a.linker.deleteSession(a.work, "drop session")
}

// storeFailed is the error of a store. Sessions are often named by a number,
// and the store may name the session.
func storeFailed(op, session string, err error) *Error {
	if masked := mask(session); masked != session && strings.Contains(err.Error(), session) {
		err = &renamed{err, strings.ReplaceAll(err.Error(), session, masked)}
	}
	return &Error{Reason: ErrStore, Op: op, Err: err}
}

// renamed is an error with another text.
type renamed struct {
	error
	text string
}

func (r *renamed) Error() string { return r.text }
func (r *renamed) Unwrap() error { return r.error }

func firstRunes(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}

// payload is the client payload of this Linker: whatsmeow's own, with the
// device name, the browser and the refreshed version put in.
func (l *Linker) payload(device *wastore.Device, set *resolved) *waWa6.ClientPayload {
	payload := device.GetClientPayload()
	version := l.version.Load()
	if version != nil {
		payload.UserAgent.AppVersion = version.ProtoAppVersion()
	}
	if reg := payload.DevicePairingData; reg != nil {
		props := proto.CloneOf(wastore.DeviceProps)
		props.Os = &set.deviceName
		props.PlatformType = set.browser.platformType().Enum()
		if data, err := proto.Marshal(props); err == nil {
			reg.DeviceProps = data
		}
		if version != nil {
			hash := version.Hash()
			reg.BuildHash = hash[:]
		}
	}
	return payload
}

var errNoCAT = errors.New("there is no CAT to refresh")
