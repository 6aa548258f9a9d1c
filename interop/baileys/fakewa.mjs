// Tests a bot made with Baileys: node fakewa.mjs http://127.0.0.1:7802 $(mktemp -d)
import assert from 'node:assert/strict'
import { DisconnectReason, WA_CERT_DETAILS, makeWASocket, useMultiFileAuthState } from 'baileys'

const [control, folder] = process.argv.slice(2)
async function call(path, body) {
	const answer = await fetch(control + path, body && { method: 'POST', body: JSON.stringify(body) })
	return answer.ok ? answer.json() : assert.fail(await answer.text())
}
const { address, rootKey } = await call('/')
WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(rootKey, 'hex') // in place of WhatsApp's root key
const { state: auth, saveCreds } = await useMultiFileAuthState(folder)

function start(linked) {
	const bot = makeWASocket({ auth, waWebSocketUrl: `ws://${address}/ws/chat`, shouldSyncHistoryMessage: () => false })
	bot.ev.on('creds.update', saveCreds)
	bot.ev.on('connection.update', ({ qr, connection, lastDisconnect }) => {
		if (qr) call('/phones/5511987654321/qr', { payload: qr }) // the phone scans the code
		if (connection === 'open') linked()
		if (lastDisconnect?.error?.output?.statusCode === DisconnectReason.restartRequired) start(linked)
	})
	bot.ev.on('messages.upsert', ({ messages: [{ key, message }] }) => {
		if (!key.fromMe) bot.sendMessage(key.remoteJid, { text: `You said ${message.conversation}.` })
	})
}
await new Promise(start)
await call('/phones/5521912345678/messages', { to: '5511987654321', text: 'hello' })
const { messages } = await call('/phones/5521912345678/messages?wait=10s')
assert.equal(messages[0]?.text, 'You said hello.')
process.exit()
