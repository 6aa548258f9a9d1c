// Links Baileys to the server of package walinktest, and prints what happens on stdout,
// one JSON object a line:
//
//	node link.mjs <websocket URL> <root key, hex> <auth folder> [number]
//
//	{"event":"qr","payload":…}                  Baileys shows a QR code (without number)
//	{"event":"code","code":…}                   the server has confirmed a pairing code for number
//	{"event":"refused","status":…}              the server has refused the request for a code
//	{"event":"open","jid":…,"lid":…}            Baileys is logged in
//	{"event":"close","status":…,"loggedOut":…}  the connection has ended
//
// The program ends with the line "done" on stdin, or when stdin ends.

import { createInterface } from 'node:readline'
import { Curve, DisconnectReason, WA_CERT_DETAILS, generateSignalPubKey, makeWASocket, useMultiFileAuthState } from 'baileys'
import { verifySignature } from 'libsignal/src/curve.js'

const [url, rootKey, folder, number] = process.argv.slice(2)

// Makes Baileys trust walinktest: Utils/noise-handler.js reads this property at each
// handshake.
WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(rootKey, 'hex')

// Makes Baileys verify signatures. Curve.verify in Utils/crypto.js ignores libsignal's
// result and accepts every signature of the right length. Delete when Curve.verify
// returns that result.
Curve.verify = (key, message, signature) => verifySignature(generateSignalPubKey(key), message, signature)

const { state, saveCreds } = await useMultiFileAuthState(folder)

const say = event => process.stdout.write(JSON.stringify(event) + '\n')

// Baileys' own logger writes to stdout, which is for the events. This one writes messages
// to stderr, without the objects that Baileys logs next to them, which hold keys.
const ignore = () => {}
const print = (_, message) => console.error(message)
const logger = { level: 'warn', child: () => logger, trace: ignore, debug: ignore, info: ignore, warn: print, error: print }

let socket
let saved = Promise.resolve()

function connect() {
	socket = makeWASocket({ auth: state, logger, waWebSocketUrl: url })
	socket.ev.on('creds.update', () => (saved = saved.then(saveCreds)))
	socket.ev.on('connection.update', update)

	// requestPairingCode in Socket/socket.js returns before the server has answered, and
	// ignores the answer, so these handlers read it.
	socket.ws.on('CB:iq,type:result,link_code_companion_reg', () => say({ event: 'code', code: state.creds.pairingCode }))
	socket.ws.on('CB:iq,type:error,error', ({ content: [error] }) => {
		if (number && !state.creds.account) say({ event: 'refused', status: Number(error.attrs.code) })
	})
}

let requested = false

async function update({ qr, connection, lastDisconnect }) {
	if (qr && !number) say({ event: 'qr', payload: qr })
	if (qr && number && !requested) {
		requested = true
		await socket.requestPairingCode(number)
	}
	if (connection === 'open') say({ event: 'open', jid: socket.user.id, lid: socket.user.lid })
	if (connection === 'close') {
		const status = lastDisconnect?.error?.output?.statusCode
		if (status === DisconnectReason.restartRequired) return connect() // after pairing the caller has to reconnect
		say({ event: 'close', status, loggedOut: status === DisconnectReason.loggedOut })
	}
}

connect()

for await (const line of createInterface({ input: process.stdin })) {
	if (line === 'done') break
}
await socket.end()
await saved
process.exit()
