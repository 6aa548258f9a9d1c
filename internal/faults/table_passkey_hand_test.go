package faults_test

import (
	"github.com/walink/walink/walinktest"
)

// passkeyByHandFlow is the way by QR code with a passkey that a person answers.
func passkeyByHandFlow() *flow {
	return &flow{
		name:    "Passkey by hand",
		about:   "The person scans QR codes, answers the passkey through AnswerPasskey, and compares the codes.",
		passkey: true,
		byHand:  true,
		stages: []stage{
			{
				name: "challenge", at: walinktest.StagePasskeyRequest, frame: frame{1, 3},
				want: outcomes{
					"linked": {
						"3 s late", "overtaken", "malformed", "unknown node",
					},
					"network, linked, 2 codes":               {"drop", "stream error 515", "slow reader, drop"},
					"linked, 2 codes":                        {"silence", "90 s late"},
					"passkey, linked, 2 codes, 2 challenges": {"twice"},
					"linked, several codes":                  {"frame spoilt"},
					"passkey, linked, 2 codes":               {"challenge without content"},
					"forbidden, linked, 2 codes":             {"failure 401"},
					"server, linked, 2 codes":                {"failure 503", "stream error without a code"},
					"failed: timeout":                        {"silence for ever"},
					"failed: canceled":                       {"ctx canceled"},
					"failed: closed":                         {"Close"},
				},
			},
			{
				name: "ref", at: walinktest.StagePasskeyRef, frame: frame{1, 4},
				want: outcomes{
					"linked": {"3 s late", "twice", "overtaken", "malformed", "unknown node", "refused 400"},
					"network, linked, 2 codes, 2 challenges": {
						"drop", "stream error 515", "slow reader, drop",
					},
					"stalled, linked, 2 codes, 2 challenges": {"silence", "90 s late", "frame spoilt"},
					"passkey, linked, 2 codes, 2 challenges": {"challenge without content"},
					"server, linked, 2 codes, 2 challenges": {
						"refused 500", "refused 503", "failure 503", "stream error without a code",
					},
					"forbidden, linked, 2 codes, 2 challenges": {"failure 401"},
					"stalled repeatedly, failed: timeout":      {"silence for ever"},
					"failed: rate limited [passkey]":           {"refused 429"},
					"failed: canceled":                         {"ctx canceled"},
					"failed: closed":                           {"Close"},
				},
			},
			{
				name: "assertion", at: walinktest.StagePasskeyPrologue, frame: frame{1, 5},
				want: outcomes{
					"linked": {
						"3 s late", "twice", "overtaken", "frame spoilt", "unknown node",
						"challenge without content", "refused 400",
					},
					"network, linked, 2 codes, 2 challenges": {
						"drop", "stream error 515", "slow reader, drop",
					},
					"stalled, linked, 2 codes, 2 challenges": {"silence", "90 s late"},
					"server, linked, 2 codes, 2 challenges": {
						"refused 500", "refused 503", "failure 503", "stream error without a code",
					},
					"forbidden, linked, 2 codes, 2 challenges": {"failure 401"},
					"stalled repeatedly, failed: timeout":      {"silence for ever"},
					"failed: rate limited [passkey]":           {"refused 429"},
					"failed: canceled":                         {"ctx canceled"},
					"failed: closed":                           {"Close"},
				},
			},
			{
				name: "phone's identity", at: walinktest.StagePasskeyContinuation, frame: frame{1, 6},
				want: outcomes{
					"linked": {"3 s late", "overtaken", "unknown node", "challenge without content"},
					"network, linked, 2 codes, 2 challenges": {
						"drop", "stream error 515", "slow reader, drop",
					},
					"stalled, linked, 2 codes, 2 challenges":   {"silence", "90 s late", "frame spoilt"},
					identityTwice:                              {"twice"},
					"passkey, linked, 2 codes, 2 challenges":   {"malformed"},
					"forbidden, linked, 2 codes, 2 challenges": {"failure 401"},
					"server, linked, 2 codes, 2 challenges":    {"failure 503", "stream error without a code"},
					"stalled, failed: timeout":                 {"silence for ever"},
					"failed: canceled":                         {"ctx canceled"},
					"failed: closed":                           {"Close"},
				},
			},
			{
				name: "nonce", at: walinktest.StageCompanionNonce, frame: frame{1, 7},
				want: outcomes{
					"linked": {"3 s late", "twice", "overtaken", "unknown node", "challenge without content"},
					"network, linked, 2 codes, 2 challenges": {
						"drop", "stream error 515", "slow reader, drop",
					},
					"stalled, linked, 2 codes, 2 challenges": {"silence", "90 s late", "frame spoilt"},
					"passkey, linked, 2 codes, 2 challenges": {"refused 400"},
					"server, linked, 2 codes, 2 challenges": {
						"refused 500", "refused 503", "failure 503", "stream error without a code",
					},
					"forbidden, linked, 2 codes, 2 challenges": {"failure 401"},
					"stalled, failed: timeout":                 {"silence for ever"},
					"failed: rate limited [passkey]":           {"refused 429"},
					"failed: canceled":                         {"ctx canceled"},
					"failed: closed":                           {"Close"},
				},
			},
			{
				name: "pairing request", at: walinktest.StagePairingRequest, frame: frame{1, 8},
				want: outcomes{
					"linked": {"3 s late", "twice", "overtaken", "frame spoilt", "unknown node"},
					"network, linked, 2 codes, 2 challenges": {
						"drop", "stream error 515", "slow reader, drop",
					},
					"stalled, linked, 2 codes, 2 challenges": {"silence", "90 s late"},
					"passkey, linked, 2 codes, 2 challenges": {"refused 400"},
					"server, linked, 2 codes, 2 challenges": {
						"refused 500", "refused 503", "failure 503", "stream error without a code",
					},
					"forbidden, linked, 2 codes, 2 challenges": {"failure 401"},
					"stalled repeatedly, failed: timeout":      {"silence for ever"},
					"failed: rate limited [passkey]":           {"refused 429"},
					"failed: canceled":                         {"ctx canceled"},
					"failed: closed":                           {"Close"},
				},
			},
			{
				name: "pair-success", at: walinktest.StagePairSuccess, frame: frame{1, 9},
				want: outcomes{
					"linked": {"3 s late", "twice", "overtaken", "unknown node"},
					"network, linked, 2 codes, 2 challenges": {
						"drop", "stream error 515", "slow reader, drop",
					},
					"stalled, linked, 2 codes, 2 challenges": {
						"silence", "90 s late", "withdrawn secret", "frame spoilt",
					},
					"pairing, linked, 2 codes, 2 challenges":   {"malformed", "bad HMAC"},
					"forbidden, linked, 2 codes, 2 challenges": {"failure 401"},
					"server, linked, 2 codes, 2 challenges":    {"failure 503", "stream error without a code"},
					"stalled, failed: timeout":                 {"silence for ever"},
					"failed: canceled":                         {"ctx canceled"},
					"failed: closed":                           {"Close"},
					"failed: store":                            {"save the device: hangs"},
				},
			},
		},
	}
}
