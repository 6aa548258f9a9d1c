package faults_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/walink/walink"
)

// teller puts events into a few words.
type teller struct {
	t    *testing.T
	told []string

	codes, challenges, attempts, retries int
}

// outcome puts the events of the latest Link into the words of the tables.
func (tr *trial) outcome() string {
	tell := &teller{t: tr.t}
	for i, event := range tr.Seen {
		switch e := event.(type) {
		case walink.Connecting:
			tell.attempts++
		case walink.PairingCode:
			tell.codes++
		case walink.PasskeyRequired:
			tell.challenges++
		case walink.Retrying:
			tell.retries++
			tell.say("", e.Err)
		case walink.Withdrawn:
			if e.Err == nil {
				continue
			}
			if _, code := tr.Seen[i+1].(walink.Withdrawn); code && i+2 < len(tr.Seen) {
				continue // both methods are withdrawn for the same reason
			}
			switch tr.Seen[i+1].(type) {
			case walink.Retrying, walink.Failed: // they tell the same error
				tell.check(e.Err)
			default:
				tell.say("code withdrawn: ", e.Err)
			}
		case walink.QRCode:
			tell.codes++
			if e.Fallback != nil {
				tell.check(e.Fallback)
				tell.told = append(tell.told, "QR instead")
			}
		case walink.Paired:
			tr.told = true
		case walink.Linked:
			if e.Resumed {
				tell.told = append(tell.told, "resumed")
			} else {
				tell.told = append(tell.told, "linked")
			}
		case walink.Failed:
			tell.say("failed: ", e.Err)
		}
	}
	return strings.Join(append(repeatedly(tell.told), tell.counts(tr.cell)...), ", ")
}

// say tells an error.
func (t *teller) say(prefix string, err *walink.Error) {
	text := prefix + t.check(err)
	if cause := causeOfTimeout(err); cause != nil {
		text += " (" + t.check(cause) + ")"
	}
	t.told = append(t.told, text)
}

// causeOfTimeout returns the failure that a Timeout has cut short, if any.
func causeOfTimeout(err *walink.Error) *walink.Error {
	var cause *walink.Error
	if err.Reason == walink.ErrTimeout {
		errors.As(err.Err, &cause)
	}
	return cause
}

// check returns the words for an error, and demands the remedy that belongs to them.
func (t *teller) check(err *walink.Error) string {
	words := strings.ReplaceAll(string(err.Reason), "_", " ")
	switch err.Reason {
	case walink.ErrRateLimited, walink.ErrTemporarilyBanned:
		if err.RetryAfter <= 0 {
			t.t.Errorf("the error %v does not say how long to wait", err)
		}
	default:
	}
	if causeOfTimeout(err) != nil {
		return words // its remedy is that of its cause
	}
	for _, r := range remedies() {
		if plain, _, _ := strings.Cut(r.words, " ["); plain == words && r.text == err.Remedy() {
			return r.words
		}
	}
	t.t.Errorf("the table of remedies lacks %q, which is that of %v", err.Remedy(), err)
	return words
}

// mostAttempts is how many attempts "repeatedly" may be, in the two minutes of a
// fault for ever, or in the half minute of a login.
const mostAttempts = 31

// mostCodes is how many codes an outcome may take, unless the fault is for ever.
const mostCodes = 8

// counts tells how many codes, challenges and attempts there were, where the
// number is not the usual one.
func (t *teller) counts(c *cell) []string {
	if c.fault.forever {
		if t.attempts > mostAttempts || t.codes > t.attempts+6 || t.challenges > t.attempts {
			t.t.Errorf("there were %d attempts, %d codes and %d challenges", t.attempts, t.codes, t.challenges)
		}
		return nil
	}
	last := t.told[len(t.told)-1]
	var list []string
	count := func(is, usual int, what string) {
		if is == usual || is == 0 && last != "linked" {
			return
		}
		if is > mostCodes {
			t.t.Errorf("there were %d %ss", is, what)
		}
		many := fmt.Sprint(is)
		if is > 2 && what == "code" { // the number depends on which of two events at the same time comes first
			many = "several"
		}
		if is != 1 {
			what += "s"
		}
		list = append(list, many+" "+what)
	}
	codes := 1
	if last == "resumed" {
		codes = 0
	}
	count(t.codes, codes, "code")
	if c.flow.passkey {
		count(t.challenges, codes, "challenge")
	}
	count(t.attempts, 1+t.retries, "attempt")
	return list
}

// repeatedly replaces what is told again and again by telling it once, with the
// word "repeatedly".
func repeatedly(told []string) []string {
	var list []string
	for i, text := range told {
		switch {
		case i == 0 || text != told[i-1]:
			list = append(list, text)
		case i == 1 || text != told[i-2]:
			list[len(list)-1] += " repeatedly"
		}
	}
	return list
}

// remedy is what walink tells a person to do about an error. Its words are those
// of the error; where a reason has several remedies, a word in brackets tells them apart.
type remedy struct{ words, text string }

// remedies are demands, as the tables are.
func remedies() []remedy {
	return []remedy{
		{"banned", "Open WhatsApp on the phone and follow what it says about the ban."},
		{"canceled", "Start again when you are ready to link."},
		{"client outdated", "Update walink and whatsmeow: WhatsApp no longer accepts this version."},
		{"closed", "Make a new Linker."},
		{"code refused", "Check the number, including its country code, or link by QR code."},
		{"forbidden", "Check on the phone that the account may link devices, or link by QR code."},
		{"logged out", "Link the account again."},
		{"network", "Check that this machine can reach web.whatsapp.com on port 443, then try again."},
		{"network [clock]", "Set the clock of this machine: by it WhatsApp's certificate is not valid now."},
		{"network [TLS]", "Exempt web.whatsapp.com from whatever intercepts TLS here, such as a proxy or a firewall: somebody else answers in its place."},
		{"pairing", "Try again with the new code, and update WhatsApp on the phone if it happens twice."},
		{"passkey", "Answer the passkey on a page of web.whatsapp.com, or turn it off in the phone's settings, then try again."},
		{"rate limited", "Wait before asking for another pairing code, or link by QR code."},
		{"rate limited [connections]", "Wait as long as the error says, and connect less often: WhatsApp limits it."},
		{"rate limited [passkey]", "Wait as long as the error says, then try again."},
		{"replaced", "Stop the other program that is connected with this session."},
		{"server", "Wait a few minutes and try again: WhatsApp has trouble at the moment."},
		{"stalled", "Try again, with the phone unlocked, online and WhatsApp open."},
		{"stalled [stored]", "Start again: the device is linked and stored, so no new code is needed."},
		{"store", "Check that the database can be opened and written, and that its disk is not full."},
		{"temporarily banned", "Wait until the ban has ended, then link again."},
		{"timeout", "Start again and enter the code or scan the QR while it is on the screen."},
	}
}
