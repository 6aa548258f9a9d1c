package walink_test

import (
	"github.com/walink/walink"
	"github.com/walink/walink/walinktest"
)

// codeFlows are the tables of pairing codes.
func codeFlows() []*flow {
	return []*flow{
		{
			name:  "Linking by pairing code",
			about: "The person enters each code as soon as it is shown; QR codes are not allowed. What comes before the code is sampled.",
			settings: walink.Settings{
				Phone: number, LinkingMode: walink.ModePairing,
			},
			stages: []stage{
				{name: "websocket", at: walinktest.StageUpgrade},
				{name: "handshake", at: walinktest.StageHandshake, frame: [2]int{1, 1}},
				{name: "refs", at: walinktest.StagePairDevice, frame: [2]int{1, 2}},
				{name: "code request", at: walinktest.StageCompanionHello, frame: [2]int{1, 3}},
				{name: "phone's answer", at: walinktest.StagePrimaryHello, frame: [2]int{1, 4}},
				{name: "key bundle", at: walinktest.StageCompanionFinish, frame: [2]int{1, 5}},
				{name: "pair-success", at: walinktest.StagePairSuccess, frame: [2]int{1, 6}},
				{name: "device signature", at: walinktest.StagePairDeviceSign},
			},
			rows: rows(`
drop                           | network, linked | = | = | = | network, linked, 2 codes | = | = | logged out, linked, 2 codes
drop for ever                  | network repeatedly, failed: timeout (network) | = | = | = | network repeatedly, failed: timeout (network?) | = | = | -
silence                        | network, linked | = | stalled, linked | = | linked, 2 codes, 2 attempts | stalled, linked, 2 codes | = | logged out, linked, 2 codes
silence for ever               | network repeatedly, failed: timeout (network) | = | stalled repeatedly, failed: timeout (stalled) | stalled repeatedly, failed: stalled | failed: timeout | stalled, failed: timeout | = | -
3 s late                       | linked | = | = | = | = | = | = | =
90 s late                      | network, linked | = | stalled, linked | = | code withdrawn: code refused, linked, 2 codes | stalled, linked, 2 codes | = | logged out, linked, 2 codes
twice                          | - | - | linked | = | linked or pairing, linked, 2 codes | linked | = | -
overtaken                      | - | - | linked | = | = | = | = | -
malformed                      | - | network, linked | linked | pairing, linked | stalled, linked, 2 codes | - | pairing, linked, 2 codes | -
bad HMAC                       | - | - | - | - | - | - | pairing, linked, 2 codes | -
bad signature                  | - | - | - | - | - | - | pairing, linked, 2 codes | -
wrong root                     | - | network [TLS], linked | - | - | - | - | - | -
wrong root for ever            | - | network [TLS] repeatedly, failed: timeout (network [TLS]) | - | - | - | - | - | -
expired certificate            | - | network [clock], linked | - | - | - | - | - | -
expired certificate for ever   | - | network [clock] repeatedly, failed: timeout (network [clock]) | - | - | - | - | - | -
withdrawn secret               | - | - | - | - | - | - | stalled, linked, 2 codes | -
frame spoilt                   | - | network, linked | stalled, linked | = | linked, 2 codes, 2 attempts | linked | stalled, linked, 2 codes | -
rubbish before the frame       | - | network, linked | stalled, linked | = | linked, 2 codes, 2 attempts | stalled, linked, 2 codes | = | -
frame twice                    | - | stalled, linked | = | linked, 2 codes, 2 attempts | stalled, linked, 2 codes | = | linked | -
frame cut                      | - | network, linked | = | = | network, linked, 2 codes | = | = | -
wrong id                       | - | - | - | stalled, linked | - | stalled, linked, 2 codes | - | -
unknown node                   | - | - | linked | = | = | = | = | =
refs of another                | - | - | linked | = | = | = | = | stalled, linked
primary_hello of another       | - | - | - | linked | = | = | = | stalled, linked
refresh_code of another        | - | - | - | linked | = | = | = | stalled, linked
unknown pairing stage          | - | - | - | linked | = | = | = | stalled, linked
refused 400                    | - | - | - | failed: code refused | - | code withdrawn: code refused, linked, 2 codes | - | -
refused 401                    | forbidden, linked | - | - | failed: forbidden | - | code withdrawn: code refused, linked, 2 codes | - | -
refused 402                    | - | - | - | failed: code refused | - | code withdrawn: code refused, linked, 2 codes | - | -
refused 403                    | forbidden, linked | - | - | failed: forbidden | - | code withdrawn: code refused, linked, 2 codes | - | -
refused 405                    | - | - | - | failed: code refused | - | code withdrawn: code refused, linked, 2 codes | - | -
refused 406                    | - | - | - | failed: code refused | - | code withdrawn: code refused, linked, 2 codes | - | -
refused 409                    | - | - | - | failed: code refused | - | code withdrawn: code refused, linked, 2 codes | - | -
refused 429                    | failed: rate limited [connections] | - | - | failed: rate limited | - | code withdrawn: code refused, linked, 2 codes | - | -
rate limit, one hour           | - | - | - | failed: rate limited | - | code withdrawn: code refused, linked, 2 codes | - | -
refused 500                    | - | - | - | server, linked | - | code withdrawn: code refused, linked, 2 codes | - | -
refused 503                    | server, linked | - | - | server, linked | - | code withdrawn: code refused, linked, 2 codes | - | -
failure 400                    | - | - | - | server, linked | server, linked, 2 codes | = | = | server, logged out, linked, 2 codes
failure 401                    | - | - | forbidden, linked | = | forbidden, linked, 2 codes | = | = | logged out, linked, 2 codes
failure 402                    | - | - | failed: temporarily banned | = | = | = | = | =
failure 403                    | - | - | - | forbidden, linked | forbidden, linked, 2 codes | = | = | logged out, linked, 2 codes
failure 405                    | - | - | client outdated, linked | = | client outdated, linked, 2 codes | = | = | client outdated, logged out, linked, 2 codes
failure 406                    | - | - | failed: banned | = | = | = | = | =
failure 409                    | - | - | - | client outdated, linked | client outdated, linked, 2 codes | = | = | client outdated, logged out, linked, 2 codes
failure 429                    | - | - | failed: rate limited [connections] | = | = | = | = | =
failure 500                    | - | - | - | server, linked | server, linked, 2 codes | = | = | server, logged out, linked, 2 codes
failure 503                    | - | - | server, linked | = | server, linked, 2 codes | = | = | server, logged out, linked, 2 codes
stream error 401 device_removed | - | - | forbidden, linked | = | forbidden, linked, 2 codes | = | = | logged out, linked, 2 codes
stream error 409 replaced      | - | - | failed: replaced | = | = | = | = | =
stream error 503               | - | - | - | server, linked | server, linked, 2 codes | = | = | server, logged out, linked, 2 codes
stream error 515               | - | - | network, linked | = | network, linked, 2 codes | = | = | logged out, linked, 2 codes
stream error 777               | - | - | - | server, linked | server, linked, 2 codes | = | = | server, logged out, linked, 2 codes
stream error without a code    | - | - | server, linked | = | server, linked, 2 codes | = | = | server, logged out, linked, 2 codes
slow reader, drop              | network, linked | = | = | = | network, linked, 2 codes | = | = | logged out, linked, 2 codes
ctx canceled                   | failed: canceled | = | = | = | = | = | = | =
Close                          | failed: closed | = | = | = | = | = | = | =
take the lease: disk full      | failed: store | - | - | - | - | - | - | -
take the lease: hangs          | failed: store | - | - | - | - | - | - | -
renew the lease: disk full     | failed: store | - | - | - | - | - | - | -
renew the lease: hangs         | failed: store | - | - | - | - | - | - | -
release the lease: disk full   | failed: canceled | - | - | - | - | - | - | -
release the lease: hangs       | failed: canceled | - | - | - | - | - | - | -
load the session: disk full    | failed: store | - | - | - | - | - | - | -
load the session: hangs        | failed: store | - | - | - | - | - | - | -
count the code: disk full      | - | - | - | failed: store | - | - | - | -
count the code: hangs          | - | - | - | failed: store | - | - | - | -
record the refusal: disk full  | - | - | - | failed: rate limited | - | - | - | -
record the refusal: hangs      | - | - | - | failed: rate limited | - | - | - | -
save the device: disk full     | - | - | - | - | - | - | failed: store | -
save the device: hangs         | - | - | - | - | - | - | failed: store | -
save the phone's identity: disk full | - | - | - | - | - | - | failed: store | -
save the phone's identity: hangs | - | - | - | - | - | - | failed: store | -
save the LID: disk full        | - | - | - | - | - | - | linked | -
save the LID: hangs            | - | - | - | - | - | - | failed: store | -
`),
		},
	}
}
