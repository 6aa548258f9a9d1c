// Links Baileys: see ../link.mjs.

import {
	Curve, DisconnectReason, WA_CERT_DETAILS, generateSignalPubKey, makeCacheableSignalKeyStore, makeWASocket,
	useMultiFileAuthState,
} from 'baileys'
import { verifySignature } from 'libsignal/src/curve.js'
import { answer, folder, obey, rootKey, say, url } from '../link.mjs'

// Makes Baileys trust walinktest: Utils/noise-handler.js reads this property at each
// handshake.
WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(rootKey, 'hex')

// Makes Baileys verify signatures. Curve.verify in Utils/crypto.js ignores libsignal's
// result and accepts every signature of the right length. Delete when Curve.verify
// returns that result.
Curve.verify = (key, message, signature) => verifySignature(generateSignalPubKey(key), message, signature)

const { state, saveCreds } = await useMultiFileAuthState(folder)

// Baileys' own logger writes to stdout, which is for the events. This one writes messages
// to stderr, without the objects that Baileys logs next to them, which hold keys.
const ignore = () => {}
console.info = ignore // libsignal prints sessions there, with their keys
const print = (_, message) => console.error(message)
const logger = { level: 'warn', child: () => logger, trace: ignore, debug: ignore, info: ignore, warn: print, error: print }

const auth = { creds: state.creds, keys: makeCacheableSignalKeyStore(state.keys, logger) }
let socket
let saved = Promise.resolve()

function connect() {
	socket = makeWASocket({ auth, logger, waWebSocketUrl: url, shouldSyncHistoryMessage: () => false })
	socket.ev.on('creds.update', () => (saved = saved.then(saveCreds)))
	socket.ev.on('connection.update', update)
	socket.ev.on('messages.upsert', ({ messages }) => {
		for (const { key, message } of messages) {
			if (!key.fromMe && message?.conversation) socket.sendMessage(key.remoteJid, { text: answer(message.conversation) })
		}
	})

	// requestPairingCode in Socket/socket.js returns before the server has answered, and
	// ignores the answer, so these handlers read it.
	socket.ws.on('CB:iq,type:result,link_code_companion_reg', () => say({ event: 'code', code: state.creds.pairingCode }))
	socket.ws.on('CB:iq,type:error,error', ({ content: [error] }) => {
		if (!state.creds.account) say({ event: 'refused', text: error.attrs.code })
	})
}

function update({ qr, connection, lastDisconnect }) {
	if (qr) say({ event: 'qr', payload: qr })
	if (connection === 'open') say({ event: 'open', jid: socket.user.id, lid: socket.user.lid, name: socket.user.name })
	if (connection === 'close') {
		const status = lastDisconnect?.error?.output?.statusCode
		if (status === DisconnectReason.restartRequired) return connect() // after pairing the caller has to reconnect
		say({ event: 'close', text: String(status), loggedOut: status === DisconnectReason.loggedOut })
	}
}

connect()
await obey(number => socket.requestPairingCode(number))
await socket.end()
await saved
process.exit()
