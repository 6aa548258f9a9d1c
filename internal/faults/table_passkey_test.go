package faults_test

import (
	"github.com/walink/walink/walinktest"
)

// identityTwice is what comes of a phone's identity that arrives twice: it
// depends on which of the events that follow comes first.
const identityTwice = "linked or passkey, linked or passkey, linked, 2 codes, 2 challenges" +
	" or passkey, resumed, 1 code, 1 challenge" +
	" or network, linked or network, linked, 2 codes, 2 challenges"

// challengeTwice is what comes of a challenge that arrives twice: the second comes before the
// answer to the first is sent, or after it.
const challengeTwice = "linked or passkey, linked, 2 codes, 2 challenges"

// passkeyFlow is the way by QR code with a passkey.
func passkeyFlow() *flow {
	return &flow{
		name:    "Passkey",
		about:   "The account has a passkey, which Settings.Passkey answers. The person scans QR codes.",
		passkey: true,
		stages: []stage{
			{
				name: "websocket", at: walinktest.StageUpgrade,
				want: outcomes{
					"linked":          {"3 s late"},
					"network, linked": {"drop", "silence", "90 s late", "slow reader, drop"},
					"server, linked": {
						"refused 400", "refused 402", "refused 405", "refused 406", "refused 409",
						"refused 500", "refused 503",
					},
					"forbidden, linked":                             {"refused 401", "refused 403"},
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
					"linked": {"3 s late"},
					"network, linked": {
						"drop", "silence", "90 s late", "malformed", "frame spoilt", "rubbish before the frame",
						"frame cut", "slow reader, drop",
					},
					"network [TLS], linked":   {"wrong root"},
					"network [clock], linked": {"expired certificate"},
					"stalled, linked":         {"frame twice"},
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
				name: "refs", at: walinktest.StagePairDevice, frame: frame{1, 2},
				want: outcomes{
					"linked": {
						"3 s late", "twice", "overtaken", "unknown node", "early success",
						"primary_hello of another", "refresh_code of another", "unknown pairing stage",
						"early phone identity",
					},
					"network, linked": {
						"drop", "frame cut", "stream error 515", "slow reader, drop",
					},
					"stalled, linked": {
						"silence", "90 s late", "frame spoilt", "rubbish before the frame",
					},
					"pairing, linked":                   {"malformed", "pair-success of nobody"},
					"linked, several codes, 2 attempts": {"frame twice"},
					"linked, 2 codes":                   {"refs of another"},
					"passkey, linked":                   {"challenge without content"},
					"server, linked": {
						"failure 400", "failure 500", "failure 503", "stream error 503", "stream error 777",
						"stream error without a code",
					},
					"forbidden, linked": {
						"failure 401", "failure 403", "stream error 401 device_removed", "stream error 401 alone",
					},
					"client outdated, linked":                       {"failure 405", "failure 409"},
					"network repeatedly, failed: timeout (network)": {"drop for ever"},
					"stalled repeatedly, failed: timeout (stalled)": {"silence for ever"},
					"failed: temporarily banned":                    {"failure 402"},
					"failed: banned":                                {"failure 406"},
					"failed: rate limited [connections]":            {"failure 429"},
					"failed: replaced":                              {"stream error 409 replaced"},
					"failed: canceled":                              {"ctx canceled"},
					"failed: closed":                                {"Close"},
				},
			},
			{
				name: "challenge", at: walinktest.StagePasskeyRequest, frame: frame{1, 3},
				want: outcomes{
					"linked": {
						"3 s late", "overtaken", "malformed", "unknown node", "early success",
						"early phone identity",
					},
					"network, linked, 2 codes": {
						"drop", "frame cut", "stream error 515", "slow reader, drop",
					},
					"linked, 2 codes":                        {"silence", "90 s late"},
					challengeTwice:                           {"twice"},
					"linked, several codes":                  {"frame spoilt"},
					"linked, several codes, 2 attempts":      {"rubbish before the frame"},
					"stalled, linked, 2 codes, 2 challenges": {"frame twice"},
					"passkey, linked, 2 codes":               {"challenge without content"},
					"server, linked, 2 codes": {
						"failure 400", "failure 500", "failure 503", "stream error 503", "stream error 777",
						"stream error without a code",
					},
					"forbidden, linked, 2 codes": {
						"failure 401", "failure 403", "stream error 401 device_removed", "stream error 401 alone",
					},
					"client outdated, linked, 2 codes":               {"failure 405", "failure 409"},
					"network repeatedly, failed: timeout (network?)": {"drop for ever"},
					"failed: timeout":                                {"silence for ever"},
					"failed: temporarily banned":                     {"failure 402"},
					"failed: banned":                                 {"failure 406"},
					"failed: rate limited [connections]":             {"failure 429"},
					"failed: replaced":                               {"stream error 409 replaced"},
					"failed: canceled":                               {"ctx canceled"},
					"failed: closed":                                 {"Close"},
				},
			},
			{
				name: "ref", at: walinktest.StagePasskeyRef, frame: frame{1, 4},
				want: outcomes{
					"linked": {
						"3 s late", "twice", "overtaken", "malformed", "unknown node", "early success",
						"refused 400", "refused 401", "refused 403", "refused 405", "refused 406",
						"refused 409",
					},
					"network, linked, 2 codes, 2 challenges": {
						"drop", "frame cut", "stream error 515", "slow reader, drop",
					},
					"stalled, linked, 2 codes, 2 challenges": {
						"silence", "90 s late", "frame spoilt", "rubbish before the frame", "frame twice",
						"wrong id",
					},
					"passkey, linked, 2 codes, 2 challenges": {
						"early phone identity", "challenge without content",
					},
					"server, linked, 2 codes, 2 challenges": {
						"refused 500", "refused 503", "failure 400", "failure 500", "failure 503",
						"stream error 503", "stream error 777", "stream error without a code",
					},
					"forbidden, linked, 2 codes, 2 challenges": {
						"failure 401", "failure 403", "stream error 401 device_removed", "stream error 401 alone",
					},
					"client outdated, linked, 2 codes, 2 challenges": {"failure 405", "failure 409"},
					"network repeatedly, failed: timeout (network?)": {"drop for ever"},
					"stalled repeatedly, failed: timeout":            {"silence for ever"},
					"failed: rate limited [passkey]":                 {"refused 429", "rate limit, one hour"},
					"failed: temporarily banned":                     {"failure 402"},
					"failed: banned":                                 {"failure 406"},
					"failed: rate limited [connections]":             {"failure 429"},
					"failed: replaced":                               {"stream error 409 replaced"},
					"failed: canceled":                               {"ctx canceled"},
					"failed: closed":                                 {"Close"},
				},
			},
			{
				name: "assertion", at: walinktest.StagePasskeyPrologue, frame: frame{1, 5},
				want: outcomes{
					"linked": {
						"3 s late", "twice", "overtaken", "frame spoilt", "unknown node", "early success",
						"challenge without content", "refused 400", "refused 401", "refused 403", "refused 405",
						"refused 406", "refused 409",
					},
					"network, linked, 2 codes, 2 challenges": {
						"drop", "frame cut", "stream error 515", "slow reader, drop",
					},
					"stalled, linked, 2 codes, 2 challenges": {
						"silence", "90 s late", "rubbish before the frame", "frame twice", "wrong id",
					},
					"passkey, linked, 2 codes, 2 challenges": {"early phone identity"},
					"server, linked, 2 codes, 2 challenges": {
						"refused 500", "refused 503", "failure 400", "failure 500", "failure 503",
						"stream error 503", "stream error 777", "stream error without a code",
					},
					"forbidden, linked, 2 codes, 2 challenges": {
						"failure 401", "failure 403", "stream error 401 device_removed", "stream error 401 alone",
					},
					"client outdated, linked, 2 codes, 2 challenges": {"failure 405", "failure 409"},
					"network repeatedly, failed: timeout (network?)": {"drop for ever"},
					"stalled repeatedly, failed: timeout":            {"silence for ever"},
					"failed: rate limited [passkey]":                 {"refused 429", "rate limit, one hour"},
					"failed: temporarily banned":                     {"failure 402"},
					"failed: banned":                                 {"failure 406"},
					"failed: rate limited [connections]":             {"failure 429"},
					"failed: replaced":                               {"stream error 409 replaced"},
					"failed: canceled":                               {"ctx canceled"},
					"failed: closed":                                 {"Close"},
				},
			},
			{
				name: "phone's identity", at: walinktest.StagePasskeyContinuation, frame: frame{1, 6},
				want: outcomes{
					"linked": {
						"3 s late", "overtaken", "unknown node", "early success", "challenge without content",
					},
					"network, linked, 2 codes, 2 challenges": {
						"drop", "frame cut", "stream error 515", "slow reader, drop",
					},
					"stalled, linked, 2 codes, 2 challenges": {
						"silence", "90 s late", "frame spoilt", "rubbish before the frame", "frame twice",
					},
					identityTwice:                            {"twice"},
					"passkey, linked, 2 codes, 2 challenges": {"malformed", "early phone identity"},
					"server, linked, 2 codes, 2 challenges": {
						"failure 400", "failure 500", "failure 503", "stream error 503", "stream error 777",
						"stream error without a code",
					},
					"forbidden, linked, 2 codes, 2 challenges": {
						"failure 401", "failure 403", "stream error 401 device_removed", "stream error 401 alone",
					},
					"client outdated, linked, 2 codes, 2 challenges": {"failure 405", "failure 409"},
					"network repeatedly, failed: timeout (network?)": {"drop for ever"},
					"stalled, failed: timeout":                       {"silence for ever"},
					"failed: temporarily banned":                     {"failure 402"},
					"failed: banned":                                 {"failure 406"},
					"failed: rate limited [connections]":             {"failure 429"},
					"failed: replaced":                               {"stream error 409 replaced"},
					"failed: canceled":                               {"ctx canceled"},
					"failed: closed":                                 {"Close"},
				},
			},
			{
				name: "nonce", at: walinktest.StageCompanionNonce, frame: frame{1, 7},
				want: outcomes{
					"linked": {
						"3 s late", "twice", "overtaken", "unknown node", "early success",
						"challenge without content",
					},
					"network, linked, 2 codes, 2 challenges": {
						"drop", "frame cut", "stream error 515", "slow reader, drop",
					},
					"stalled, linked, 2 codes, 2 challenges": {
						"silence", "90 s late", "frame spoilt", "rubbish before the frame", "frame twice",
						"wrong id",
					},
					"passkey, linked, 2 codes, 2 challenges": {
						"early phone identity", "refused 400", "refused 401", "refused 403", "refused 405",
						"refused 406", "refused 409",
					},
					"server, linked, 2 codes, 2 challenges": {
						"refused 500", "refused 503", "failure 400", "failure 500", "failure 503",
						"stream error 503", "stream error 777", "stream error without a code",
					},
					"forbidden, linked, 2 codes, 2 challenges": {
						"failure 401", "failure 403", "stream error 401 device_removed", "stream error 401 alone",
					},
					"client outdated, linked, 2 codes, 2 challenges": {"failure 405", "failure 409"},
					"network repeatedly, failed: timeout (network?)": {"drop for ever"},
					"stalled, failed: timeout":                       {"silence for ever"},
					"failed: rate limited [passkey]":                 {"refused 429", "rate limit, one hour"},
					"failed: temporarily banned":                     {"failure 402"},
					"failed: banned":                                 {"failure 406"},
					"failed: rate limited [connections]":             {"failure 429"},
					"failed: replaced":                               {"stream error 409 replaced"},
					"failed: canceled":                               {"ctx canceled"},
					"failed: closed":                                 {"Close"},
				},
			},
			{
				name: "pairing request", at: walinktest.StagePairingRequest, frame: frame{1, 8},
				want: outcomes{
					"linked": {
						"3 s late", "twice", "overtaken", "frame spoilt", "unknown node", "early success",
					},
					"network, linked, 2 codes, 2 challenges": {
						"drop", "frame cut", "stream error 515", "slow reader, drop",
					},
					"stalled, linked, 2 codes, 2 challenges": {
						"silence", "90 s late", "rubbish before the frame", "frame twice", "wrong id",
					},
					"passkey, linked, 2 codes, 2 challenges": {
						"early phone identity", "refused 400", "refused 401", "refused 403", "refused 405",
						"refused 406", "refused 409",
					},
					"pairing, linked, 2 codes, 2 challenges": {"challenge without content"},
					"server, linked, 2 codes, 2 challenges": {
						"refused 500", "refused 503", "failure 400", "failure 500", "failure 503",
						"stream error 503", "stream error 777", "stream error without a code",
					},
					"forbidden, linked, 2 codes, 2 challenges": {
						"failure 401", "failure 403", "stream error 401 device_removed", "stream error 401 alone",
					},
					"client outdated, linked, 2 codes, 2 challenges": {"failure 405", "failure 409"},
					"network repeatedly, failed: timeout (network?)": {"drop for ever"},
					"stalled repeatedly, failed: timeout":            {"silence for ever"},
					"failed: rate limited [passkey]":                 {"refused 429", "rate limit, one hour"},
					"failed: temporarily banned":                     {"failure 402"},
					"failed: banned":                                 {"failure 406"},
					"failed: rate limited [connections]":             {"failure 429"},
					"failed: replaced":                               {"stream error 409 replaced"},
					"failed: canceled":                               {"ctx canceled"},
					"failed: closed":                                 {"Close"},
				},
			},
			{
				name: "pair-success", at: walinktest.StagePairSuccess, frame: frame{1, 9},
				want: outcomes{
					"linked": {
						"3 s late", "twice", "overtaken", "frame twice", "unknown node", "early success",
						"save the LID: disk full",
					},
					"network, linked, 2 codes, 2 challenges": {
						"drop", "frame cut", "stream error 515", "slow reader, drop",
					},
					"stalled, linked, 2 codes, 2 challenges": {
						"silence", "90 s late", "withdrawn secret", "frame spoilt", "rubbish before the frame",
					},
					"pairing, linked, 2 codes, 2 challenges": {
						"malformed", "bad HMAC", "bad signature", "challenge without content",
					},
					"passkey, linked, 2 codes, 2 challenges": {"early phone identity"},
					"server, linked, 2 codes, 2 challenges": {
						"failure 400", "failure 500", "failure 503", "stream error 503", "stream error 777",
						"stream error without a code",
					},
					"forbidden, linked, 2 codes, 2 challenges": {
						"failure 401", "failure 403", "stream error 401 device_removed", "stream error 401 alone",
					},
					"client outdated, linked, 2 codes, 2 challenges": {"failure 405", "failure 409"},
					"network repeatedly, failed: timeout (network?)": {"drop for ever"},
					"stalled, failed: timeout":                       {"silence for ever"},
					"failed: temporarily banned":                     {"failure 402"},
					"failed: banned":                                 {"failure 406"},
					"failed: rate limited [connections]":             {"failure 429"},
					"failed: replaced":                               {"stream error 409 replaced"},
					"failed: canceled":                               {"ctx canceled"},
					"failed: closed":                                 {"Close"},
					"failed: store": {
						"save the device: disk full", "save the device: hangs",
						"save the phone's identity: disk full", "save the phone's identity: hangs",
						"save the LID: hangs",
					},
				},
			},
			{
				name: "device signature", at: walinktest.StagePairDeviceSign,
				want: outcomes{
					"linked": {
						"3 s late", "unknown node", "primary_hello of another", "refresh_code of another",
						"unknown pairing stage",
					},
					"logged out, linked, 2 codes, 2 challenges": {
						"drop", "silence", "90 s late", "failure 401", "failure 403",
						"stream error 401 device_removed", "stream error 515", "slow reader, drop",
					},
					"stalled, linked": {"refs of another"},
					"server, logged out, linked, 2 codes, 2 challenges": {
						"failure 400", "failure 500", "failure 503", "stream error 503", "stream error 777", "stream error 401 alone",
						"stream error without a code",
					},
					"client outdated, logged out, linked, 2 codes, 2 challenges": {
						"failure 405", "failure 409",
					},
					"failed: temporarily banned":         {"failure 402"},
					"failed: banned":                     {"failure 406"},
					"failed: rate limited [connections]": {"failure 429"},
					"failed: replaced":                   {"stream error 409 replaced"},
					"failed: canceled":                   {"ctx canceled"},
					"failed: closed":                     {"Close"},
				},
			},
		},
	}
}
