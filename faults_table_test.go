package walink_test

import (
	"github.com/walink/walink/walinktest"
)

// The tables: by hand, what has to come of each fault at each stage. A cell that
// is "=" is the one to its left, "-" makes no sense.

// qrFlows are the tables of QR codes.
func qrFlows() []*flow {
	return []*flow{
		{
			name:  "Linking by QR code",
			about: "The person scans each QR code as soon as it is shown.",
			stages: []stage{
				{name: "websocket", at: walinktest.StageUpgrade},
				{name: "handshake", at: walinktest.StageHandshake, frame: [2]int{1, 1}},
				{name: "refs", at: walinktest.StagePairDevice, frame: [2]int{1, 2}},
				{name: "pair-success", at: walinktest.StagePairSuccess, frame: [2]int{1, 3}},
				{name: "device signature", at: walinktest.StagePairDeviceSign},
			},
			rows: rows(`
drop                           | network, linked | = | = | network, linked, 2 codes | logged out, linked, 2 codes
drop for ever                  | network repeatedly, failed: timeout (network) | = | = | network repeatedly, failed: timeout (network?) | -
silence                        | network, linked | = | stalled, linked | linked, 2 codes | logged out, linked, 2 codes
silence for ever               | network repeatedly, failed: timeout (network) | = | stalled repeatedly, failed: timeout (stalled) | failed: timeout | -
3 s late                       | linked | = | = | = | =
90 s late                      | network, linked | = | stalled, linked | linked, 2 codes | logged out, linked, 2 codes
twice                          | - | - | linked | = | -
overtaken                      | - | - | linked | = | -
malformed                      | - | network, linked | pairing, linked | pairing, linked, 2 codes | -
bad HMAC                       | - | - | - | pairing, linked, 2 codes | -
bad signature                  | - | - | - | pairing, linked, 2 codes | -
wrong root                     | - | network [TLS], linked | - | - | -
wrong root for ever            | - | network [TLS] repeatedly, failed: timeout (network [TLS]) | - | - | -
expired certificate            | - | network [clock], linked | - | - | -
expired certificate for ever   | - | network [clock] repeatedly, failed: timeout (network [clock]) | - | - | -
withdrawn secret               | - | - | - | linked, 2 codes | -
frame spoilt                   | - | network, linked | stalled, linked | linked, 2 codes | -
rubbish before the frame       | - | network, linked | stalled, linked | linked, several codes, 2 attempts | -
frame twice                    | - | stalled, linked | linked, several codes, 2 attempts | linked | -
frame cut                      | - | network, linked | = | network, linked, 2 codes | -
unknown node                   | - | - | linked | = | =
early success                  | - | - | linked | = | -
refs of another                | - | - | linked, 2 codes, 2 attempts | linked | stalled, linked
pair-success of nobody         | - | - | pairing, linked | pairing, linked, 2 codes | -
primary_hello of another       | - | - | linked | = | =
refresh_code of another        | - | - | linked | = | =
unknown pairing stage          | - | - | linked | = | =
early phone identity           | - | - | linked | = | -
challenge without content      | - | - | passkey, linked | passkey, linked, 2 codes | -
refused 400                    | server, linked | - | - | - | -
refused 401                    | forbidden, linked | - | - | - | -
refused 402                    | server, linked | - | - | - | -
refused 403                    | forbidden, linked | - | - | - | -
refused 405                    | server, linked | - | - | - | -
refused 406                    | server, linked | - | - | - | -
refused 409                    | server, linked | - | - | - | -
refused 429                    | failed: rate limited [connections] | - | - | - | -
refused 500                    | server, linked | - | - | - | -
refused 503                    | server, linked | - | - | - | -
failure 400                    | - | - | server, linked | server, linked, 2 codes | server, logged out, linked, 2 codes
failure 401                    | - | - | forbidden, linked | forbidden, linked, 2 codes | logged out, linked, 2 codes
failure 402                    | - | - | failed: temporarily banned | = | =
failure 403                    | - | - | forbidden, linked | forbidden, linked, 2 codes | logged out, linked, 2 codes
failure 405                    | - | - | client outdated, linked | client outdated, linked, 2 codes | client outdated, logged out, linked, 2 codes
failure 406                    | - | - | failed: banned | = | =
failure 409                    | - | - | client outdated, linked | client outdated, linked, 2 codes | client outdated, logged out, linked, 2 codes
failure 429                    | - | - | failed: rate limited [connections] | = | =
failure 500                    | - | - | server, linked | server, linked, 2 codes | server, logged out, linked, 2 codes
failure 503                    | - | - | server, linked | server, linked, 2 codes | server, logged out, linked, 2 codes
stream error 401 device_removed | - | - | forbidden, linked | forbidden, linked, 2 codes | logged out, linked, 2 codes
stream error 409 replaced      | - | - | failed: replaced | = | =
stream error 503               | - | - | server, linked | server, linked, 2 codes | server, logged out, linked, 2 codes
stream error 515               | - | - | network, linked | network, linked, 2 codes | logged out, linked, 2 codes
stream error 777               | - | - | server, linked | server, linked, 2 codes | server, logged out, linked, 2 codes
stream error without a code    | - | - | server, linked | server, linked, 2 codes | server, logged out, linked, 2 codes
slow reader, drop              | network, linked | = | = | network, linked, 2 codes | logged out, linked, 2 codes
ctx canceled                   | failed: canceled | = | = | = | =
Close                          | failed: closed | = | = | = | =
take the lease: disk full      | failed: store | - | - | - | -
take the lease: hangs          | failed: store | - | - | - | -
renew the lease: disk full     | failed: store | - | - | - | -
renew the lease: hangs         | failed: store | - | - | - | -
release the lease: disk full   | failed: canceled | - | - | - | -
release the lease: hangs       | failed: canceled | - | - | - | -
load the session: disk full    | failed: store | - | - | - | -
load the session: hangs        | failed: store | - | - | - | -
save the device: disk full     | - | - | - | failed: store | -
save the device: hangs         | - | - | - | failed: store | -
save the phone's identity: disk full | - | - | - | failed: store | -
save the phone's identity: hangs | - | - | - | failed: store | -
save the LID: disk full        | - | - | - | linked | -
save the LID: hangs            | - | - | - | failed: store | -
`),
		},
	}
}
