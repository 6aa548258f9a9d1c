package walink_test

import (
	"github.com/walink/walink"
	"github.com/walink/walink/walinktest"
)

// passkeyFlows are the tables of an account that has a passkey.
func passkeyFlows() []*flow {
	return []*flow{
		{
			name:    "Passkey",
			about:   "The account has a passkey, which Settings.Passkey answers for; the person scans QR codes.",
			passkey: true,
			stages: []stage{
				{name: "websocket", at: walinktest.StageUpgrade},
				{name: "handshake", at: walinktest.StageHandshake, frame: [2]int{1, 1}},
				{name: "refs", at: walinktest.StagePairDevice, frame: [2]int{1, 2}},
				{name: "challenge", at: walinktest.StagePasskeyRequest, frame: [2]int{1, 3}},
				{name: "ref", at: walinktest.StagePasskeyRef, frame: [2]int{1, 4}},
				{name: "assertion", at: walinktest.StagePasskeyPrologue, frame: [2]int{1, 5}},
				{name: "phone's identity", at: walinktest.StagePasskeyContinuation, frame: [2]int{1, 6}},
				{name: "nonce", at: walinktest.StageCompanionNonce, frame: [2]int{1, 7}},
				{name: "pairing request", at: walinktest.StagePairingRequest, frame: [2]int{1, 8}},
				{name: "pair-success", at: walinktest.StagePairSuccess, frame: [2]int{1, 9}},
				{name: "device signature", at: walinktest.StagePairDeviceSign},
			},
			rows: rows(`
drop                           | network, linked | = | = | = | = | = | = | = | = | = | logged out, linked
drop for ever                  | network repeatedly, failed: timeout (network) | = | = | = | = | = | = | = | = | = | -
silence                        | network, linked | = | stalled, linked | linked | stalled, linked | = | = | = | = | = | logged out, linked
silence for ever               | network repeatedly, failed: timeout (network) | = | stalled repeatedly, failed: timeout (stalled) | failed: timeout | stalled repeatedly, failed: timeout | = | stalled, failed: timeout | = | stalled repeatedly, failed: timeout | stalled, failed: timeout | -
3 s late                       | linked | = | = | = | = | = | = | = | = | = | =
90 s late                      | network, linked | = | stalled, linked | linked | stalled, linked | = | = | = | = | = | logged out, linked
twice                          | - | - | linked | passkey, linked | linked | = | passkey, linked | linked | = | = | -
overtaken                      | - | - | linked | = | = | = | = | = | = | = | -
malformed                      | - | network, linked | pairing, linked | linked | passkey, linked | - | passkey, linked | - | - | pairing, linked | -
bad HMAC                       | - | - | - | - | - | - | - | - | - | pairing, linked | -
bad signature                  | - | - | - | - | - | - | - | - | - | pairing, linked | -
wrong root                     | - | network, linked | - | - | - | - | - | - | - | - | -
wrong root for ever            | - | network repeatedly, failed: timeout (network) | - | - | - | - | - | - | - | - | -
expired certificate            | - | network, linked | - | - | - | - | - | - | - | - | -
expired certificate for ever   | - | network repeatedly, failed: timeout (network) | - | - | - | - | - | - | - | - | -
withdrawn secret               | - | - | - | - | - | - | - | - | - | stalled, linked | -
frame spoilt                   | - | network, linked | stalled, linked | linked | stalled, linked | linked | stalled, linked | = | linked | stalled, linked | -
rubbish before the frame       | - | network, linked | stalled, linked | linked | stalled, linked | = | = | = | = | = | -
frame twice                    | - | stalled, linked | linked | stalled, linked | = | = | = | = | = | linked | -
frame cut                      | - | network, linked | = | = | = | = | = | = | = | = | -
wrong id                       | - | - | - | - | stalled, linked | = | - | stalled, linked | = | - | -
unknown node                   | - | - | linked | = | = | = | = | = | = | = | =
early success                  | - | - | linked | = | = | = | = | = | = | = | -
refs of another                | - | - | linked | - | - | - | - | - | - | - | stalled, linked
pair-success of nobody         | - | - | pairing, linked | - | - | - | - | - | - | - | -
primary_hello of another       | - | - | linked | - | - | - | - | - | - | - | linked
refresh_code of another        | - | - | linked | - | - | - | - | - | - | - | linked
unknown pairing stage          | - | - | linked | - | - | - | - | - | - | - | linked
early phone identity           | - | - | linked | = | passkey, linked | = | = | = | = | = | -
challenge without content      | - | - | passkey, linked | = | = | = | = | = | = | = | -
refused 400                    | server, linked | - | - | - | passkey, linked | = | - | passkey, linked | = | - | -
refused 401                    | forbidden, linked | - | - | - | passkey, linked | = | - | passkey, linked | = | - | -
refused 402                    | server, linked | - | - | - | - | - | - | - | - | - | -
refused 403                    | forbidden, linked | - | - | - | passkey, linked | = | - | passkey, linked | = | - | -
refused 405                    | server, linked | - | - | - | passkey, linked | = | - | passkey, linked | = | - | -
refused 406                    | server, linked | - | - | - | passkey, linked | = | - | passkey, linked | = | - | -
refused 409                    | server, linked | - | - | - | passkey, linked | = | - | passkey, linked | = | - | -
refused 429                    | failed: rate limited | - | - | - | failed: rate limited | = | - | failed: rate limited | = | - | -
rate limit, one hour           | - | - | - | - | failed: rate limited | = | - | failed: rate limited | = | - | -
refused 500                    | server, linked | - | - | - | server, linked | = | - | server, linked | = | - | -
refused 503                    | server, linked | - | - | - | server, linked | = | - | server, linked | = | - | -
failure 400                    | - | - | server, linked | = | = | = | = | = | = | = | server, logged out, linked
failure 401                    | - | - | forbidden, linked | = | = | = | = | = | = | = | logged out, linked
failure 402                    | - | - | failed: temporarily banned | = | = | = | = | = | = | = | =
failure 403                    | - | - | forbidden, linked | = | = | = | = | = | = | = | logged out, linked
failure 405                    | - | - | client outdated, linked | = | = | = | = | = | = | = | client outdated, logged out, linked
failure 406                    | - | - | failed: banned | = | = | = | = | = | = | = | =
failure 409                    | - | - | client outdated, linked | = | = | = | = | = | = | = | client outdated, logged out, linked
failure 429                    | - | - | failed: rate limited | = | = | = | = | = | = | = | =
failure 500                    | - | - | server, linked | = | = | = | = | = | = | = | server, logged out, linked
failure 503                    | - | - | server, linked | = | = | = | = | = | = | = | server, logged out, linked
stream error 401 device_removed | - | - | forbidden, linked | = | = | = | = | = | = | = | logged out, linked
stream error 409 replaced      | - | - | failed: replaced | = | = | = | = | = | = | = | =
stream error 503               | - | - | server, linked | = | = | = | = | = | = | = | server, logged out, linked
stream error 515               | - | - | network, linked | = | = | = | = | = | = | = | logged out, linked
stream error 777               | - | - | server, linked | = | = | = | = | = | = | = | server, logged out, linked
stream error without a code    | - | - | server, linked | = | = | = | = | = | = | = | server, logged out, linked
slow reader, drop              | network, linked | = | = | = | = | = | = | = | = | = | logged out, linked
ctx canceled                   | failed: canceled | = | = | = | = | = | = | = | = | = | =
Close                          | failed: closed | = | = | = | = | = | = | = | = | = | =
take the lease: disk full      | failed: store | - | - | - | - | - | - | - | - | - | -
take the lease: hangs          | failed: store | - | - | - | - | - | - | - | - | - | -
renew the lease: disk full     | failed: store | - | - | - | - | - | - | - | - | - | -
renew the lease: hangs         | failed: store | - | - | - | - | - | - | - | - | - | -
release the lease: disk full   | failed: canceled | - | - | - | - | - | - | - | - | - | -
release the lease: hangs       | failed: canceled | - | - | - | - | - | - | - | - | - | -
load the session: disk full    | failed: store | - | - | - | - | - | - | - | - | - | -
load the session: hangs        | failed: store | - | - | - | - | - | - | - | - | - | -
save the device: disk full     | - | - | - | - | - | - | - | - | - | failed: store | -
save the device: hangs         | - | - | - | - | - | - | - | - | - | failed: store | -
save the phone's identity: disk full | - | - | - | - | - | - | - | - | - | failed: store | -
save the phone's identity: hangs | - | - | - | - | - | - | - | - | - | failed: store | -
save the LID: disk full        | - | - | - | - | - | - | - | - | - | linked | -
save the LID: hangs            | - | - | - | - | - | - | - | - | - | failed: store | -
`),
		},
		{
			name:  "Passkey after a pairing code",
			about: "The person enters each pairing code as soon as it is shown, and Settings.Passkey answers for the passkey.",
			settings: walink.Settings{
				Phone: number, LinkingMode: walink.ModePairing,
			},
			passkey: true,
			stages: []stage{
				{name: "challenge", at: walinktest.StagePasskeyRequest, frame: [2]int{1, 6}},
				{name: "ref", at: walinktest.StagePasskeyRef, frame: [2]int{1, 7}},
				{name: "assertion", at: walinktest.StagePasskeyPrologue, frame: [2]int{1, 8}},
				{name: "phone's identity", at: walinktest.StagePasskeyContinuation, frame: [2]int{1, 9}},
				{name: "nonce", at: walinktest.StageCompanionNonce, frame: [2]int{1, 10}},
				{name: "pairing request", at: walinktest.StagePairingRequest, frame: [2]int{1, 11}},
				{name: "pair-success", at: walinktest.StagePairSuccess, frame: [2]int{1, 12}},
			},
			rows: rows(`
drop                           | network, linked | = | = | = | = | = | =
silence                        | stalled, linked | = | = | = | = | = | =
twice                          | passkey, linked | linked | = | passkey, linked | linked | = | =
overtaken                      | linked | = | = | = | = | = | =
malformed                      | linked | passkey, linked | - | passkey, linked | - | - | pairing, linked
withdrawn secret               | - | - | - | - | - | - | stalled, linked
refused 400                    | - | passkey, linked | = | - | passkey, linked | = | -
refused 429                    | - | failed: rate limited | = | - | failed: rate limited | = | -
failure 401                    | forbidden, linked | = | = | = | = | = | =
stream error 515               | network, linked | = | = | = | = | = | =
Close                          | failed: closed | = | = | = | = | = | =
save the device: hangs         | - | - | - | - | - | - | failed: store
`),
		},
		{
			name:    "Passkey by hand",
			about:   "The person scans QR codes, answers the passkey through AnswerPasskey, and compares the codes.",
			passkey: true,
			byHand:  true,
			stages: []stage{
				{name: "challenge", at: walinktest.StagePasskeyRequest, frame: [2]int{1, 3}},
				{name: "ref", at: walinktest.StagePasskeyRef, frame: [2]int{1, 4}},
				{name: "assertion", at: walinktest.StagePasskeyPrologue, frame: [2]int{1, 5}},
				{name: "phone's identity", at: walinktest.StagePasskeyContinuation, frame: [2]int{1, 6}},
				{name: "nonce", at: walinktest.StageCompanionNonce, frame: [2]int{1, 7}},
				{name: "pairing request", at: walinktest.StagePairingRequest, frame: [2]int{1, 8}},
				{name: "pair-success", at: walinktest.StagePairSuccess, frame: [2]int{1, 9}},
			},
			rows: rows(`
drop                           | network, linked | = | = | = | = | = | =
silence                        | linked | stalled, linked | = | = | = | = | =
silence for ever               | failed: timeout | stalled repeatedly, failed: timeout | = | stalled, failed: timeout | = | stalled repeatedly, failed: timeout | stalled, failed: timeout
3 s late                       | linked | = | = | = | = | = | =
90 s late                      | linked | stalled, linked | = | = | = | = | =
twice                          | passkey, linked | linked | = | passkey, linked | linked | = | =
overtaken                      | linked | = | = | = | = | = | =
malformed                      | linked | = | - | passkey, linked | - | - | pairing, linked
bad HMAC                       | - | - | - | - | - | - | pairing, linked
withdrawn secret               | - | - | - | - | - | - | stalled, linked
frame spoilt                   | linked | stalled, linked | linked | stalled, linked | = | linked | stalled, linked
unknown node                   | linked | = | = | = | = | = | =
challenge without content      | passkey, linked | = | = | = | = | - | -
refused 400                    | - | linked | = | - | passkey, linked | = | -
refused 429                    | - | failed: rate limited | = | - | failed: rate limited | = | -
refused 500                    | - | server, linked | = | - | server, linked | = | -
refused 503                    | - | server, linked | = | - | server, linked | = | -
failure 401                    | forbidden, linked | = | = | = | = | = | =
failure 503                    | server, linked | = | = | = | = | = | =
stream error 515               | network, linked | = | = | = | = | = | =
stream error without a code    | server, linked | = | = | = | = | = | =
slow reader, drop              | network, linked | = | = | = | = | = | =
ctx canceled                   | failed: canceled | = | = | = | = | = | =
Close                          | failed: closed | = | = | = | = | = | =
save the device: hangs         | - | - | - | - | - | - | failed: store
`),
		},
	}
}
