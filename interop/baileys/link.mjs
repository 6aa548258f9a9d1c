// Links Baileys to the server of package walinktest and says what happens, one
// JSON object a line on stdout:
//
//	node link.mjs <websocket URL> <root key, hex> <auth folder> [number]
//
//	{"event":"qr","payload":…}      a QR code is to be scanned (no number given)
//	{"event":"code","code":…}       the server has confirmed a pairing code for number
//	{"event":"refused","status":…}  the server has refused the request for a code
//	{"event":"open","jid":…,"lid":…}
//	{"event":"close","status":…,"loggedOut":…}
//
// It ends when its stdin does, or with the line "done".

import { createInterface } from 'node:readline'
import { Curve, DisconnectReason, WA_CERT_DETAILS, generateSignalPubKey, makeWASocket, useMultiFileAuthState } from 'baileys'
import { verifySignature } from 'libsignal/src/curve.js'

const [url, rootKey, folder, number] = process.argv.slice(2)

// Utils/noise-handler.js reads the property at each handshake, so this is all
// that Baileys needs to trust the fake.
WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(rootKey, 'hex')

// Utils/crypto.js drops what libsignal answers and takes every well-formed
// signature for good. It would be no second opinion on the fake's signatures.
Curve.verify = (key, message, signature) => verifySignature(generateSignalPubKey(key), message, signature)

const { state, saveCreds } = await useMultiFileAuthState(folder)

const say = event => process.stdout.write(JSON.stringify(event) + '\n')

// Baileys' own logger writes to stdout, which is for events here. The messages
// alone say enough when a test fails; the objects beside them hold keys.
const quiet = () => {}
const tell = (_, message) => console.error(message)
const logger = { level: 'warn', child: () => logger, trace: quiet, debug: quiet, info: quiet, warn: tell, error: tell }

let socket
let saved = Promise.resolve()

function connect() {
	socket = makeWASocket({ auth: state, logger, waWebSocketUrl: url })
	socket.ev.on('creds.update', () => (saved = saved.then(saveCreds)))
	socket.ev.on('connection.update', update)

	// requestPairingCode returns before the server has answered and looks at no
	// answer, so it is looked at here.
	socket.ws.on('CB:iq,type:result,link_code_companion_reg', () => say({ event: 'code', code: state.creds.pairingCode }))
	socket.ws.on('CB:iq,type:error,error', ({ content: [error] }) => {
		if (number && !state.creds.account) say({ event: 'refused', status: Number(error.attrs.code) })
	})
}

let asked = false

async function update({ qr, connection, lastDisconnect }) {
	if (qr && !number) say({ event: 'qr', payload: qr })
	if (qr && number && !asked) {
		asked = true
		await socket.requestPairingCode(number)
	}
	if (connection === 'open') say({ event: 'open', jid: socket.user.id, lid: socket.user.lid })
	if (connection === 'close') {
		const status = lastDisconnect?.error?.output?.statusCode
		if (status === DisconnectReason.restartRequired) return connect() // after pairing; Baileys leaves it to its caller
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
