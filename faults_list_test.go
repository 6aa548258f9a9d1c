package walink_test

import (
	"fmt"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink"
	"github.com/walink/walink/walinktest"
)

// The codes with which WhatsApp refuses: IQ errors, HTTP statuses and failure nodes.
var refusals = []int{400, 401, 402, 403, 405, 406, 409, 429, 500, 503}

// faults has every fault by its name in the tables.
func faults() map[string]fault {
	list := []fault{
		{name: "drop", action: walinktest.Drop()},
		{name: "drop for ever", action: walinktest.Drop(), forever: true, timeout: 2 * time.Minute, within: 3 * time.Minute},
		{name: "silence", action: walinktest.Silence(), within: 4 * time.Minute},
		{name: "silence for ever", action: walinktest.Silence(), forever: true, timeout: 2 * time.Minute, within: 3 * time.Minute},
		{name: "3 s late", action: walinktest.Delay(3 * time.Second)},
		{name: "90 s late", action: walinktest.Delay(90 * time.Second), within: 4 * time.Minute},
		{name: "twice", action: walinktest.Twice(), within: 4 * time.Minute},
		{name: "overtaken", action: walinktest.Overtaken(), within: 4 * time.Minute},
		{name: "malformed", action: walinktest.Malformed(), within: 3 * time.Minute},
		{name: "bad HMAC", action: walinktest.BadHMAC()},
		{name: "bad signature", action: walinktest.BadSignature()},
		{name: "wrong root", action: walinktest.BadSignature()},
		{name: "wrong root for ever", action: walinktest.BadSignature(), forever: true, timeout: 2 * time.Minute, within: 3 * time.Minute},
		{name: "expired certificate", action: walinktest.ExpiredCertificate()},
		{name: "expired certificate for ever", action: walinktest.ExpiredCertificate(), forever: true, timeout: 2 * time.Minute, within: 3 * time.Minute},
		{name: "withdrawn secret", action: walinktest.RefreshQR(), within: 2 * time.Minute},
		{name: "stream error 401 device_removed", action: walinktest.StreamError(401, "device_removed")},
		{name: "stream error 409 replaced", action: walinktest.StreamError(409, "replaced")},
		{name: "stream error 503", action: walinktest.StreamError(503, "")},
		{name: "stream error 515", action: walinktest.StreamError(515, "")},
		{name: "stream error 777", action: walinktest.StreamError(777, "")},
		{name: "stream error without a code", action: walinktest.StreamError(0, "")},
		{name: "frame spoilt", wire: spoilt, within: 4 * time.Minute},
		{name: "rubbish before the frame", wire: preceded, within: 4 * time.Minute},
		{name: "frame twice", wire: repeated, within: 4 * time.Minute},
		{name: "frame cut", wire: cut},
		{name: "wrong id", action: walinktest.Silence(), stray: &wrongID, within: 4 * time.Minute},
		{name: "slow reader, drop", action: walinktest.Drop(), slow: true, within: 3 * time.Minute},
		{name: "ctx canceled", action: walinktest.Silence(), end: walink.ErrCanceled, within: 20 * time.Second},
		{name: "Close", action: walinktest.Silence(), end: walink.ErrClosed, within: 20 * time.Second},
		{name: "rate limit, one hour", action: walinktest.RateLimit(time.Hour)},
	}
	for _, code := range refusals {
		refuse, failure := walinktest.Refuse(code), walinktest.Failure(code)
		if code == 402 {
			failure = walinktest.Failure(code, "code", "101", "expire", "3600")
		}
		list = append(list,
			fault{name: fmt.Sprint("refused ", code), action: refuse, within: 2 * time.Minute},
			fault{name: fmt.Sprint("failure ", code), action: failure, within: 2 * time.Minute})
	}
	for name, node := range strays() {
		list = append(list, fault{name: name, action: walinktest.Delay(3 * time.Second), stray: &node, within: 11 * time.Minute})
	}
	for _, call := range []storeCall{
		callDevice, callLedger, callRefuse, callSave, callIdentity, callLID, callCount, callKeys, callUploaded, callDelete,
		callForget, callTake, callRenew, callRelease,
	} {
		f := fault{removed: call == callDelete}
		switch call {
		case callRefuse:
			f.staged, f.action = true, walinktest.Refuse(429)
		case callForget:
			f.staged, f.action = true, walinktest.Failure(401)
		case callRenew:
			f.staged, f.action, f.forever = true, walinktest.Silence(), true
		case callRelease:
			f.staged, f.action, f.end = true, walinktest.Silence(), walink.ErrCanceled
			f.rest = 30 * time.Second // until the lease has run out
		default:
		}
		for name, err := range map[string]error{": disk full": errDiskFull, ": hangs": nil} {
			f.name, f.store = string(call)+name, fail(call, err)
			list = append(list, f)
		}
	}
	byName := map[string]fault{}
	for _, f := range list {
		byName[f.name] = f
	}
	return byName
}

// strays are nodes that nobody waits for: of an unknown kind, out of order, or
// said again. They arrive while a stage is 3 s late.
func strays() map[string]waBinary.Node {
	server := types.ServerJID
	reg := func(stage string) waBinary.Node {
		return waBinary.Node{
			Tag: "notification", Attrs: waBinary.Attrs{"from": server, "type": "link_code_companion_reg", "id": "7", "t": 1},
			Content: []waBinary.Node{{
				Tag: "link_code_companion_reg", Attrs: waBinary.Attrs{"stage": stage},
				Content: []waBinary.Node{{Tag: "link_code_pairing_ref", Content: []byte("another")}},
			}},
		}
	}
	iq := func(child waBinary.Node) waBinary.Node {
		return waBinary.Node{
			Tag: "iq", Attrs: waBinary.Attrs{"from": server, "type": "set", "id": "8", "xmlns": "md", "t": 1},
			Content: []waBinary.Node{child},
		}
	}
	return map[string]waBinary.Node{
		"unknown node":              {Tag: "unheard-of", Attrs: waBinary.Attrs{"from": server}},
		"early success":             {Tag: "success", Attrs: waBinary.Attrs{"t": 1}},
		"refs of another":           iq(waBinary.Node{Tag: "pair-device", Content: []waBinary.Node{{Tag: "ref", Content: []byte("2@another")}}}),
		"pair-success of nobody":    iq(waBinary.Node{Tag: "pair-success"}),
		"primary_hello of another":  reg("primary_hello"),
		"refresh_code of another":   reg("refresh_code"),
		"unknown pairing stage":     reg("unheard_of"),
		"early phone identity":      {Tag: "notification", Attrs: waBinary.Attrs{"from": server, "type": "crsc_continuation", "id": "9", "t": 1}},
		"challenge without content": {Tag: "notification", Attrs: waBinary.Attrs{"from": server, "type": "passkey_prologue_request", "id": "9", "t": 1}},
	}
}
