// Package walink links a program to a WhatsApp account as a companion device, by
// pairing code or by QR code, on top of whatsmeow.
//
// A program gives walink [Settings] and a Store, reads a channel of typed events,
// and ends with a connected whatsmeow client, or with a reason and what to do about
// it. walink does the linking and the first login; messages are sent and received
// with [go.mau.fi/whatsmeow.Client].
//
// # The smallest program
//
//	st, err := sqlite.Open(ctx, "walink.db") // github.com/walink/walink/store/sqlite
//	...
//	linker, err := walink.New(st, walink.Settings{})
//	...
//	events, err := linker.Link(ctx)
//	...
//	for event := range events {
//		switch e := event.(type) {
//		case walink.QRCode:
//			qr.Terminal(os.Stdout, e.Payload) // github.com/walink/walink/qr
//		case walink.Linked:
//			fmt.Println("linked", e.Account.Phone.International())
//		case walink.Failed:
//			return fmt.Errorf("%w: %s", e.Err, e.Err.Remedy())
//		}
//	}
//
// The zero Settings link session "default" by QR code to the account that scans the
// code. Run a second time, the program finds the session in walink.db and connects
// it: [Linked] has Resumed set, and there is no code. The package's Example is a whole
// program, and so are examples/terminal and examples/bot.
//
// # Pairing code
//
// A pairing code has eight characters and is good for one phone number. The person
// types it into the phone: Settings, Linked devices, Link a device, Link with phone
// number instead. A pairing code needs Settings.Phone and one of PreferPairingCode,
// [ModePairing] and [ModeBoth].
//
// The [PairingCode] comes once WhatsApp has confirmed the code, and never before. The code
// is good for 180 seconds, counted from before the request. Until then no other code
// replaces it, unless it was mistyped. When the code has expired, or the phone refuses it,
// a [Withdrawn] says so and the next code follows: after a minute or [Linker.Attend], if
// WhatsApp wants the person to ask for it. WhatsApp does not report a code that was
// mistyped. The person may type it again, three times in all; a minute after the last time
// the Withdrawn comes. WhatsApp also notifies the phone, unless DisablePush is set; always
// show the way through the menus, because the notification may not come.
//
// If too many codes are requested for a number, WhatsApp refuses more codes to that
// number for hours. So walink requests at most Settings.CodeBudget codes per number, 3 in 15
// minutes, also across restarts if the Store is a [store.Ledger], as store/sqlite is.
//
// If Settings.Phone is set, walink refuses every other account before anything is
// stored, also one that scans a QR code, and a fresh code follows. The two forms in
// which WhatsApp knows some numbers of Brazil, Mexico and Argentina are one account. walink
// asks for a code for the number as written; Withdrawn.Alternatives has the other form.
//
// # QR code
//
// Package [github.com/walink/walink/qr] draws the payload of a [QRCode] in a
// terminal, as PNG and as SVG. The person scans it in WhatsApp: Settings, Linked
// devices, Link a device.
//
// Each QRCode takes the place of the one before. The first one of a connection is
// good for 60 seconds and the others for 20; after 160 seconds a new connection
// brings new ones, until Settings.Timeout. A QRCode comes early if the one on the screen
// can no longer succeed.
//
// # What the phone may show
//
// Explain this where you show codes. A warning that names a place is about this program's
// server: go on if you asked for the link yourself. "Create a passkey": create one on the
// phone, and take the next code. "Try again later": wait some hours before another try.
//
// # Both, and falling back
//
//	LinkingMode  PreferPairingCode  QRFallback  what the person sees
//	auto         false              any         QR code
//	auto         true               false       pairing code, or Failed
//	auto         true               true        pairing code; QR code if no pairing code can be had
//	pairing      any                false       pairing code, or Failed
//	pairing      any                true        pairing code; QR code if no pairing code can be had
//	qr           false              any         QR code
//	qr           true               any         New returns an error: the two contradict each other
//	both         any                any         both; QR code alone if no pairing code can be had
//
// No pairing code can be had if WhatsApp refuses one, if the budget is used up, or if
// three requests in a row got no usable answer. walink then asks for no
// more codes in this Link. The reason is in QRCode.Fallback if QR codes take over, in
// a Withdrawn of [MethodPairing] if they were shown all along, and otherwise in
// Failed. While a request is not answered for more than 5 s, a QR code is shown as well.
// [ParseSettings] reads Settings from JSON.
//
// # The events, and their order
//
//	Connecting  PairingCode  Paired  Linked           by pairing code
//	Connecting  QRCode ...  Paired  Linked            by QR code
//	Connecting  Linked                                a stored session
//	... Withdrawn  Connecting ...                     the code has expired
//	... Withdrawn  PairingCode ...                    the phone refused the code
//	... Withdrawn  Retrying  Connecting ...           a failure that another attempt may cure
//	... Failed                                        at any moment
//
//	event                kind                  meaning
//	Connecting           connecting            a connection is being opened for linking or logging in
//	PairingCode          pairing_code          the code to enter now
//	QRCode               qr_code               the QR code to show now
//	Withdrawn            withdrawn             a code is no longer good (expired, refused, replaced, stalled)
//	PasskeyRequired      passkey_required      the account wants a passkey; nothing else is shown
//	PasskeyConfirmation  passkey_confirmation  the code that the phone shows too
//	Paired               paired                the phone has accepted and the device is stored; the login follows
//	Retrying             retrying              a failure, and the time of the next attempt
//	Linked               linked                logged in, and Linker.Client is usable; the last event
//	Failed               failed                the reason and the remedy; the last event
//	Disconnected         disconnected          Supervise: a linked session has lost its connection
//	Reconnected          reconnected           Supervise: the connection is back, on the same client
//	Standby              standby               Supervise: another program has the session
//
// Times are absolute. The last event is exactly one Linked or Failed, and then the channel
// closes. Minor releases may add events: keep a default case, or no case at all.
//
// Give [Publish] of an event to the person at the phone, and [Redact] of it to logs and
// webhooks. [MarshalEvent] writes an event as JSON. [Linker.Status] is what the events so
// far say, for a page that is opened late. An event that is printed, logged or given to
// json.Marshal has no secrets.
//
// # Errors
//
// Every error of this package is an *[Error] with a [Reason], a remedy for the
// person, and RetryAfter if the time to wait is known. errors.Is(err,
// walink.ErrRateLimited) finds the Reason, also that of the last failure before an
// [ErrTimeout] or [ErrCanceled]. An error holds no code, payload or key, and of a
// phone number at most the country code and the last two digits.
//
//	error                 when, and what walink does by itself      what to do
//	ErrInvalidSettings    from New, ParseSettings: every fault      correct what it names
//	ErrInvalidPhone       from the same, and from ParsePhone        write the country code
//	ErrInProgress         a Link or Supervise is running            wait, or end its context
//	ErrClosed             Close was called                          make a new Linker
//	ErrNetwork            WhatsApp is out of reach: retried         check the network
//	ErrProxy              the proxy fails: retried, never bypassed  check the proxy
//	ErrTimeout            Timeout or the context's deadline passed  see the error inside, try again
//	ErrCanceled           the context was canceled                  nothing
//	ErrCodeRefused        no code for this number: falls back;      check the number, or use QR;
//	                      the phone refused one: another follows    enter the new code
//	ErrRateLimited        429, or the budget: falls back            wait for RetryAfter, or use QR
//	ErrForbidden          401, 403, 452 before linking: falls       look on the phone, or use QR
//	                      back, or is retried
//	ErrServer             trouble at WhatsApp: retried              wait some minutes
//	ErrStalled            an answer did not come, or the code was   phone unlocked, online, app open;
//	                      mistyped: retried                         enter the new code
//	ErrPairing            an answer did not verify: retried with    update WhatsApp on the phone
//	                      fresh keys, three times; three scans in   wait some hours
//	                      a row came to nothing: retried once
//	ErrWrongAccount       another account linked: a fresh code;     use the right phone;
//	                      the stored session is another's: fails    unlink, or another Session
//	ErrPasskey            the passkey was not answered, or three    see Passkeys
//	                      answers were refused: retried
//	ErrClientOutdated     405: the version is fetched, once         update walink
//	ErrLoggedOut          the stored session has ended: dropped,    link again, if that fails
//	                      and linked afresh; Unlink: none stored
//	ErrNotTold            Unlink: WhatsApp refuses the login, so    look at Linked devices
//	                      the session is deleted here only
//	ErrRemoved            the same within Probation: retried once   look at Linked devices
//	ErrBanned             the account is banned                     see WhatsApp on the phone
//	ErrTemporarilyBanned  the account is banned for RetryAfter      wait
//	ErrReplaced           another connection has the session        stop the other program
//	ErrMultideviceOff     the phone knows no multi-device: retried  update its WhatsApp
//	ErrStore              the store failed                          check file, disk, database
//	ErrSessionBusy        another Linker or program has the session stop it, or wait for RetryAfter
//
// Most retries wait 1 to 30 seconds. Retries after ErrNetwork, ErrProxy, ErrStalled,
// ErrWrongAccount and a 5xx go on until Settings.Timeout; then the error is ErrTimeout
// with the last failure inside. The others end after a few. After Paired the login has
// 30 s in all, and then the error is ErrStalled.
//
// # Passkeys
//
// An account may want a passkey before it links a device. [PasskeyRequired] then
// takes everything off the screen, and walink keeps the connection while a person
// with the passkey answers the Challenge: a WebAuthn request for whatsapp.com, which
// only a page of that domain may put to an authenticator. [Linker.AnswerPasskey]
// takes the answer, the JSON of PublicKeyCredential.toJSON(). Package
// [github.com/walink/walink/passkey] gets it from the person's browser, by a small
// extension or by a snippet for the browser's console. A program that has an
// authenticator itself sets Settings.Passkey.
//
// [PasskeyConfirmation] then carries a code that the phone shows too. If it is
// Automatic, walink confirms by itself: the answer came within five minutes, which
// proves that the person at the phone and the person here are the same. Otherwise
// show the code, let the person compare, and call [Linker.ConfirmPasskey].
//
// The challenge is good for ten minutes, extends the default Timeout, and may be
// answered three times. A ceremony that fails ends the
// attempt with [ErrPasskey] or [ErrStalled], and a fresh attempt with a fresh code
// follows, unless WhatsApp wants a wait ([ErrRateLimited]).
//
// # When linking does not work
//
// Package [github.com/walink/walink/doctor] examines settings, store, clock, network
// and session, and names the first thing that is wrong, and its remedy. The flag -doctor
// of examples/terminal runs it.
//
// # Storage, and its danger
//
// A [github.com/walink/walink/store.Store] keeps a whatsmeow device under a session
// name. One Store holds many sessions. Package
// [github.com/walink/walink/store/sqlite] is the default: one file, without cgo
// or a server; it also adopts the devices of another whatsmeow program.
// [github.com/walink/walink/store/transfer] moves sessions from one Store to another,
// and [github.com/walink/walink/store/storetest] proves a Store that you write.
//
// A Store holds the keys of the account's companion device. A person who can read
// the file, or a copy, can read and write as that account, from anywhere, until the
// device is removed on the phone. The file has the mode 0600 and is not encrypted. Keep
// it out of repositories, images, shared folders and open backups.
//
// Until walink has verified WhatsApp's pair-success, the times of code requests are all
// that is stored.
//
// If the Store is a [store.Leaser], as store/sqlite is, one Linker at a time has a
// session, in this process or another. No code is shown, and no session logs in,
// before the lease is taken. If another program has the session, Link and Unlink end with
// [ErrSessionBusy], which names that program, and [Linker.Supervise] waits. If the leases
// cannot be renewed for 9.75 s, the connections end. With a Store without leases, run one
// process for a session at a time: two throw each other out ([ErrReplaced]).
//
// # The client, and OnClient
//
// Every attempt has its own client, and Settings.OnClient gets each client before it
// connects. Call AddEventHandler there: handlers that are added after Linked miss the
// history and the messages that come with the login. Keep the latest client; earlier
// clients are shut down.
//
// OnClient must return soon, and must not call Close or Unlink, which wait for it. It
// must not change what walink sets: the HTTP clients and the proxy, GetClientPayload,
// QRClientType and DisableLoginAutoReconnect. walink calls a PrePairCallback after its
// own check, and applies EnableAutoReconnect from the login on.
//
// # After Linked
//
// After Link, [Linker.Client] returns the client, connected and logged in. From then on
// it reconnects by itself and sends its own events, until one of these ends it. Then
// Linker.Status says why, and the lease is released: call [Linker.Link] again, outside
// of the handler.
//
//   - The person removes the device on the phone: events.LoggedOut, and the session is
//     deleted ([ErrLoggedOut]).
//   - Another program connects: events.StreamReplaced ([ErrReplaced]).
//   - WhatsApp refuses the next login: events.ConnectFailure, or no event.
//   - WhatsApp ends the stream with 413 or 414: events.CATRefreshError ([ErrServer]).
//   - The lease cannot be renewed, for example without the database: no event ([ErrStore]).
//
// whatsmeow may send no event if the connection ends at the same moment as one of these.
//
// [Linker.Supervise] does this for a program that runs for months. It reports
// [Disconnected] and [Reconnected], connects anew if whatsmeow does not, and links
// again after the person has removed the device. With nobody there it offers codes ever
// more rarely; call [Linker.Attend] when somebody is. Settings.ResumeOnly keeps a job
// from asking anybody for a code. Fetch [Linker.Client] after each Linked, or use
// OnClient.
//
// # Shutting down
//
// End the context of Link, or call [Linker.Close]. A running Link then ends with
// Failed, with [ErrCanceled], [ErrTimeout] or [ErrClosed], and its channel closes.
// After Linked the context no longer matters, and Close disconnects. The stored session
// stays. Close the Store after its Linkers. The channel may be left unread.
//
// # Testing
//
// Package [github.com/walink/walink/walinktest] is a WhatsApp server and a phone in
// the process. whatsmeow's real client talks to it over its real protocol, without a
// phone, an account or a network:
//
//	srv := walinktest.NewServer(t)
//	phone := srv.NewPhone("+5511987654321")
//	linker, err := walink.New(st, walink.Settings{HTTPClient: srv.HTTPClient()})
//	...
//	err := phone.ScanQR(t.Context(), e.Payload) // nil, or what a person would read
//
// Inside testing/synctest minutes take milliseconds. The process then trusts the fake's
// certificates, and never again those of WhatsApp: use walinktest in tests only.
//
// # Limits
//
//   - WhatsApp has no public interface for this. It changes without notice, and it may
//     ban accounts that use unofficial clients.
//   - All tests run against walinktest, which knows WhatsApp from whatsmeow's source and
//     from public reports.
//   - Settings.HTTPClient is not used for media; Settings.Proxy is.
//   - libsignal prints some errors on the standard output, unless the program calls
//     Setup of go.mau.fi/libsignal/logger before the first client is made.
//   - walink is under the MIT licence, whatsmeow under MPL-2.0, and libsignal under
//     GPL-3.0; the README says what that means for a binary that is handed out.
package walink
