package faults_test

import (
	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/walinktest"
)

// codeFlow is the way by pairing code.
func codeFlow() *flow {
	return &flow{
		name: "Linking by pairing code",
		about: "The person enters each code as soon as it is shown; QR codes are not allowed." +
			" The stages before it are sampled.",
		settings: walink.Settings{Phone: rig.Number, LinkingMode: walink.ModePairing},
		stages: []stage{
			{
				name: "websocket", at: walinktest.StageUpgrade,
				want: outcomes{
					"linked":            {"3 s late"},
					"network, linked":   {"drop", "silence", "90 s late", "slow reader, drop"},
					"forbidden, linked": {"refused 401", "refused 403"},
					"server, linked":    {"refused 503"},
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
						"3 s late", "twice", "overtaken", "malformed", "unknown node", "refs of another",
					},
					"network, linked": {"drop", "frame cut", "stream error 515", "slow reader, drop"},
					"stalled, linked": {
						"silence", "90 s late", "frame spoilt", "rubbish before the frame", "frame twice",
					},
					"forbidden, linked": {
						"failure 401", "stream error 401 device_removed", "stream error 401 alone",
					},
					"client outdated, linked":                       {"failure 405"},
					"server, linked":                                {"failure 503", "stream error without a code"},
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
				name: "code request", at: walinktest.StageCompanionHello, frame: frame{1, 3},
				want: outcomes{
					"linked": {
						"3 s late", "twice", "overtaken", "unknown node", "refs of another",
						"primary_hello of another", "refresh_code of another", "unknown pairing stage",
					},
					"network, linked": {"drop", "frame cut", "stream error 515", "slow reader, drop"},
					"stalled, linked": {
						"silence", "90 s late", "frame spoilt", "rubbish before the frame", "wrong id",
					},
					"pairing, linked":             {"malformed"},
					"linked, 2 codes, 2 attempts": {"frame twice"},
					"server, linked": {
						"refused 500", "refused 503", "failure 400", "failure 500", "failure 503",
						"stream error 503", "stream error 777", "stream error without a code",
					},
					"forbidden, linked": {
						"failure 401", "failure 403", "stream error 401 device_removed", "stream error 401 alone",
					},
					"client outdated, linked":                       {"failure 405", "failure 409"},
					"network repeatedly, failed: timeout (network)": {"drop for ever"},
					"stalled repeatedly, failed: stalled":           {"silence for ever"},
					"failed: code refused": {
						"refused 400", "refused 402", "refused 405", "refused 406", "refused 409",
					},
					"failed: forbidden": {"refused 401", "refused 403", "refused 452"},
					"failed: rate limited": {
						"refused 429", "rate limit, one hour", "record the refusal: disk full",
						"record the refusal: hangs",
					},
					"failed: temporarily banned":         {"failure 402"},
					"failed: banned":                     {"failure 406"},
					"failed: rate limited [connections]": {"failure 429"},
					"failed: replaced":                   {"stream error 409 replaced"},
					"failed: canceled":                   {"ctx canceled"},
					"failed: closed":                     {"Close"},
					"failed: store":                      {"count the code: disk full", "count the code: hangs"},
				},
			},
			{
				name: "phone's answer", at: walinktest.StagePrimaryHello, frame: frame{1, 4},
				want: outcomes{
					"code withdrawn: code refused [by hand], linked": {"code spent, the next by hand"},
					"linked": {
						"3 s late", "overtaken", "unknown node", "refs of another", "primary_hello of another",
						"refresh_code of another", "unknown pairing stage", "registration refreshed", "second pair-device",
					},
					"network, linked, 2 codes": {
						"drop", "frame cut", "stream error 515", "slow reader, drop",
					},
					"linked, 2 codes, 2 attempts": {
						"silence", "frame spoilt", "rubbish before the frame",
					},
					"code withdrawn: code refused [phone], linked, 2 codes":                   {"90 s late"},
					"code withdrawn: code refused [phone], linked, several codes, 2 attempts": {"code spent"},
					"linked or pairing, linked, 2 codes":                                      {"twice"},
					"stalled [code], linked, 2 codes":                                         {"malformed", "frame twice"},
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
				name: "key bundle", at: walinktest.StageCompanionFinish, frame: frame{1, 5},
				want: outcomes{
					"linked": {
						"3 s late", "twice", "overtaken", "frame spoilt", "unknown node", "refs of another",
						"primary_hello of another", "refresh_code of another", "unknown pairing stage", "registration refreshed", "second pair-device",
					},
					"network, linked, 2 codes": {
						"drop", "frame cut", "stream error 515", "slow reader, drop",
					},
					"stalled [code], linked, 2 codes": {
						"silence", "90 s late", "rubbish before the frame", "frame twice", "wrong id",
					},
					"code withdrawn: code refused [phone], linked, 2 codes": {
						"refused 400", "refused 401", "refused 402", "refused 403", "refused 405",
						"refused 406", "refused 409", "refused 429", "rate limit, one hour", "refused 500",
						"refused 503", "code spent",
					},
					"code withdrawn: code refused [by hand], linked": {"code spent, the next by hand"},
					"server, linked, 2 codes": {
						"failure 400", "failure 500", "failure 503", "stream error 503", "stream error 777",
						"stream error without a code",
					},
					"forbidden, linked, 2 codes": {
						"failure 401", "failure 403", "stream error 401 device_removed", "stream error 401 alone",
					},
					"client outdated, linked, 2 codes":               {"failure 405", "failure 409"},
					"network repeatedly, failed: timeout (network?)": {"drop for ever"},
					"stalled [code], failed: timeout":                {"silence for ever"},
					"failed: temporarily banned":                     {"failure 402"},
					"failed: banned":                                 {"failure 406"},
					"failed: rate limited [connections]":             {"failure 429"},
					"failed: replaced":                               {"stream error 409 replaced"},
					"failed: canceled":                               {"ctx canceled"},
					"failed: closed":                                 {"Close"},
				},
			},
			{
				name: "pair-success", at: walinktest.StagePairSuccess, frame: frame{1, 6},
				want: outcomes{
					"code withdrawn: code refused [phone], linked, 2 codes": {"code spent"},
					"code withdrawn: code refused [by hand], linked":        {"code spent, the next by hand"},
					"linked": {
						"3 s late", "twice", "overtaken", "frame twice", "unknown node", "refs of another",
						"primary_hello of another", "refresh_code of another", "unknown pairing stage", "registration refreshed", "second pair-device",
						"save the LID: disk full",
					},
					"network, linked, 2 codes": {
						"drop", "frame cut", "stream error 515", "slow reader, drop",
					},
					"stalled [code], linked, 2 codes": {
						"silence", "90 s late", "withdrawn secret", "frame spoilt", "rubbish before the frame",
					},
					"pairing, linked, 2 codes": {"malformed", "bad HMAC", "bad signature"},
					"server, linked, 2 codes": {
						"failure 400", "failure 500", "failure 503", "stream error 503", "stream error 777",
						"stream error without a code",
					},
					"forbidden, linked, 2 codes": {
						"failure 401", "failure 403", "stream error 401 device_removed", "stream error 401 alone",
					},
					"client outdated, linked, 2 codes":               {"failure 405", "failure 409"},
					"network repeatedly, failed: timeout (network?)": {"drop for ever"},
					"stalled [code], failed: timeout":                {"silence for ever"},
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
					"linked": {"3 s late", "unknown node"},
					"logged out, linked, 2 codes": {
						"drop", "silence", "90 s late", "failure 401", "failure 403",
						"stream error 401 device_removed", "stream error 515", "slow reader, drop",
					},
					"stalled, linked": {
						"refs of another", "primary_hello of another", "refresh_code of another",
						"unknown pairing stage",
					},
					"server, logged out, linked, 2 codes": {
						"failure 400", "failure 500", "failure 503", "stream error 503", "stream error 777", "stream error 401 alone",
						"stream error without a code",
					},
					"client outdated, logged out, linked, 2 codes": {"failure 405", "failure 409"},
					"failed: temporarily banned":                   {"failure 402"},
					"failed: banned":                               {"failure 406"},
					"failed: rate limited [connections]":           {"failure 429"},
					"failed: replaced":                             {"stream error 409 replaced"},
					"failed: canceled":                             {"ctx canceled"},
					"failed: closed":                               {"Close"},
				},
			},
		},
	}
}
