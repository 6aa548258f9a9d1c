// Package walinktest is a WhatsApp server and a phone inside the process, for
// testing programs that link WhatsApp devices. The first server of a process
// replaces whatsmeow.WACertPubKey, the root of trust for WhatsApp's own
// servers, and it is never put back: such a process can no longer talk to the
// real WhatsApp. Use the package in tests, demonstrations and benchmarks only.
//
// The server speaks WhatsApp's own protocol, so that whatsmeow's unmodified
// client links against it, by pairing code and by QR code, and logs in:
//
//	srv := walinktest.NewServer(t)
//	client.SetPreLoginHTTPClient(srv.HTTPClient())
//	client.SetWebsocketHTTPClient(srv.HTTPClient())
//	phone := srv.NewPhone("+5511987654321")
//	// client.Connect, then client.PairPhone
//	err := phone.EnterCode(ctx, code)
//
// What [Phone.EnterCode] and [Phone.ScanQR] return is what the phone would
// say: nil once the companion is linked, otherwise a [Refusal] whose text is
// the sentence on the phone's screen.
//
// # Where it runs
//
// [NewServer] serves over net.Pipe, needs no network and works inside a
// testing/synctest bubble: everything it starts is started in the bubble and
// has ended when Close returns. Bubbles in parallel tests each have a server of
// their own; all servers of a process share one root key.
//
// [Start] does the same without a testing.TB. [Server.Listen] opens a server on
// a loopback address besides, as plain HTTP with the websocket on /ws/chat.
// A client in another process dials that address instead of
// web.whatsapp.com and trusts [Server.RootKey]; in Go [RemoteClient] does both.
//
// # What the server does
//
// A companion that registers gets six refs, the first good for 60 seconds, the
// others for 20 seconds more each. A pairing code is good for 180 seconds from
// its companion_hello; a newer hello from the same socket, or for the same
// number, takes its place, since a real server knows nothing but the number.
// The socket is closed 180 seconds after the refs were sent, later only while a
// code is still good or a phone is in the middle of pairing. After a wrong code
// the companion is told with stage="refresh_code" and the code is spent.
//
// pair-success carries a real signature and HMAC, and pair-device-sign is
// verified before the phone is told that the link stands. Then comes the
// stream error 515; the server waits three seconds for the client to close.
// Whenever the server ends a connection it lets a tenth of a second
// pass first, because whatsmeow has data races where a peer closes before its
// first node or straight after a 515. [Server.Restart] and [Server.Close] do
// not wait.
//
// No server learns the ADV secret of a QR code. [Server.RefreshRegistration],
// which has the companions replace theirs, therefore takes the payloads that
// were on the screens, so that phones refuse them as withdrawn. The QR code of
// a secret that was replaced without the server's knowledge is found out by the
// companion itself, which ends its connection.
//
// # Passkeys
//
// [WithPasskey] gives a phone's account a WebAuthn credential for whatsapp.com.
// After the scan, or after companion_finish, its companions then get a challenge
// instead of pair-success (the notification passkey_prologue_request), and
// [Phone.ScanQR] and [Phone.EnterCode] go on waiting. The companion answers with
// an assertion, its ephemeral identity and a commitment to a nonce; gets the
// phone's ephemeral identity (crsc_continuation); reveals the nonce; and sends
// its keys and a new ADV secret, encrypted. Then comes pair-success as always.
//
// The challenge is good for 10 minutes; the socket is held open a minute longer,
// so that a late answer is refused and not lost. A hand-off proof, made with the
// ADV secret that the phone has from the QR code or the pairing code, is good for
// 5 minutes after the challenge, and spares the person the comparison of codes.
// Without it, or with [WithCodeCheck], the phone asks and takes the companion's
// keys only when it was told that the codes are the same:
//
//	phone := srv.NewPhone("+5511987654321", walinktest.WithPasskey())
//	go func() { said <- phone.ScanQR(ctx, payload) }()
//	// events.PairPasskeyRequest, with the challenge
//	assertion, err := phone.Assert(challenge)
//	// client.SendPasskeyResponse, then events.PairPasskeyConfirmation with a code
//	code, err := phone.PasskeyCode(ctx)
//	err = phone.ConfirmPasskey(ctx)
//
// [Phone.Assert] stands for a browser on a page of https://web.whatsapp.com, and
// makes wrong answers on request; [Phone.Passkey] is for putting the credential
// into a real browser. The server verifies assertions as a relying party does,
// user verification included, and signature counts not. What it refuses leaves
// the challenge as it was, and the phone waiting; [Phone.PasskeyRefusals] has the
// reasons. It checks in the phone's stead too what the phone alone could at
// WhatsApp: the nonce, and what is encrypted. The error codes are this package's own.
//
// # Trouble
//
// [Server.Script] queues an [Action] for a [Stage]: refuse it, delay it, never
// answer, drop the socket, send a failure or a stream error, spoil a signature,
// say it twice or out of order.
// Each action is used up by one occurrence of its stage:
//
//	srv.Script(walinktest.StageCompanionHello, walinktest.Refuse(500), walinktest.RateLimit(time.Hour).Always())
//	srv.Script(walinktest.StageLogin, walinktest.Pass(), walinktest.Failure(503))
//
// # whatsmeow's own races
//
// A test that ends with whatsmeow in the middle of a conversation meets two
// faults of whatsmeow. Its reader stays behind for ever when a frame arrives
// while it disconnects, which a bubble reports as a deadlock: let a moment pass
// before Client.Disconnect. And libsignal's global logger is made at first use,
// without a lock: make the server before the first client.
//
// # Limits
//
// There are no chats, groups, media, app state or history; IQs about them are
// answered with error 501.
package walinktest
