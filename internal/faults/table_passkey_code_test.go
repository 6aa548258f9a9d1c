package faults_test

import (
	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/walinktest"
)

// passkeyAfterCodeFlow is the way by pairing code with a passkey.
func passkeyAfterCodeFlow() *flow {
	return &flow{
		name: "Passkey after a pairing code",
		about: "The person enters each pairing code as soon as it is shown," +
			" and Settings.Passkey answers the passkey.",
		settings: walink.Settings{Phone: rig.Number, LinkingMode: walink.ModePairing},
		passkey:  true,
		stages: []stage{
			{
				name: "challenge", at: walinktest.StagePasskeyRequest, frame: frame{1, 6},
				want: outcomes{
					"linked":                          {"overtaken", "malformed"},
					"network, linked, 2 codes":        {"drop", "stream error 515"},
					"stalled [code], linked, 2 codes": {"silence"},
					"linked or passkey, linked, 2 codes, 2 challenges": {"twice"},
					"forbidden, linked, 2 codes":                       {"failure 401"},
					"failed: closed":                                   {"Close"},
				},
			},
			{
				name: "ref", at: walinktest.StagePasskeyRef, frame: frame{1, 7},
				want: outcomes{
					"linked":                                   {"twice", "overtaken", "malformed", "refused 400"},
					"network, linked, 2 codes, 2 challenges":   {"drop", "stream error 515"},
					"stalled, linked, 2 codes, 2 challenges":   {"silence"},
					"forbidden, linked, 2 codes, 2 challenges": {"failure 401"},
					"failed: rate limited [passkey]":           {"refused 429"},
					"failed: closed":                           {"Close"},
				},
			},
			{
				name: "assertion", at: walinktest.StagePasskeyPrologue, frame: frame{1, 8},
				want: outcomes{
					"linked":                                   {"twice", "overtaken", "refused 400"},
					"network, linked, 2 codes, 2 challenges":   {"drop", "stream error 515"},
					"stalled, linked, 2 codes, 2 challenges":   {"silence"},
					"forbidden, linked, 2 codes, 2 challenges": {"failure 401"},
					"failed: rate limited [passkey]":           {"refused 429"},
					"failed: closed":                           {"Close"},
				},
			},
			{
				name: "phone's identity", at: walinktest.StagePasskeyContinuation, frame: frame{1, 9},
				want: outcomes{
					"linked":                                   {"overtaken"},
					"network, linked, 2 codes, 2 challenges":   {"drop", "stream error 515"},
					"stalled, linked, 2 codes, 2 challenges":   {"silence"},
					identityTwice:                              {"twice"},
					"passkey, linked, 2 codes, 2 challenges":   {"malformed"},
					"forbidden, linked, 2 codes, 2 challenges": {"failure 401"},
					"failed: closed":                           {"Close"},
				},
			},
			{
				name: "nonce", at: walinktest.StageCompanionNonce, frame: frame{1, 10},
				want: outcomes{
					"linked":                                   {"twice", "overtaken"},
					"network, linked, 2 codes, 2 challenges":   {"drop", "stream error 515"},
					"stalled, linked, 2 codes, 2 challenges":   {"silence"},
					"passkey, linked, 2 codes, 2 challenges":   {"refused 400"},
					"forbidden, linked, 2 codes, 2 challenges": {"failure 401"},
					"failed: rate limited [passkey]":           {"refused 429"},
					"failed: closed":                           {"Close"},
				},
			},
			{
				name: "pairing request", at: walinktest.StagePairingRequest, frame: frame{1, 11},
				want: outcomes{
					"linked":                                   {"twice", "overtaken"},
					"network, linked, 2 codes, 2 challenges":   {"drop", "stream error 515"},
					"stalled, linked, 2 codes, 2 challenges":   {"silence"},
					"passkey, linked, 2 codes, 2 challenges":   {"refused 400"},
					"forbidden, linked, 2 codes, 2 challenges": {"failure 401"},
					"failed: rate limited [passkey]":           {"refused 429"},
					"failed: closed":                           {"Close"},
				},
			},
			{
				name: "pair-success", at: walinktest.StagePairSuccess, frame: frame{1, 12},
				want: outcomes{
					"linked":                                   {"twice", "overtaken"},
					"network, linked, 2 codes, 2 challenges":   {"drop", "stream error 515"},
					"stalled, linked, 2 codes, 2 challenges":   {"silence", "withdrawn secret"},
					"pairing, linked, 2 codes, 2 challenges":   {"malformed"},
					"forbidden, linked, 2 codes, 2 challenges": {"failure 401"},
					"failed: closed":                           {"Close"},
					"failed: store":                            {"save the device: hangs"},
				},
			},
		},
	}
}
