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
drop                           | network, linked | = | = | network, linked, 2 codes | network, linked, 2 codes, 2 challenges | = | = | = | = | = | logged out, linked, 2 codes, 2 challenges
drop for ever                  | network repeatedly, failed: timeout (network) | = | = | network repeatedly, failed: timeout (network?) | = | = | = | = | = | = | -
silence                        | network, linked | = | stalled, linked | linked, 2 codes | stalled, linked, 2 codes, 2 challenges | = | = | = | = | = | logged out, linked, 2 codes, 2 challenges
silence for ever               | network repeatedly, failed: timeout (network) | = | stalled repeatedly, failed: timeout (stalled) | failed: timeout | stalled repeatedly, failed: timeout | = | stalled, failed: timeout | = | stalled repeatedly, failed: timeout | stalled, failed: timeout | -
3 s late                       | linked | = | = | = | = | = | = | = | = | = | =
90 s late                      | network, linked | = | stalled, linked | linked, 2 codes | stalled, linked, 2 codes, 2 challenges | = | = | = | = | = | logged out, linked, 2 codes, 2 challenges
twice                          | - | - | linked | passkey, linked, 2 codes, 2 challenges | linked | = | linked or passkey, linked or passkey, linked, 2 codes, 2 challenges or network, linked or network, linked, 2 codes, 2 challenges | linked | = | = | -
overtaken                      | - | - | linked | = | = | = | = | = | = | = | -
malformed                      | - | network, linked | pairing, linked | linked | linked | - | passkey, linked, 2 codes, 2 challenges | - | - | pairing, linked, 2 codes, 2 challenges | -
bad HMAC                       | - | - | - | - | - | - | - | - | - | pairing, linked, 2 codes, 2 challenges | -
bad signature                  | - | - | - | - | - | - | - | - | - | pairing, linked, 2 codes, 2 challenges | -
wrong root                     | - | network [TLS], linked | - | - | - | - | - | - | - | - | -
wrong root for ever            | - | network [TLS] repeatedly, failed: timeout (network [TLS]) | - | - | - | - | - | - | - | - | -
expired certificate            | - | network [clock], linked | - | - | - | - | - | - | - | - | -
expired certificate for ever   | - | network [clock] repeatedly, failed: timeout (network [clock]) | - | - | - | - | - | - | - | - | -
withdrawn secret               | - | - | - | - | - | - | - | - | - | stalled, linked, 2 codes, 2 challenges | -
frame spoilt                   | - | network, linked | stalled, linked | linked, several codes | stalled, linked, 2 codes, 2 challenges | linked | stalled, linked, 2 codes, 2 challenges | = | linked | stalled, linked, 2 codes, 2 challenges | -
rubbish before the frame       | - | network, linked | stalled, linked | linked, several codes, 2 attempts | stalled, linked, 2 codes, 2 challenges | = | = | = | = | = | -
frame twice                    | - | stalled, linked | linked, several codes, 2 attempts | stalled, linked, 2 codes, 2 challenges | = | = | = | = | = | linked | -
frame cut                      | - | network, linked | = | network, linked, 2 codes | network, linked, 2 codes, 2 challenges | = | = | = | = | = | -
wrong id                       | - | - | - | - | stalled, linked, 2 codes, 2 challenges | = | - | stalled, linked, 2 codes, 2 challenges | = | - | -
unknown node                   | - | - | linked | = | = | = | = | = | = | = | =
early success                  | - | - | linked | = | = | = | = | = | = | = | -
refs of another                | - | - | linked, 2 codes, 2 attempts | - | - | - | - | - | - | - | stalled, linked
pair-success of nobody         | - | - | pairing, linked | - | - | - | - | - | - | - | -
primary_hello of another       | - | - | linked | - | - | - | - | - | - | - | linked
refresh_code of another        | - | - | linked | - | - | - | - | - | - | - | linked
unknown pairing stage          | - | - | linked | - | - | - | - | - | - | - | linked
early phone identity           | - | - | linked | = | passkey, linked, 2 codes, 2 challenges | = | = | = | = | = | -
challenge without content      | - | - | passkey, linked | passkey, linked, 2 codes | passkey, linked, 2 codes, 2 challenges | linked | = | = | pairing, linked, 2 codes, 2 challenges | = | -
refused 400                    | server, linked | - | - | - | linked | = | - | passkey, linked, 2 codes, 2 challenges | = | - | -
refused 401                    | forbidden, linked | - | - | - | linked | = | - | passkey, linked, 2 codes, 2 challenges | = | - | -
refused 402                    | server, linked | - | - | - | - | - | - | - | - | - | -
refused 403                    | forbidden, linked | - | - | - | linked | = | - | passkey, linked, 2 codes, 2 challenges | = | - | -
refused 405                    | server, linked | - | - | - | linked | = | - | passkey, linked, 2 codes, 2 challenges | = | - | -
refused 406                    | server, linked | - | - | - | linked | = | - | passkey, linked, 2 codes, 2 challenges | = | - | -
refused 409                    | server, linked | - | - | - | linked | = | - | passkey, linked, 2 codes, 2 challenges | = | - | -
refused 429                    | failed: rate limited [connections] | - | - | - | failed: rate limited [passkey] | = | - | failed: rate limited [passkey] | = | - | -
rate limit, one hour           | - | - | - | - | failed: rate limited [passkey] | = | - | failed: rate limited [passkey] | = | - | -
refused 500                    | server, linked | - | - | - | server, linked, 2 codes, 2 challenges | = | - | server, linked, 2 codes, 2 challenges | = | - | -
refused 503                    | server, linked | - | - | - | server, linked, 2 codes, 2 challenges | = | - | server, linked, 2 codes, 2 challenges | = | - | -
failure 400                    | - | - | server, linked | server, linked, 2 codes | server, linked, 2 codes, 2 challenges | = | = | = | = | = | server, logged out, linked, 2 codes, 2 challenges
failure 401                    | - | - | forbidden, linked | forbidden, linked, 2 codes | forbidden, linked, 2 codes, 2 challenges | = | = | = | = | = | logged out, linked, 2 codes, 2 challenges
failure 402                    | - | - | failed: temporarily banned | = | = | = | = | = | = | = | =
failure 403                    | - | - | forbidden, linked | forbidden, linked, 2 codes | forbidden, linked, 2 codes, 2 challenges | = | = | = | = | = | logged out, linked, 2 codes, 2 challenges
failure 405                    | - | - | client outdated, linked | client outdated, linked, 2 codes | client outdated, linked, 2 codes, 2 challenges | = | = | = | = | = | client outdated, logged out, linked, 2 codes, 2 challenges
failure 406                    | - | - | failed: banned | = | = | = | = | = | = | = | =
failure 409                    | - | - | client outdated, linked | client outdated, linked, 2 codes | client outdated, linked, 2 codes, 2 challenges | = | = | = | = | = | client outdated, logged out, linked, 2 codes, 2 challenges
failure 429                    | - | - | failed: rate limited [connections] | = | = | = | = | = | = | = | =
failure 500                    | - | - | server, linked | server, linked, 2 codes | server, linked, 2 codes, 2 challenges | = | = | = | = | = | server, logged out, linked, 2 codes, 2 challenges
failure 503                    | - | - | server, linked | server, linked, 2 codes | server, linked, 2 codes, 2 challenges | = | = | = | = | = | server, logged out, linked, 2 codes, 2 challenges
stream error 401 device_removed | - | - | forbidden, linked | forbidden, linked, 2 codes | forbidden, linked, 2 codes, 2 challenges | = | = | = | = | = | logged out, linked, 2 codes, 2 challenges
stream error 409 replaced      | - | - | failed: replaced | = | = | = | = | = | = | = | =
stream error 503               | - | - | server, linked | server, linked, 2 codes | server, linked, 2 codes, 2 challenges | = | = | = | = | = | server, logged out, linked, 2 codes, 2 challenges
stream error 515               | - | - | network, linked | network, linked, 2 codes | network, linked, 2 codes, 2 challenges | = | = | = | = | = | logged out, linked, 2 codes, 2 challenges
stream error 777               | - | - | server, linked | server, linked, 2 codes | server, linked, 2 codes, 2 challenges | = | = | = | = | = | server, logged out, linked, 2 codes, 2 challenges
stream error without a code    | - | - | server, linked | server, linked, 2 codes | server, linked, 2 codes, 2 challenges | = | = | = | = | = | server, logged out, linked, 2 codes, 2 challenges
slow reader, drop              | network, linked | = | = | network, linked, 2 codes | network, linked, 2 codes, 2 challenges | = | = | = | = | = | logged out, linked, 2 codes, 2 challenges
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
drop                           | network, linked, 2 codes | network, linked, 2 codes, 2 challenges | = | = | = | = | =
silence                        | stalled, linked, 2 codes | stalled, linked, 2 codes, 2 challenges | = | = | = | = | =
twice                          | linked or passkey, linked, 2 codes, 2 challenges | linked | = | linked or passkey, linked or passkey, linked, 2 codes, 2 challenges or network, linked or network, linked, 2 codes, 2 challenges | linked | = | =
overtaken                      | linked | = | = | = | = | = | =
malformed                      | linked | linked | - | passkey, linked, 2 codes, 2 challenges | - | - | pairing, linked, 2 codes, 2 challenges
withdrawn secret               | - | - | - | - | - | - | stalled, linked, 2 codes, 2 challenges
refused 400                    | - | linked | = | - | passkey, linked, 2 codes, 2 challenges | = | -
refused 429                    | - | failed: rate limited [passkey] | = | - | failed: rate limited [passkey] | = | -
failure 401                    | forbidden, linked, 2 codes | forbidden, linked, 2 codes, 2 challenges | = | = | = | = | =
stream error 515               | network, linked, 2 codes | network, linked, 2 codes, 2 challenges | = | = | = | = | =
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
drop                           | network, linked, 2 codes | network, linked, 2 codes, 2 challenges | = | = | = | = | =
silence                        | linked, 2 codes | stalled, linked, 2 codes, 2 challenges | = | = | = | = | =
silence for ever               | failed: timeout | stalled repeatedly, failed: timeout | = | stalled, failed: timeout | = | stalled repeatedly, failed: timeout | stalled, failed: timeout
3 s late                       | linked | = | = | = | = | = | =
90 s late                      | linked, 2 codes | stalled, linked, 2 codes, 2 challenges | = | = | = | = | =
twice                          | passkey, linked, 2 codes, 2 challenges | linked | = | linked or passkey, linked or passkey, linked, 2 codes, 2 challenges or network, linked or network, linked, 2 codes, 2 challenges | linked | = | =
overtaken                      | linked | = | = | = | = | = | =
malformed                      | linked | = | - | passkey, linked, 2 codes, 2 challenges | - | - | pairing, linked, 2 codes, 2 challenges
bad HMAC                       | - | - | - | - | - | - | pairing, linked, 2 codes, 2 challenges
withdrawn secret               | - | - | - | - | - | - | stalled, linked, 2 codes, 2 challenges
frame spoilt                   | linked, several codes | stalled, linked, 2 codes, 2 challenges | linked | stalled, linked, 2 codes, 2 challenges | = | linked | stalled, linked, 2 codes, 2 challenges
unknown node                   | linked | = | = | = | = | = | =
challenge without content      | passkey, linked, 2 codes | passkey, linked, 2 codes, 2 challenges | linked | = | = | - | -
refused 400                    | - | linked | = | - | passkey, linked, 2 codes, 2 challenges | = | -
refused 429                    | - | failed: rate limited [passkey] | = | - | failed: rate limited [passkey] | = | -
refused 500                    | - | server, linked, 2 codes, 2 challenges | = | - | server, linked, 2 codes, 2 challenges | = | -
refused 503                    | - | server, linked, 2 codes, 2 challenges | = | - | server, linked, 2 codes, 2 challenges | = | -
failure 401                    | forbidden, linked, 2 codes | forbidden, linked, 2 codes, 2 challenges | = | = | = | = | =
failure 503                    | server, linked, 2 codes | server, linked, 2 codes, 2 challenges | = | = | = | = | =
stream error 515               | network, linked, 2 codes | network, linked, 2 codes, 2 challenges | = | = | = | = | =
stream error without a code    | server, linked, 2 codes | server, linked, 2 codes, 2 challenges | = | = | = | = | =
slow reader, drop              | network, linked, 2 codes | network, linked, 2 codes, 2 challenges | = | = | = | = | =
ctx canceled                   | failed: canceled | = | = | = | = | = | =
Close                          | failed: closed | = | = | = | = | = | =
save the device: hangs         | - | - | - | - | - | - | failed: store
`),
		},
	}
}
