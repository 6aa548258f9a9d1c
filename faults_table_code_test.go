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
drop                           | network, linked | = | = | = | = | = | = | logged out, linked
drop for ever                  | network repeatedly, failed: timeout (network) | = | = | = | = | = | = | -
silence                        | network, linked | = | stalled, linked | = | linked | stalled, linked | = | logged out, linked
silence for ever               | network repeatedly, failed: timeout (network) | = | stalled repeatedly, failed: timeout (stalled) | stalled repeatedly, failed: stalled | failed: timeout | stalled, failed: timeout | = | -
3 s late                       | linked | = | = | = | = | = | = | =
90 s late                      | network, linked | = | stalled, linked | = | code withdrawn: code refused, linked | stalled, linked | = | logged out, linked
twice                          | - | - | linked | = | pairing, linked | linked | = | -
overtaken                      | - | - | linked | = | = | = | = | -
malformed                      | - | network, linked | linked | pairing, linked | stalled, linked | - | pairing, linked | -
bad HMAC                       | - | - | - | - | - | - | pairing, linked | -
bad signature                  | - | - | - | - | - | - | pairing, linked | -
wrong root                     | - | network, linked | - | - | - | - | - | -
wrong root for ever            | - | network repeatedly, failed: timeout (network) | - | - | - | - | - | -
expired certificate            | - | network, linked | - | - | - | - | - | -
expired certificate for ever   | - | network repeatedly, failed: timeout (network) | - | - | - | - | - | -
withdrawn secret               | - | - | - | - | - | - | stalled, linked | -
frame spoilt                   | - | network, linked | stalled, linked | = | linked | = | stalled, linked | -
rubbish before the frame       | - | network, linked | stalled, linked | = | linked | stalled, linked | = | -
frame twice                    | - | stalled, linked | = | linked | stalled, linked | = | linked | -
frame cut                      | - | network, linked | = | = | = | = | = | -
wrong id                       | - | - | - | stalled, linked | - | stalled, linked | - | -
unknown node                   | - | - | linked | = | = | = | = | =
refs of another                | - | - | linked | = | = | = | = | stalled, linked
primary_hello of another       | - | - | - | linked | = | = | = | stalled, linked
refresh_code of another        | - | - | - | linked | = | = | = | stalled, linked
unknown pairing stage          | - | - | - | linked | = | = | = | stalled, linked
refused 400                    | - | - | - | failed: code refused | - | code withdrawn: code refused, linked | - | -
refused 401                    | forbidden, linked | - | - | failed: forbidden | - | code withdrawn: code refused, linked | - | -
refused 402                    | - | - | - | failed: code refused | - | code withdrawn: code refused, linked | - | -
refused 403                    | forbidden, linked | - | - | failed: forbidden | - | code withdrawn: code refused, linked | - | -
refused 405                    | - | - | - | failed: code refused | - | code withdrawn: code refused, linked | - | -
refused 406                    | - | - | - | failed: code refused | - | code withdrawn: code refused, linked | - | -
refused 409                    | - | - | - | failed: code refused | - | code withdrawn: code refused, linked | - | -
refused 429                    | failed: rate limited | - | - | failed: rate limited | - | code withdrawn: code refused, linked | - | -
rate limit, one hour           | - | - | - | failed: rate limited | - | code withdrawn: code refused, linked | - | -
refused 500                    | - | - | - | server, linked | - | code withdrawn: code refused, linked | - | -
refused 503                    | server, linked | - | - | server, linked | - | code withdrawn: code refused, linked | - | -
failure 400                    | - | - | - | server, linked | = | = | = | server, logged out, linked
failure 401                    | - | - | forbidden, linked | = | = | = | = | logged out, linked
failure 402                    | - | - | failed: temporarily banned | = | = | = | = | =
failure 403                    | - | - | - | forbidden, linked | = | = | = | logged out, linked
failure 405                    | - | - | client outdated, linked | = | = | = | = | client outdated, logged out, linked
failure 406                    | - | - | failed: banned | = | = | = | = | =
failure 409                    | - | - | - | client outdated, linked | = | = | = | client outdated, logged out, linked
failure 429                    | - | - | failed: rate limited | = | = | = | = | =
failure 500                    | - | - | - | server, linked | = | = | = | server, logged out, linked
failure 503                    | - | - | server, linked | = | = | = | = | server, logged out, linked
stream error 401 device_removed | - | - | forbidden, linked | = | = | = | = | logged out, linked
stream error 409 replaced      | - | - | failed: replaced | = | = | = | = | =
stream error 503               | - | - | - | server, linked | = | = | = | server, logged out, linked
stream error 515               | - | - | network, linked | = | = | = | = | logged out, linked
stream error 777               | - | - | - | server, linked | = | = | = | server, logged out, linked
stream error without a code    | - | - | server, linked | = | = | = | = | server, logged out, linked
slow reader, drop              | network, linked | = | = | = | = | = | = | logged out, linked
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
