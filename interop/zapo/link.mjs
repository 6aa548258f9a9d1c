// Links zapo: see ../link.mjs. The events "open" and "close" also have the Noise handshake.
// There are two more events:
//
//	{"event":"refresh","text":…} the server has withdrawn the code; text is force_manual_refresh
//	{"event":"error","text":…}   zapo has logged an error, which need not close the connection

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deserialize, serialize } from 'node:v8'
import WebSocket from 'ws'
import { WaClient, createStore } from 'zapo-js'
import { answer, folder, obey, rootKey, say, url } from '../link.mjs'

globalThis.WebSocket = WebSocket // Node 20 has none of its own

// zapo-js has no store but memory. A login needs no more than the credentials.
const file = join(folder, 'creds')
const auth = () => ({
	load: async () => existsSync(file) ? deserialize(readFileSync(file)) : null,
	save: async credentials => writeFileSync(file, serialize(credentials)),
	clear: async () => rmSync(file),
})
const store = createStore({ backends: { folder: { stores: { auth } } }, providers: { auth: 'folder' } })

// zapo says in its log only how the handshake went, and why it failed.
const handshakes = {
	'noise session starting full handshake (XX)': 'XX',
	'noise resume handshake successful without fallback': 'IK',
	'noise resume handshake fallback to XX': 'XXfallback',
}
let handshake
const note = message => (handshake = handshakes[message] ?? handshake)
const fail = (message, context) => say({ event: 'error', text: [message, context?.message].join(': ') })
const logger = { level: 'trace', trace: note, debug: note, info: note, warn: console.error, error: fail }

const client = new WaClient({
	store,
	sessionId: 'walink',
	urls: [url],
	deviceBrowser: 'chrome',
	deviceOsDisplayName: 'Mac OS',
	testHooks: { noiseRootCa: { publicKey: Buffer.from(rootKey, 'hex'), serial: 0 } },
}, logger)

client.on('auth_qr', ({ qr }) => say({ event: 'qr', payload: qr }))
client.on('auth_pairing_code', ({ code }) => say({ event: 'code', code }))
client.on('auth_pairing_refresh', ({ forceManual }) => say({ event: 'refresh', text: String(forceManual) }))
client.on('connection', ({ status, reason, isLogout }) => {
	if (status === 'close') say({ event: 'close', text: reason, loggedOut: isLogout, handshake })
})

// zapo asks for the digest when it has uploaded its keys, and does not wait for the login. The
// event "open" waits for both.
let steps = 0
function step() {
	const { meJid, meLid } = client.getCredentials()
	if (++steps === 2) say({ event: 'open', jid: meJid, lid: meLid, handshake })
}
client.on('connection_success', step)
client.on('transport_node_out', ({ node }) => node.content?.[0]?.tag === 'digest' && step())

client.on('message', ({ chatJid, message }) => {
	if (!message?.conversation) return
	client.sendMessage(chatJid, answer(message.conversation)).catch(error => console.error(error.message))
})

client.connect()
await obey(number => client.requestPairingCode(number).catch(error => say({ event: 'refused', text: error.message })))
await client.disconnect()
process.exit()
