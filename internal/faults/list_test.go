package faults_test

import (
	"fmt"
	"slices"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink"
	"github.com/walink/walink/walinktest"
)

// fault is something that goes wrong at a stage.
type fault struct {
	name   string
	within time.Duration // the Link ends in that time; 0 is a minute

	action  walinktest.Action        // what the server does at the stage
	forever bool                     // it does so every time, and not once
	frame   tampering                // what happens to the stage's frame
	stray   *waBinary.Node           // what the client receives one second after the Link's start
	server  func(*walinktest.Server) // what else the server does at that time
	end     walink.Reason            // the program ends the Link 3 s after its start: ErrCanceled, ErrClosed
	slow    bool                     // the program takes 5 s for each event
	store   func(*faultyStore)       // what the Store does
	removed bool                     // the phone has removed the stored device
	timeout time.Duration            // Settings.Timeout
	rest    time.Duration            // before the next Link
}

// allFaults returns every fault that the tables name, in the order of the page.
func allFaults() []fault {
	return slices.Concat(serverFaults(), frameFaults(), strays(), refusals(), streamErrors(), programFaults(), storeFaults())
}

func serverFaults() []fault {
	const minute = time.Minute
	return []fault{
		{name: "drop", action: walinktest.Drop()},
		forever(fault{name: "drop", action: walinktest.Drop()}),
		{name: "silence", action: walinktest.Silence(), within: 4 * minute},
		forever(fault{name: "silence", action: walinktest.Silence()}),
		{name: "3 s late", action: walinktest.Delay(3 * time.Second)},
		{name: "90 s late", action: walinktest.Delay(90 * time.Second), within: 4 * minute},
		{name: "twice", action: walinktest.Twice(), within: 4 * minute},
		{name: "overtaken", action: walinktest.Overtaken(), within: 4 * minute},
		{name: "malformed", action: walinktest.Malformed(), within: 3 * minute},
		{name: "bad HMAC", action: walinktest.BadHMAC()},
		{name: "bad signature", action: walinktest.BadSignature()},
		{name: "wrong root", action: walinktest.BadSignature()},
		forever(fault{name: "wrong root", action: walinktest.BadSignature()}),
		{name: "expired certificate", action: walinktest.ExpiredCertificate()},
		forever(fault{name: "expired certificate", action: walinktest.ExpiredCertificate()}),
		{name: "withdrawn secret", action: walinktest.RefreshQR(), within: 2 * minute},
		forever(fault{name: "withdrawn secret", action: walinktest.RefreshQR()}),
	}
}

// forever returns a fault that lasts for as long as the Link has.
func forever(f fault) fault {
	f.name += " for ever"
	f.forever, f.timeout, f.within = true, 2*time.Minute, 3*time.Minute
	return f
}

func frameFaults() []fault {
	return []fault{
		{name: "frame spoilt", frame: spoilt, within: 4 * time.Minute},
		{name: "rubbish before the frame", frame: preceded, within: 4 * time.Minute},
		{name: "frame twice", frame: repeated, within: 4 * time.Minute},
		{name: "frame cut", frame: cut},
	}
}

// strays are nodes that the client does not wait for: unknown, out of order, or
// repeated. They arrive while a stage is 3 s late.
func strays() []fault {
	server := types.ServerJID
	stray := func(name string, node waBinary.Node) fault {
		return fault{name: name, action: walinktest.Delay(3 * time.Second), stray: &node, within: 11 * time.Minute}
	}
	iq := func(child waBinary.Node) waBinary.Node {
		return waBinary.Node{
			Tag: "iq", Attrs: waBinary.Attrs{"from": server, "type": "set", "id": "8", "xmlns": "md", "t": 1},
			Content: []waBinary.Node{child},
		}
	}
	notification := func(kind string) waBinary.Node {
		return waBinary.Node{Tag: "notification", Attrs: waBinary.Attrs{"from": server, "type": kind, "id": "9", "t": 1}}
	}
	reg := func(stage string) waBinary.Node {
		node := notification("link_code_companion_reg")
		node.Content = []waBinary.Node{{
			Tag: "link_code_companion_reg", Attrs: waBinary.Attrs{"stage": stage},
			Content: []waBinary.Node{{Tag: "link_code_pairing_ref", Content: []byte("another")}},
		}}
		return node
	}
	meanwhile := func(name string, does func(*walinktest.Server)) fault {
		return fault{name: name, action: walinktest.Delay(3 * time.Second), server: does, within: 11 * time.Minute}
	}
	refs := []waBinary.Node{{Tag: "ref", Content: []byte("2@another")}}
	wrongID := stray("wrong id", waBinary.Node{Tag: "iq", Attrs: waBinary.Attrs{"from": server, "type": "result", "id": "1.nobody-1"}})
	wrongID.action, wrongID.within = walinktest.Silence(), 4*time.Minute
	return []fault{
		wrongID,
		stray("unknown node", waBinary.Node{Tag: "unheard-of", Attrs: waBinary.Attrs{"from": server}}),
		stray("early success", waBinary.Node{Tag: "success", Attrs: waBinary.Attrs{"t": 1}}),
		stray("refs of another", iq(waBinary.Node{Tag: "pair-device", Content: refs})),
		stray("pair-success of nobody", iq(waBinary.Node{Tag: "pair-success"})),
		stray("primary_hello of another", reg("primary_hello")),
		stray("refresh_code of another", reg("refresh_code")),
		stray("unknown pairing stage", reg("unheard_of")),
		stray("early phone identity", notification("crsc_continuation")),
		stray("challenge without content", notification("passkey_prologue_request")),
		meanwhile("code spent", func(srv *walinktest.Server) { srv.RefreshCodes(false) }),
		meanwhile("code spent, the next by hand", func(srv *walinktest.Server) { srv.RefreshCodes(true) }),
		meanwhile("registration refreshed", func(srv *walinktest.Server) { srv.RefreshRegistration() }),
		meanwhile("second pair-device", func(srv *walinktest.Server) { srv.RenewRefs() }),
	}
}

// refusals have every code with which WhatsApp refuses: as the error of an IQ or
// the status of the websocket, and in a failure node.
func refusals() []fault {
	var refused, failures []fault
	for _, code := range []int{400, 401, 402, 403, 405, 406, 409, 429, 452, 500, 503} {
		refused = append(refused, fault{name: fmt.Sprint("refused ", code), action: walinktest.Refuse(code), within: 2 * time.Minute})
		if code == 429 {
			refused = append(refused, fault{name: "rate limit, one hour", action: walinktest.RateLimit(time.Hour)})
		}
		failure := walinktest.Failure(code)
		if code == 402 {
			failure = walinktest.Failure(code, "code", "101", "expire", "3600")
		}
		failures = append(failures, fault{name: fmt.Sprint("failure ", code), action: failure, within: 2 * time.Minute})
	}
	return slices.Concat(refused, failures)
}

func streamErrors() []fault {
	return []fault{
		{name: "stream error 401 device_removed", action: walinktest.StreamError(401, "device_removed")},
		{name: "stream error 401 alone", action: walinktest.StreamError(401, "")},
		{name: "stream error 409 replaced", action: walinktest.StreamError(409, "replaced")},
		{name: "stream error 503", action: walinktest.StreamError(503, "")},
		{name: "stream error 515", action: walinktest.StreamError(515, "")},
		{name: "stream error 777", action: walinktest.StreamError(777, "")},
		{name: "stream error without a code", action: walinktest.StreamError(0, "")},
	}
}

func programFaults() []fault {
	return []fault{
		{name: "slow reader, drop", action: walinktest.Drop(), slow: true, within: 3 * time.Minute},
		{name: "ctx canceled", action: walinktest.Silence(), end: walink.ErrCanceled, within: 20 * time.Second},
		{name: "Close", action: walinktest.Silence(), end: walink.ErrClosed, within: 20 * time.Second},
	}
}

// storeFaults have every call of the Store, which returns an error, and which hangs.
func storeFaults() []fault {
	var list []fault
	for _, f := range []struct {
		call storeCall
		fault
	}{
		{callTake, fault{}},
		{callRenew, fault{action: walinktest.Silence(), forever: true}},
		// The rest is as long as the lease, which is not given back.
		{callRelease, fault{action: walinktest.Silence(), end: walink.ErrCanceled, rest: 30 * time.Second}},
		{callDevice, fault{}},
		{callCode, fault{}},
		{callRefusal, fault{action: walinktest.Refuse(429)}},
		{callSave, fault{}},
		{callIdentity, fault{}},
		{callLID, fault{}},
		{callCount, fault{}},
		{callKeys, fault{}},
		{callUploaded, fault{}},
		{callDelete, fault{removed: true}},
		{callForget, fault{action: walinktest.Failure(401)}},
	} {
		full, hangs := f.fault, f.fault
		full.name, full.store = string(f.call)+": disk full", fail(f.call, errDiskFull)
		hangs.name, hangs.store = string(f.call)+": hangs", fail(f.call, nil)
		list = append(list, full, hangs)
	}
	return list
}
