package faults_test

import (
	"github.com/walink/walink/walinktest"
)

// resumeFlow is the login of a stored session.
func resumeFlow() *flow {
	return &flow{
		name:   "Resuming a stored session",
		about:  "The session is stored. If WhatsApp no longer knows it, the person scans a QR code.",
		resume: true,
		stages: []stage{
			{
				name: "websocket", at: walinktest.StageUpgrade,
				want: outcomes{
					"resumed":            {"3 s late"},
					"network, resumed":   {"drop", "silence", "90 s late", "slow reader, drop"},
					"server, resumed":    {"refused 400", "refused 500", "refused 503"},
					"forbidden, resumed": {"refused 401", "refused 403"},
					"network repeatedly, failed: timeout (network)": {"drop for ever", "silence for ever"},
					"failed: rate limited [connections]":            {"refused 429"},
					"failed: canceled": {
						"ctx canceled", "release the lease: disk full", "release the lease: hangs",
					},
					"failed: closed": {"Close"},
					"failed: store": {
						"take the lease: disk full", "take the lease: hangs", "renew the lease: disk full",
						"renew the lease: hangs", "load the session: disk full", "load the session: hangs",
					},
				},
			},
			{
				name: "handshake", at: walinktest.StageHandshake, frame: frame{1, 1},
				want: outcomes{
					"resumed": {"3 s late"},
					"network, resumed": {
						"drop", "silence", "90 s late", "malformed", "frame spoilt", "rubbish before the frame",
						"frame cut", "slow reader, drop",
					},
					"network [TLS], resumed":   {"wrong root"},
					"network [clock], resumed": {"expired certificate"},
					"stalled, resumed":         {"frame twice"},
					"network repeatedly, failed: timeout (network)": {
						"drop for ever", "silence for ever",
					},
					"network [TLS] repeatedly, failed: timeout (network [TLS])": {"wrong root for ever"},
					"network [clock] repeatedly, failed: timeout (network [clock])": {
						"expired certificate for ever",
					},
					"failed: canceled": {"ctx canceled"},
					"failed: closed":   {"Close"},
				},
			},
			{
				name: "login", at: walinktest.StageLogin, frame: frame{1, 2},
				want: outcomes{
					"resumed":          {"3 s late", "twice", "overtaken", "unknown node", "early phone identity"},
					"network, resumed": {"drop", "frame cut", "stream error 515", "slow reader, drop"},
					"stalled, resumed": {
						"silence", "90 s late", "frame spoilt", "rubbish before the frame", "frame twice",
						"refs of another",
					},
					"server, resumed": {
						"failure 400", "failure 500", "failure 503", "stream error 503", "stream error 777", "stream error 401 alone",
						"stream error without a code",
					},
					"logged out, linked": {
						"failure 401", "failure 403", "stream error 401 device_removed",
						"forget the device: disk full", "forget the device: hangs",
					},
					"client outdated, resumed":                      {"failure 405", "failure 409"},
					"network repeatedly, failed: timeout (network)": {"drop for ever"},
					"stalled repeatedly, failed: timeout (stalled)": {"silence for ever"},
					"failed: temporarily banned":                    {"failure 402"},
					"failed: banned":                                {"failure 406"},
					"failed: rate limited [connections]":            {"failure 429"},
					"failed: replaced":                              {"stream error 409 replaced"},
					"failed: canceled":                              {"ctx canceled"},
					"failed: closed":                                {"Close"},
					"failed: store": {
						"delete the session: disk full", "delete the session: hangs",
					},
				},
			},
			{
				name: "first requests", at: walinktest.StageAfterLogin, frame: frame{1, 3},
				want: outcomes{
					"resumed": {
						"3 s late", "twice", "overtaken", "malformed", "unknown node", "refs of another",
						"early phone identity", "refused 400", "refused 401", "refused 403", "refused 429",
						"refused 500", "refused 503", "count one-time keys: disk full",
						"make one-time keys: disk full", "mark one-time keys: disk full",
					},
					"network, resumed": {"drop", "frame cut", "stream error 515", "slow reader, drop"},
					"stalled, resumed": {
						"silence", "90 s late", "frame spoilt", "rubbish before the frame", "frame twice",
						"wrong id",
					},
					"server, resumed": {
						"failure 400", "failure 500", "failure 503", "stream error 503", "stream error 777", "stream error 401 alone",
						"stream error without a code",
					},
					"logged out, linked": {
						"failure 401", "failure 403", "stream error 401 device_removed",
					},
					"client outdated, resumed":                      {"failure 405", "failure 409"},
					"network repeatedly, failed: timeout (network)": {"drop for ever"},
					"stalled repeatedly, failed: timeout (stalled)": {"silence for ever"},
					"failed: temporarily banned":                    {"failure 402"},
					"failed: banned":                                {"failure 406"},
					"failed: rate limited [connections]":            {"failure 429"},
					"failed: replaced":                              {"stream error 409 replaced"},
					"failed: canceled":                              {"ctx canceled"},
					"failed: closed":                                {"Close"},
					"failed: store": {
						"count one-time keys: hangs", "make one-time keys: hangs", "mark one-time keys: hangs",
					},
				},
			},
		},
	}
}
