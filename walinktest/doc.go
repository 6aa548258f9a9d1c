// Package walinktest is a WhatsApp server and a phone inside the process, for
// testing programs that link WhatsApp devices. The first server of a process
// replaces whatsmeow.WACertPubKey, the root of trust for WhatsApp's own
// servers, and nothing ever restores it: such a process can no longer talk to the
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
// [Phone.EnterCode] and [Phone.ScanQR] return what a phone would say: nil once the
// companion is linked, otherwise a [Refusal] whose text is the sentence on the
// phone's screen.
//
// # Where it runs
//
// [NewServer] serves over net.Pipe, needs no network and works inside a
// testing/synctest bubble: the server starts all its goroutines in the bubble, and
// they have ended when Close returns. Give each parallel test its own server. All
// servers of a process share one root key.
//
// [Start] does the same without a [TB]. [Server.Listen] also opens a server on a loopback
// address, as plain HTTP with the websocket on /ws/chat, with the latency of a network if
// wanted. A client in another process dials that address instead of web.whatsapp.com and
// trusts [Server.RootKey]; in Go [RemoteClient] does both. Clients that keep the server's
// static key resume with it: the server takes Noise IK, and goes on by XXfallback if the
// key is another server's.
//
// # What the server does
//
// A companion that registers gets six refs. The first is good for 60 seconds, each
// of the others for 20 seconds more. A pairing code is good for 180 seconds from
// its companion_hello. A newer hello from the same socket, or for the same number,
// replaces the code, since a real server knows nothing but the number. The server
// closes the socket 180 seconds after it has sent the refs. While a code is still
// good, or a phone is pairing, it closes the socket later.
//
// After a wrong code the phone says [ErrWrongCode], and the person may type again. The
// companion hears nothing of that: the server has taken its key bundle, and then sends no
// pair-success. The third primary_hello spends the code, whatever becomes of it. The
// notification with stage="refresh_code" comes only from [Server.RefreshCodes] and
// [RefreshCode].
//
// A client has to acknowledge each notification within 5 minutes. Otherwise the server ends
// the stream with an error that names the notification.
//
// pair-success carries a real signature and HMAC, those of a hosted account with
// [WithHosted]. Each link gets a new key index, which is no device number. The server verifies
// pair-device-sign before the phone says that the companion is linked. Then it sends
// the stream error 515, and waits three seconds for the client to close.
//
// The server waits a tenth of a second before it ends a connection, except in
// [Server.Restart] and [Server.Close]: whatsmeow has data races when a peer closes
// before its first node or directly after a 515.
//
// No server learns the ADV secret of a QR code. [Server.RefreshRegistration], which
// makes the companions replace their secrets, therefore takes the payloads that were
// on their screens, so that phones refuse these as withdrawn. If the companion has
// replaced a secret without the server's knowledge and a phone scans the old QR
// code, the companion notices, and ends its connection.
//
// # Passkeys
//
// [WithPasskey] gives a phone's account a WebAuthn credential for whatsapp.com.
// After the scan, or after companion_finish, its companions then get a challenge
// instead of pair-success, and [Phone.ScanQR] and [Phone.EnterCode] go on waiting:
//
//  1. The server sends the challenge (the notification passkey_prologue_request).
//  2. The companion answers with an assertion, its ephemeral identity and a
//     commitment to a nonce.
//  3. The server sends the phone's ephemeral identity (crsc_continuation).
//  4. The companion reveals the nonce, and sends its keys and a new ADV secret,
//     encrypted.
//  5. The server sends pair-success, as always.
//
// The challenge is good for 10 minutes. The server keeps the socket open a minute
// longer, so that it can refuse a late answer. A companion can add a hand-off proof,
// made with the ADV secret that the phone has from the QR code or the pairing code.
// The proof is good for 5 minutes after the challenge, and spares the person the
// comparison of codes. Without a proof, or with [WithCodeCheck], the phone asks the
// person, and takes the companion's keys only after [Phone.ConfirmPasskey]:
//
//	phone := srv.NewPhone("+5511987654321", walinktest.WithPasskey())
//	go func() { said <- phone.ScanQR(ctx, payload) }()
//	// events.PairPasskeyRequest, with the challenge
//	assertion, err := phone.Assert(challenge)
//	// client.SendPasskeyResponse, then events.PairPasskeyConfirmation with a code
//	code, err := phone.PasskeyCode(ctx)
//	err = phone.ConfirmPasskey(ctx)
//
// [Phone.Assert] takes the part of a browser on a page of https://web.whatsapp.com,
// and makes wrong answers on request. [Phone.Passkey] returns the credential for use
// in a real browser. The server verifies assertions as a relying party does,
// including user verification and without signature counts. After a refusal the
// challenge can still be answered, and the phone goes on waiting;
// [Phone.PasskeyRefusals] has the reasons. The server also checks the nonce and the
// encrypted keys, which only the phone can check at WhatsApp. WhatsApp's error codes
// for refusals are not known; those here are this package's own.
//
// # Chats
//
// Each phone writes to any account of the server and reads what comes, with Signal
// encryption from device to device. The address may be the one with the phone number or the
// hidden one:
//
//	contact := srv.NewPhone("+5521912345678")
//	id, err := contact.SendText(ctx, phone.JID(), "hello") // the linked device gets it
//	message, err := contact.Receive(ctx)                   // its answer
//
// Linked devices learn which devices an account has, get their keys, and send and receive
// messages, delivery and read receipts. A device that cannot decrypt a message asks its sender
// for it again. So does a phone if a linked device begins a session without the proof that the
// account has linked it (device-identity). What a device has not acknowledged waits for its
// next login, where the server announces the backlog first. When fewer than five one-time keys
// of a device are left, the server asks the device for more. Messages of an account's phone go
// to all its linked devices, and messages of a linked device to the phone and the other linked
// devices. Refusals such as [ErrNoAccount] say what a companion gets instead.
//
// [Server.NewGroup] makes a group of phones. Its messages are encrypted with sender keys.
//
// Attachments go through the server, too: give clients [Server.HTTPClient] by
// SetMediaHTTPClient. [Phone.Upload] and [Phone.Download] are the phone's side.
//
// # The first minute
//
// A second after its first login a device gets what a new device gets. The server says what to
// fetch (ib dirty), and names the account's privacy settings (account_sync). The phone sends the
// key of the app state, which is an events.Message of whatsmeow without a text. Clients then
// fetch the five collections of app state, and learn the account's push name, without which
// whatsmeow's Client.SendPresence fails. Devices may change app state and privacy settings, and
// the account's other devices learn of it. [Phone.SetHistory] adds history. To leave the first
// minute out, call srv.Script(walinktest.StageFirstMinute, walinktest.Silence().Always()).
//
// # Other languages
//
// Command walinktest/fakewa is a server in its own process. Programs in any
// language make phones there, enter codes, scan QR codes, write and read messages, and
// script trouble, by JSON over HTTP: see go doc github.com/walink/walink/walinktest/fakewa.
//
// This program for Node tests a bot that is made with Baileys. A phone links the bot by QR
// code, another phone writes to it, and the program exits with status 0 if the right answer
// comes. The program is interop/baileys/fakewa.mjs, and the tests in interop run it.
//
//	// Tests a bot made with Baileys: node fakewa.mjs http://127.0.0.1:7802 $(mktemp -d)
//	import assert from 'node:assert/strict'
//	import { DisconnectReason, WA_CERT_DETAILS, makeWASocket, useMultiFileAuthState } from 'baileys'
//
//	const [control, folder] = process.argv.slice(2)
//	async function call(path, body) {
//		const answer = await fetch(control + path, body && { method: 'POST', body: JSON.stringify(body) })
//		return answer.ok ? answer.json() : assert.fail(await answer.text())
//	}
//	const { address, rootKey } = await call('/')
//	WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(rootKey, 'hex') // in place of WhatsApp's root key
//	const { state: auth, saveCreds } = await useMultiFileAuthState(folder)
//
//	function start(linked) {
//		const bot = makeWASocket({ auth, waWebSocketUrl: `ws://${address}/ws/chat`, shouldSyncHistoryMessage: () => false })
//		bot.ev.on('creds.update', saveCreds)
//		bot.ev.on('connection.update', ({ qr, connection, lastDisconnect }) => {
//			if (qr) call('/phones/5511987654321/qr', { payload: qr }) // the phone scans the code
//			if (connection === 'open') linked()
//			if (lastDisconnect?.error?.output?.statusCode === DisconnectReason.restartRequired) start(linked)
//		})
//		bot.ev.on('messages.upsert', ({ messages: [{ key, message }] }) => {
//			if (!key.fromMe) bot.sendMessage(key.remoteJid, { text: `You said ${message.conversation}.` })
//		})
//	}
//	await new Promise(start)
//	await call('/phones/5521912345678/messages', { to: '5511987654321', text: 'hello' })
//	const { messages } = await call('/phones/5521912345678/messages?wait=10s')
//	assert.equal(messages[0]?.text, 'You said hello.')
//	process.exit()
//
// # Trouble
//
// [Server.Script] queues an [Action] for a [Stage]: refuse, delay, never answer,
// drop the socket, send a failure or a stream error, spoil a signature, send a node
// twice or out of order, or any other node: [Send]. One occurrence of the stage uses up
// one action:
//
//	srv.Script(walinktest.StageCompanionHello, walinktest.Refuse(500), walinktest.RateLimit(time.Hour).Always())
//	srv.Script(walinktest.StageLogin, walinktest.Pass(), walinktest.Failure(503))
//
// The companion gets no answer if something happens on the phone alone: [Say], and the lock
// of [Server.SetLinkLock].
//
// # Disconnecting in a bubble
//
// Let a moment pass before Client.Disconnect. If a frame arrives while whatsmeow
// disconnects, its reader never ends: FrameSocket.frameComplete in
// socket/framesocket.go waits for a goroutine that has ended already. A bubble reports
// that as a deadlock. The first minute begins 1007 ms after the first login.
//
// # Limits
//
// A phone sends no older history on request, and does not change the app state. Linked devices
// issue privacy tokens to those of other accounts, and phones do not. Groups do not change, and
// only NewGroup makes them. The server reports no presence and no typing. An account learns of
// another account's new device by the hash in the answer to its next message, and not by a
// notification.
package walinktest
