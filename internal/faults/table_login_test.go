package faults_test

import (
	"github.com/walink/walink/walinktest"
)

// loginFlow is the first login.
func loginFlow() *flow {
	return &flow{
		name:  "Login after pairing",
		about: "The device is linked and stored. WhatsApp asks for a reconnect, and the first login follows.",
		stages: []stage{
			{
				name: "515", at: walinktest.StageLoginReconnect, frame: frame{1, 4},
				want: outcomes{
					"linked": {
						"drop", "silence", "3 s late", "90 s late", "twice", "overtaken", "frame spoilt",
						"rubbish before the frame", "frame twice", "frame cut", "unknown node",
						"early phone identity", "slow reader, drop",
					},
					"stalled, linked": {"refs of another"},
					"server, linked": {
						"failure 400", "failure 500", "failure 503", "stream error 503", "stream error 777", "stream error 401 alone",
						"stream error without a code",
					},
					"logged out, linked, 2 codes": {
						"failure 401", "failure 403", "stream error 401 device_removed",
					},
					"client outdated, linked":            {"failure 405", "failure 409"},
					"failed: temporarily banned":         {"failure 402"},
					"failed: banned":                     {"failure 406"},
					"failed: rate limited [connections]": {"failure 429"},
					"failed: replaced":                   {"stream error 409 replaced"},
					"failed: canceled":                   {"ctx canceled"},
					"failed: closed":                     {"Close"},
				},
			},
			{
				name: "websocket", at: walinktest.StageUpgrade, skip: 1,
				want: outcomes{
					"linked":            {"3 s late"},
					"network, linked":   {"drop", "silence", "90 s late", "slow reader, drop"},
					"server, linked":    {"refused 400", "refused 500", "refused 503"},
					"forbidden, linked": {"refused 401", "refused 403"},
					"network repeatedly, failed: stalled [stored]": {"drop for ever", "silence for ever"},
					"failed: rate limited [connections]":           {"refused 429"},
					"failed: canceled":                             {"ctx canceled"},
					"failed: closed":                               {"Close"},
				},
			},
			{
				name: "handshake", at: walinktest.StageHandshake, skip: 1, frame: frame{2, 1},
				want: outcomes{
					"linked": {"3 s late"},
					"network, linked": {
						"drop", "silence", "90 s late", "malformed", "frame spoilt", "rubbish before the frame",
						"frame cut", "slow reader, drop",
					},
					"network [TLS], linked":                                {"wrong root"},
					"network [clock], linked":                              {"expired certificate"},
					"stalled, linked":                                      {"frame twice"},
					"network repeatedly, failed: stalled [stored]":         {"drop for ever", "silence for ever"},
					"network [TLS] repeatedly, failed: stalled [stored]":   {"wrong root for ever"},
					"network [clock] repeatedly, failed: stalled [stored]": {"expired certificate for ever"},
					"failed: canceled":                                     {"ctx canceled"},
					"failed: closed":                                       {"Close"},
				},
			},
			{
				name: "login", at: walinktest.StageLogin, frame: frame{2, 2},
				want: outcomes{
					"linked":          {"3 s late", "twice", "overtaken", "unknown node", "early phone identity"},
					"network, linked": {"drop", "frame cut", "stream error 515", "slow reader, drop"},
					"stalled, linked": {
						"silence", "90 s late", "frame spoilt", "rubbish before the frame", "frame twice",
						"refs of another",
					},
					"server, linked": {
						"failure 400", "failure 500", "failure 503", "stream error 503", "stream error 777", "stream error 401 alone",
						"stream error without a code",
					},
					"logged out, linked, 2 codes": {
						"failure 401", "failure 403", "stream error 401 device_removed",
						"forget the device: disk full", "forget the device: hangs",
					},
					"client outdated, linked":                      {"failure 405", "failure 409"},
					"network repeatedly, failed: stalled [stored]": {"drop for ever"},
					"stalled repeatedly, failed: stalled [stored]": {"silence for ever"},
					"failed: temporarily banned":                   {"failure 402"},
					"failed: banned":                               {"failure 406"},
					"failed: rate limited [connections]":           {"failure 429"},
					"failed: replaced":                             {"stream error 409 replaced"},
					"failed: canceled":                             {"ctx canceled"},
					"failed: closed":                               {"Close"},
				},
			},
			{
				name: "first requests", at: walinktest.StageAfterLogin, frame: frame{2, 3},
				want: outcomes{
					"linked": {
						"3 s late", "twice", "overtaken", "malformed", "unknown node", "refs of another",
						"early phone identity", "refused 400", "refused 401", "refused 403", "refused 429",
						"refused 500", "refused 503", "count one-time keys: disk full",
						"make one-time keys: disk full", "mark one-time keys: disk full",
					},
					"network, linked": {"drop", "frame cut", "stream error 515", "slow reader, drop"},
					"stalled, linked": {
						"silence", "90 s late", "frame spoilt", "rubbish before the frame", "frame twice",
						"wrong id",
					},
					"server, linked": {
						"failure 400", "failure 500", "failure 503", "stream error 503", "stream error 777", "stream error 401 alone",
						"stream error without a code",
					},
					"logged out, linked, 2 codes": {
						"failure 401", "failure 403", "stream error 401 device_removed",
					},
					"client outdated, linked":                      {"failure 405", "failure 409"},
					"network repeatedly, failed: stalled [stored]": {"drop for ever"},
					"stalled repeatedly, failed: stalled [stored]": {"silence for ever"},
					"failed: temporarily banned":                   {"failure 402"},
					"failed: banned":                               {"failure 406"},
					"failed: rate limited [connections]":           {"failure 429"},
					"failed: replaced":                             {"stream error 409 replaced"},
					"failed: canceled":                             {"ctx canceled"},
					"failed: closed":                               {"Close"},
					"failed: store": {
						"count one-time keys: hangs", "make one-time keys: hangs", "mark one-time keys: hangs",
					},
				},
			},
		},
	}
}
