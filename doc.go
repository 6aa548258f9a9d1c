// Package walink links a program to a WhatsApp account as a companion device,
// by pairing code or by QR code, on top of whatsmeow.
//
// A program gives it [Settings] and a Store, reads a channel of typed events,
// and ends with a connected client of whatsmeow's, or with a reason and what to
// do about it. walink does the linking and the first login, and then it is out
// of the way: messages are sent and received with
// [go.mau.fi/whatsmeow.Client].
//
// # The smallest program
//
//	st, err := sqlite.Open(ctx, "walink.db") // github.com/walink/walink/store/sqlite
//	if err != nil {
//		return err
//	}
//	defer st.Close()
//	linker, err := walink.New(st, walink.Settings{})
//	if err != nil {
//		return err
//	}
//	defer linker.Close()
//	events, err := linker.Link(ctx)
//	if err != nil {
//		return err
//	}
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
// The zero Settings link session "default" by QR code, whichever account scans
// it. Run a second time, the program finds the session in walink.db and
// connects it: there is a [Linked] with Resumed set, and no code. The package's
// Example is the same program with a pairing code; examples/terminal and
// examples/bot are complete ones.
//
// # Pairing code
//
// A pairing code is eight characters, good for one phone number, that the
// person types into the phone: Settings, Linked devices, Link a device, Link
// with phone number instead. It needs Settings.Phone and one of
// PreferPairingCode, [ModePairing] and [ModeBoth].
//
//	case walink.PairingCode:
//		fmt.Println("enter", e.Code, "on", e.Phone.International(), "until", e.Expires.Format("15:04"))
//
// The event comes once WhatsApp has confirmed the code, and not before. The
// code is good for 180 seconds, counted from before it was asked for, and is not
// replaced while it is good. When it has expired, a [Withdrawn] says so and the
// next one follows on a new connection. When the phone refuses it, most often
// because it was mistyped, a Withdrawn says so and the next one follows at once.
// Unless DisablePush is set, WhatsApp is asked to notify the phone as well; always
// show the way through the menus too, since the notification may not come.
//
// WhatsApp refuses further codes for hours to a number that has asked for a few
// too many. Settings.CodeBudget, 3 in 15 minutes, is counted per number before
// WhatsApp is asked, across restarts where the Store is a
// [github.com/walink/walink/store.Ledger], which store/sqlite is.
//
// With Settings.Phone set, an account with another number is refused before
// anything is stored, also when it scans a QR code, and a fresh code follows.
// The two forms in which WhatsApp knows some numbers of Brazil, Mexico and
// Argentina are one account; see [Phone.SameAccount]. walink asks for a code for
// the number as it was written, and never for its other form: where that may be
// the mend, Withdrawn.Alternatives has it.
//
// # QR code
//
// Package [github.com/walink/walink/qr] draws the payload of a [QRCode] in a
// terminal, as PNG and as SVG. The payload is for scanning in WhatsApp: Settings,
// Linked devices, Link a device.
//
// Each QRCode event takes the place of the one before: show it, and nothing
// older. The first one of a connection is good for 60 seconds and the others
// for 20; after 160 seconds a new connection brings new ones, until
// Settings.Timeout. An event may come early and with the same Expires, because
// the secret inside has changed and the code on the screen can no longer
// succeed. That happens when WhatsApp retires the secret, and also while a
// pairing code is being entered, since both methods share it.
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
//	both         any                any         both; if no pairing code can be had, QR code alone
//
// No code can be had when WhatsApp refuses to make one, when the budget is used
// up, and when three requests in a row got no usable answer. After that no more
// are asked for in this Link. The reason is in QRCode.Fallback where QR codes
// take over, in a Withdrawn of [MethodPairing] where they were shown all along,
// and otherwise in Failed.
//
// [ParseSettings] reads Settings from JSON, and proposes the nearest known key
// for a misspelt one.
//
// # How the events follow each other
//
//	Connecting  PairingCode  Paired  Linked           by pairing code
//	Connecting  QRCode ...  Paired  Linked            by QR code
//	Connecting  Linked                                a stored session
//	... Withdrawn  Connecting ...                     what was shown has expired
//	... Withdrawn  PairingCode ...                    the phone refused the code
//	... Withdrawn  Retrying  Connecting ...           something failed that may be cured
//	... Failed                                        at any moment
//
// A code stays on the screen until the next event of its method, a Withdrawn
// for it, or [PasskeyRequired], [Paired], [Linked] or [Failed], which take
// everything off. There is one Withdrawn for each code that was on the screen,
// so in ModeBoth there may be two, and both may carry the same *[Error] as the
// [Retrying] or Failed that follows: tell the person once.
//
// Times in events are absolute. The last event is exactly one Linked or Failed,
// and then the channel closes. Minor releases may add events: keep a default
// case, or no case at all.
//
//	event                kind                  what it tells
//	Connecting           connecting            a connection is being opened for linking or logging in
//	PairingCode          pairing_code          the code to enter now
//	QRCode               qr_code               the QR code to show now
//	Withdrawn            withdrawn             a code is no longer good (expired, refused, replaced, stalled)
//	PasskeyRequired      passkey_required      the account wants a passkey; nothing else is shown
//	PasskeyConfirmation  passkey_confirmation  the code that the phone shows too
//	Paired               paired                the phone has accepted and the device is stored; the login follows
//	Retrying             retrying              something failed, and when the next attempt starts
//	Linked               linked                logged in, and Linker.Client is usable; the last event
//	Failed               failed                the reason and the remedy; the last event
//	Disconnected         disconnected          Supervise: a linked session has lost its connection
//	Reconnected          reconnected           Supervise: the connection is back, on the same client
//
// Not every new connection is announced: the one that WhatsApp asks for between
// Paired and Linked is part of the same attempt.
//
// [MarshalEvent] gives an event as JSON for a web page or a webhook, with its
// kind beside its fields. A program that polls asks [Linker.Status] instead,
// which holds what is on the screen now. Both carry codes and payloads in full,
// and these are secrets while they live. An event that is printed with fmt or
// logged with slog shows none of them; do not log a Status.
//
// # Errors
//
// Every error of the Linker, New, ParseSettings and ParsePhone is an *[Error]
// with a [Reason]. errors.Is(err, walink.ErrRateLimited) finds the Reason, also
// that of the last failure before an [ErrTimeout] or [ErrCanceled].
// [Error.Remedy] is one sentence for the person, and RetryAfter says how long to wait where that is known. An
// error holds no code, payload or key, and of a phone number at most the
// country code and the last two digits.
//
//	error                 when, and what walink does by itself      what to do
//	ErrInvalidSettings    from New, ParseSettings: every fault      correct what it names
//	ErrInvalidPhone       inside that, and from ParsePhone          write the country code
//	ErrInProgress         a Link or Supervise is running            wait, or end its context
//	ErrClosed             Close was called                          make a new Linker
//	ErrNetwork            WhatsApp is out of reach: retried         check the network
//	ErrProxy              the proxy is: retried, never gone round   check the proxy
//	ErrTimeout            Timeout or the context's deadline passed  see the error inside, try again
//	ErrCanceled           the context was canceled                  nothing
//	ErrCodeRefused        no code for this number: falls back;      check the number,
//	                      the phone refused one: another follows    or use QR
//	ErrRateLimited        429, or the budget: falls back            wait for RetryAfter, or use QR
//	ErrForbidden          401, 403 before linking: falls back, or   look on the phone, or use QR
//	                      is retried
//	ErrServer             WhatsApp's own trouble: retried           wait some minutes
//	ErrStalled            an answer did not come: retried           phone unlocked, online, app open
//	ErrPairing            an answer did not verify: retried with    update WhatsApp on the phone
//	                      fresh keys, three times
//	ErrWrongAccount       another account linked: a fresh code;     use the right phone;
//	                      the stored session is another's: fails    unlink, or another Session
//	ErrPasskey            the passkey was not answered, or three    see Passkeys
//	                      answers were refused: retried
//	ErrClientOutdated     405: the version is fetched, once         update walink
//	ErrLoggedOut          the stored session has ended: dropped,    link again, where it fails
//	                      and linked afresh; Unlink: none stored
//	ErrRemoved            as that, within Settings.Probation; once  look at Linked devices
//	ErrBanned             the account is banned                     see WhatsApp on the phone
//	ErrTemporarilyBanned  for RetryAfter                            wait
//	ErrReplaced           another connection has the session        stop the other program
//	ErrMultideviceOff     the phone knows no multi-device: retried  update its WhatsApp
//	ErrStore              the store failed                          check file, disk, database
//	ErrSessionBusy        another Linker or program has the session  stop it, or wait for RetryAfter
//
// Most retries wait 1 to 30 seconds. Those after ErrNetwork, ErrProxy,
// ErrStalled, ErrWrongAccount and a 5xx go on until Settings.Timeout; then the
// error is ErrTimeout with the last failure inside it, and the remedy is that
// failure's. The others end after a few, code requests after three in a row. Once
// Paired was sent, the login has 30 s in all, and then the error is ErrStalled.
// Falling back means what the table of linking modes says.
//
// # Passkeys
//
// An account may want a passkey before it links a device. [PasskeyRequired]
// then takes everything off the screen, and the connection is held while
// somebody with the passkey answers the Challenge: a WebAuthn request for
// whatsapp.com, which only a page of that domain may put to an authenticator.
// [Linker.AnswerPasskey] takes the answer, the JSON of
// PublicKeyCredential.toJSON(), and says at once where it cannot be right: it
// is for another challenge, from another page, or lacks a part.
//
// [PasskeyConfirmation] then carries a code that the phone shows too. When it is
// Automatic, the answer came within five minutes and has proved that the person
// at the phone and the one here are the same: walink has confirmed by itself.
// Otherwise show the code, let the person compare, and call
// [Linker.ConfirmPasskey]. Settings.ComparePasskeyCode asks for that in any case.
//
// A program that has an authenticator sets Settings.Passkey, which does all that
// by itself. Package [github.com/walink/walink/passkey] gets the answer from the
// person's browser, by a small extension or by a snippet for its console.
//
// After an answer that is refused, by walink or by WhatsApp, the challenge stands
// and another answer is taken; Settings.Passkey is asked for one. The third that
// WhatsApp refuses, or that Settings.Passkey should not have given, ends the
// attempt with [ErrPasskey].
//
// Nothing waits for ever: the challenge is good for ten minutes, WhatsApp has 30 s
// for each answer and the phone 60 s for its part. What comes too late ends the
// attempt with [ErrPasskey] or [ErrStalled]. A fresh attempt with a fresh code
// follows, except where WhatsApp wants a wait ([ErrRateLimited]). The default Timeout is extended for a challenge; one
// that the program has set is not.
//
// # When linking does not work
//
// [Diagnose] examines the settings, the number, the store, the clock, the way to
// WhatsApp step by step, the version, the code budget and who uses the session, and
// names the first thing that is wrong and its remedy. Its [Report] holds no secret,
// so it can be pasted into an issue. examples/terminal has it as -doctor, which
// reports also where the settings cannot be read or the database cannot be opened,
// and changes nothing.
//
// # Storage, and its danger
//
// A [github.com/walink/walink/store.Store] keeps a whatsmeow device under a
// session name. One Store holds many sessions, and each Linker has one of
// them. Package [github.com/walink/walink/store/sqlite] is the default: one
// file, without cgo and without a server; it also adopts the devices of
// another whatsmeow program's SQLite database, so that people need not link
// again. An own Store is proved by package
// [github.com/walink/walink/store/storetest]. Package
// [github.com/walink/walink/store/transfer] takes sessions from one Store to
// another.
//
// What is stored are the keys of the account's companion device. Whoever can
// read the file, or a copy of it, can read and write as that account, from
// anywhere, until the device is removed on the phone. The file has the mode
// 0600, which an existing one gets too, and is not encrypted. Keep it out of
// repositories, images, shared folders and open backups.
//
// No key and no session is stored before WhatsApp's pair-success has been
// verified; then device and session name are stored in one transaction. When a
// pairing code was asked for is kept before that, with the number, for a day.
//
// A Store that is a [store.Leaser], as store/sqlite is, lends a session to one
// Linker at a time, in this process or another one, from before its socket opens
// until after it is closed. Link and Unlink on a session that another has end
// with [ErrSessionBusy], which names the holder; [Linker.Supervise] stands by for
// it. A lease is for 24 s and is renewed every 8. Where that fails, the
// connection is given up 5 s before the lease can pass to another; a process
// that was stopped for longer neither reads nor writes on the old connection
// when it wakes up. With a Store that lends nothing, run one process for a
// session at a time: two throw each other out ([ErrReplaced]).
//
// # The client, and OnClient
//
// Every attempt has a client of its own, and Settings.OnClient gets each one
// before it connects. That is the place for AddEventHandler: handlers added
// after Linked miss the history and the messages that come with the login.
// Remember the latest client; the ones before are gone.
//
// OnClient returns soon, and does not call Close or Unlink, which wait for it.
// It leaves alone what walink sets itself: the HTTP clients and the proxy (use
// Settings.Proxy or HTTPClient), GetClientPayload, QRClientType and
// DisableLoginAutoReconnect. A PrePairCallback that it sets is asked after
// walink's own check, and its EnableAutoReconnect counts from the login on. None
// of whatsmeow's process-wide variables is changed.
//
// # Living on
//
// [Linker.Supervise] is Link for programs that run for months. It tells
// [Disconnected] and [Reconnected], connects anew where whatsmeow does not, and
// links again when the person has removed the device on the phone: a new code is
// on the screen seconds later. It ends with a ban, when another program has the
// session, and with its context. Fetch [Linker.Client] after each Linked, or use
// OnClient, since every Link has a client of its own.
//
// # After Linked
//
// After a Link, and without Supervise, [Linker.Client] returns the client,
// connected and logged in, and it is whatsmeow's from then on: it reconnects by
// itself, and tells its own handlers what happens. The Linker no longer looks:
// its Status stays linked.
//
//   - When the person removes the device on the phone, whatsmeow deletes the
//     session and sends events.LoggedOut. Call [Linker.Link] again to link anew,
//     outside of the handler; OnClient gets another client. The first event may be
//     a Retrying, if whatsmeow has not deleted the session yet.
//   - When another program connects with the same session, whatsmeow sends
//     events.StreamReplaced and stays disconnected.
//   - Link on a session that is still connected sends Linked at once, with
//     Resumed set, and keeps the client.
//   - [Linker.Unlink] logs out at WhatsApp and forgets the session.
//
// With Settings.Probation, Linked is held back after a new link until the
// session has lived that long, because WhatsApp removes some devices seconds
// after they were linked. A removal meanwhile is [ErrRemoved]; one fresh attempt
// follows. Settings.Timeout does not cut a probation short.
//
// # Shutting down
//
// End the context of Link, or call [Linker.Close]. A running Link then ends with
// Failed, with [ErrCanceled], [ErrTimeout] or [ErrClosed], and its channel
// closes. After Linked the context no longer matters: Close disconnects. Close
// returns when everything is put away; a pairing that is being stored at this
// moment gets up to five seconds to end one way or the other. The stored
// session stays. Close the Store after its Linkers.
//
// The channel may be left unread: 48 events wait in it and the rest in memory,
// nothing blocks the connection, and the Link ends all the same. Only if more
// than 48 are unread at the end does one goroutine wait for the reader, so
// read to the end where a Link runs for hours. Stopping to read after
// Linked or Failed is always fine, since they are the last.
//
// # Testing
//
// Package [github.com/walink/walink/walinktest] is a WhatsApp server and a phone
// in the process. whatsmeow's real client talks to it over its real protocol,
// without a phone, an account or a network:
//
//	srv := walinktest.NewServer(t)
//	phone := srv.NewPhone("+5511987654321")
//	linker, err := walink.New(st, walink.Settings{HTTPClient: srv.HTTPClient()})
//	...
//	case walink.QRCode:
//		err := phone.ScanQR(t.Context(), e.Payload) // nil, or what a person would read
//
// Inside testing/synctest, with sqlite.Open(ctx, ":memory:"), minutes take
// milliseconds. The process then trusts the fake's certificates for good, and
// no longer the real WhatsApp's: use it in tests and demonstrations only.
//
// # Limits
//
//   - WhatsApp has no public interface for this. It changes without notice, and
//     it may ban accounts that use unofficial clients.
//   - walink needs the whatsmeow version that its go.mod names; see the README.
//   - All tests run against walinktest, and what that knows of WhatsApp comes
//     from whatsmeow's source and from public reports.
//   - A session is locked against a second process by the Store, if it can.
//   - Where WhatsApp knows a number in two forms, the person chooses.
//   - Settings.HTTPClient is not used for media; Settings.Proxy is.
//   - libsignal, which whatsmeow is built on, prints errors of its own on the
//     standard output. A program that needs that for itself calls Setup of
//     go.mau.fi/libsignal/logger before the first client is made.
//
// # Licences
//
// walink is under the MIT licence. It imports whatsmeow, which is under MPL-2.0
// and imports go.mau.fi/libsignal, which is under GPL-3.0. A program that is
// built with walink has all three in it; the README says what that means for
// a binary that is handed out.
package walink
