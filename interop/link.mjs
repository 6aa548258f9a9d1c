// What baileys/link.mjs and zapo/link.mjs share. Each links its client to the server of
// package walinktest, answers every text, and prints what happens on stdout, one JSON object
// a line:
//
//	node link.mjs <websocket URL> <root key, hex> <auth folder>
//
//	{"event":"qr","payload":…}               the client shows a QR code
//	{"event":"code","code":…}                the server has confirmed a pairing code
//	{"event":"refused","text":…}             the server has refused the request for a code
//	{"event":"open","jid":…,"lid":…}         the client is logged in
//	{"event":"close","text":…,"loggedOut":…} the connection has ended
//
// A line "code 5511987654321" on stdin requests a pairing code. The program ends with stdin.

import { createInterface } from 'node:readline'

export const [url, rootKey, folder] = process.argv.slice(2)

export const say = event => process.stdout.write(JSON.stringify(event) + '\n')

export const answer = text => `You said ${text}.`

export async function obey(requestCode) {
	for await (const line of createInterface({ input: process.stdin })) requestCode(line.slice('code '.length))
}
