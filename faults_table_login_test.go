package walink_test

import (
	"github.com/walink/walink/walinktest"
)

// loginFlows are the tables of the login, first and later.
func loginFlows() []*flow {
	return []*flow{
		{
			name:  "Login after pairing",
			about: "The device is linked and stored; what follows is the reconnect that WhatsApp asks for, and the first login.",
			stages: []stage{
				{name: "515", at: walinktest.StageLoginReconnect, frame: [2]int{1, 4}},
				{name: "websocket", at: walinktest.StageUpgrade, skip: 1},
				{name: "handshake", at: walinktest.StageHandshake, skip: 1, frame: [2]int{2, 1}},
				{name: "login", at: walinktest.StageLogin, frame: [2]int{2, 2}},
				{name: "first requests", at: walinktest.StageAfterLogin, frame: [2]int{2, 3}},
			},
			rows: rows(`
drop                           | linked | network, linked | = | = | =
drop for ever                  | - | network repeatedly, failed: stalled [stored] | = | = | =
silence                        | linked | network, linked | = | stalled, linked | =
silence for ever               | - | network repeatedly, failed: stalled [stored] | = | stalled repeatedly, failed: stalled [stored] | =
3 s late                       | linked | = | = | = | =
90 s late                      | linked | network, linked | = | stalled, linked | =
twice                          | linked | - | - | linked | =
overtaken                      | linked | - | - | linked | =
malformed                      | - | - | network, linked | - | linked
wrong root                     | - | - | network [TLS], linked | - | -
wrong root for ever            | - | - | network [TLS] repeatedly, failed: stalled [stored] | - | -
expired certificate            | - | - | network [clock], linked | - | -
expired certificate for ever   | - | - | network [clock] repeatedly, failed: stalled [stored] | - | -
frame spoilt                   | linked | - | network, linked | stalled, linked | =
rubbish before the frame       | linked | - | network, linked | stalled, linked | =
frame twice                    | linked | - | stalled, linked | = | =
frame cut                      | linked | - | network, linked | = | =
wrong id                       | - | - | - | - | stalled, linked
unknown node                   | linked | - | - | linked | =
refs of another                | stalled, linked | - | - | stalled, linked | linked
early phone identity           | linked | - | - | linked | =
refused 400                    | - | server, linked | - | - | linked
refused 401                    | - | forbidden, linked | - | - | linked
refused 403                    | - | forbidden, linked | - | - | linked
refused 429                    | - | failed: rate limited [connections] | - | - | linked
refused 500                    | - | server, linked | - | - | linked
refused 503                    | - | server, linked | - | - | linked
failure 400                    | server, linked | - | - | server, linked | =
failure 401                    | logged out, linked, 2 codes | - | - | logged out, linked, 2 codes | =
failure 402                    | failed: temporarily banned | - | - | failed: temporarily banned | =
failure 403                    | logged out, linked, 2 codes | - | - | logged out, linked, 2 codes | =
failure 405                    | client outdated, linked | - | - | client outdated, linked | =
failure 406                    | failed: banned | - | - | failed: banned | =
failure 409                    | client outdated, linked | - | - | client outdated, linked | =
failure 429                    | failed: rate limited [connections] | - | - | failed: rate limited [connections] | =
failure 500                    | server, linked | - | - | server, linked | =
failure 503                    | server, linked | - | - | server, linked | =
stream error 401 device_removed | logged out, linked, 2 codes | - | - | logged out, linked, 2 codes | =
stream error 409 replaced      | failed: replaced | - | - | failed: replaced | =
stream error 503               | server, linked | - | - | server, linked | =
stream error 515               | - | - | - | network, linked | =
stream error 777               | server, linked | - | - | server, linked | =
stream error without a code    | server, linked | - | - | server, linked | =
slow reader, drop              | linked | network, linked | = | = | =
ctx canceled                   | failed: canceled | = | = | = | =
Close                          | failed: closed | = | = | = | =
count one-time keys: disk full | - | - | - | - | linked
count one-time keys: hangs     | - | - | - | - | failed: store
make one-time keys: disk full  | - | - | - | - | linked
make one-time keys: hangs      | - | - | - | - | failed: store
mark one-time keys: disk full  | - | - | - | - | linked
mark one-time keys: hangs      | - | - | - | - | failed: store
forget the device: disk full   | - | - | - | logged out, linked, 2 codes | -
forget the device: hangs       | - | - | - | logged out, linked, 2 codes | -
`),
		},
		{
			name:   "Resuming a stored session",
			about:  "The session was linked before; where it is gone, the person scans a QR code.",
			resume: true,
			stages: []stage{
				{name: "websocket", at: walinktest.StageUpgrade},
				{name: "handshake", at: walinktest.StageHandshake, frame: [2]int{1, 1}},
				{name: "login", at: walinktest.StageLogin, frame: [2]int{1, 2}},
				{name: "first requests", at: walinktest.StageAfterLogin, frame: [2]int{1, 3}},
			},
			rows: rows(`
drop                           | network, resumed | = | = | =
drop for ever                  | network repeatedly, failed: timeout (network) | = | = | =
silence                        | network, resumed | = | stalled, resumed | =
silence for ever               | network repeatedly, failed: timeout (network) | = | stalled repeatedly, failed: timeout (stalled) | =
3 s late                       | resumed | = | = | =
90 s late                      | network, resumed | = | stalled, resumed | =
twice                          | - | - | resumed | =
overtaken                      | - | - | resumed | =
malformed                      | - | network, resumed | - | resumed
wrong root                     | - | network [TLS], resumed | - | -
wrong root for ever            | - | network [TLS] repeatedly, failed: timeout (network [TLS]) | - | -
expired certificate            | - | network [clock], resumed | - | -
expired certificate for ever   | - | network [clock] repeatedly, failed: timeout (network [clock]) | - | -
frame spoilt                   | - | network, resumed | stalled, resumed | =
rubbish before the frame       | - | network, resumed | stalled, resumed | =
frame twice                    | - | stalled, resumed | = | =
frame cut                      | - | network, resumed | = | =
wrong id                       | - | - | - | stalled, resumed
unknown node                   | - | - | resumed | =
refs of another                | - | - | stalled, resumed | resumed
early phone identity           | - | - | resumed | =
refused 400                    | server, resumed | - | - | resumed
refused 401                    | forbidden, resumed | - | - | resumed
refused 403                    | forbidden, resumed | - | - | resumed
refused 429                    | failed: rate limited [connections] | - | - | resumed
refused 500                    | server, resumed | - | - | resumed
refused 503                    | server, resumed | - | - | resumed
failure 400                    | - | - | server, resumed | =
failure 401                    | - | - | logged out, linked | =
failure 402                    | - | - | failed: temporarily banned | =
failure 403                    | - | - | logged out, linked | =
failure 405                    | - | - | client outdated, resumed | =
failure 406                    | - | - | failed: banned | =
failure 409                    | - | - | client outdated, resumed | =
failure 429                    | - | - | failed: rate limited [connections] | =
failure 500                    | - | - | server, resumed | =
failure 503                    | - | - | server, resumed | =
stream error 401 device_removed | - | - | logged out, linked | =
stream error 409 replaced      | - | - | failed: replaced | =
stream error 503               | - | - | server, resumed | =
stream error 515               | - | - | network, resumed | =
stream error 777               | - | - | server, resumed | =
stream error without a code    | - | - | server, resumed | =
slow reader, drop              | network, resumed | = | = | =
ctx canceled                   | failed: canceled | = | = | =
Close                          | failed: closed | = | = | =
take the lease: disk full      | failed: store | - | - | -
take the lease: hangs          | failed: store | - | - | -
renew the lease: disk full     | failed: store | - | - | -
renew the lease: hangs         | failed: store | - | - | -
release the lease: disk full   | failed: canceled | - | - | -
release the lease: hangs       | failed: canceled | - | - | -
load the session: disk full    | failed: store | - | - | -
load the session: hangs        | failed: store | - | - | -
count one-time keys: disk full | - | - | - | resumed
count one-time keys: hangs     | - | - | - | failed: store
make one-time keys: disk full  | - | - | - | resumed
make one-time keys: hangs      | - | - | - | failed: store
mark one-time keys: disk full  | - | - | - | resumed
mark one-time keys: hangs      | - | - | - | failed: store
delete the session: disk full  | - | - | failed: store | -
delete the session: hangs      | - | - | failed: store | -
forget the device: disk full   | - | - | logged out, linked | -
forget the device: hangs       | - | - | logged out, linked | -
`),
		},
	}
}
