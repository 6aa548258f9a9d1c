package faults_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/walink/walink"
)

// summary puts events into a few words.
type summary struct {
	t     *testing.T
	words []string

	codes, challenges, attempts, retries int
}

// outcome puts the events of the latest Link into the words of the tables.
func (tr *trial) outcome() string {
	sum := &summary{t: tr.t}
	for i, event := range tr.Seen {
		switch e := event.(type) {
		case walink.Connecting:
			sum.attempts++
		case walink.PairingCode:
			sum.codes++
		case walink.PasskeyRequired:
			sum.challenges++
		case walink.Retrying:
			sum.retries++
			sum.add("", e.Err)
		case walink.Withdrawn:
			if e.Err == nil {
				continue
			}
			if _, code := tr.Seen[i+1].(walink.Withdrawn); code && i+2 < len(tr.Seen) {
				continue // both methods are withdrawn for the same reason
			}
			switch tr.Seen[i+1].(type) {
			case walink.Retrying, walink.Failed: // they have the same error
				sum.check(e.Err)
			default:
				sum.add("code withdrawn: ", e.Err)
			}
		case walink.QRCode:
			sum.codes++
			if e.Fallback != nil {
				sum.check(e.Fallback)
				sum.words = append(sum.words, "QR instead")
			}
		case walink.Paired:
			tr.paired = true
		case walink.Linked:
			if e.Resumed {
				sum.words = append(sum.words, "resumed")
			} else {
				sum.words = append(sum.words, "linked")
			}
		case walink.Failed:
			sum.add("failed: ", e.Err)
		}
	}
	return strings.Join(append(repeatedly(sum.words), sum.counts(tr.cell)...), ", ")
}

// add adds an error.
func (s *summary) add(prefix string, err *walink.Error) {
	text := prefix + s.check(err)
	if cause := causeOfTimeout(err); cause != nil {
		text += " (" + s.check(cause) + ")"
	}
	s.words = append(s.words, text)
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
func (s *summary) check(err *walink.Error) string {
	words := strings.ReplaceAll(string(err.Reason), "_", " ")
	switch err.Reason {
	case walink.ErrRateLimited, walink.ErrTemporarilyBanned:
		if err.RetryAfter <= 0 {
			s.t.Errorf("the error %v does not say how long to wait", err)
		}
	default:
	}
	if causeOfTimeout(err) != nil {
		return words // its remedy is that of its cause
	}
	text := waits.ReplaceAllString(err.Remedy(), "Wait so long")
	for _, r := range remedies() {
		if plain, _, _ := strings.Cut(r.words, " ["); plain == words && r.text == text {
			return r.words
		}
	}
	s.t.Errorf("the table of remedies lacks %q, which is that of %v", err.Remedy(), err)
	return words
}

// waits matches how long a remedy wants a person to wait.
var waits = regexp.MustCompile(`^Wait \d+ (second|minute|hour)s?`)

// mostAttempts is how many attempts "repeatedly" may be, in the two minutes of a
// fault for ever, or in the half minute of a login.
const mostAttempts = 31

// mostCodes is how many codes an outcome may take, unless the fault is for ever.
const mostCodes = 8

// counts says how many codes, challenges and attempts there were, if the number is
// not the usual one.
func (s *summary) counts(c *cell) []string {
	if c.fault.forever {
		if s.attempts > mostAttempts || s.codes > s.attempts+6 || s.challenges > s.attempts {
			s.t.Errorf("there were %d attempts, %d codes and %d challenges", s.attempts, s.codes, s.challenges)
		}
		return nil
	}
	last := s.words[len(s.words)-1]
	var list []string
	count := func(is, usual int, what string) {
		if is == usual || is == 0 && last != "linked" {
			return
		}
		if is > mostCodes {
			s.t.Errorf("there were %d %ss", is, what)
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
	count(s.codes, codes, "code")
	if c.flow.passkey {
		count(s.challenges, codes, "challenge")
	}
	count(s.attempts, 1+s.retries, "attempt")
	return list
}

// repeatedly says once, with the word "repeatedly", what comes again and again.
func repeatedly(words []string) []string {
	var list []string
	for i, text := range words {
		switch {
		case i == 0 || text != words[i-1]:
			list = append(list, text)
		case i == 1 || text != words[i-2]:
			list[len(list)-1] += " repeatedly"
		}
	}
	return list
}

// remedy is what walink advises about an error, which has the words. If a reason has
// several remedies, a word in brackets says which one is meant; without one, that depends
// on what was on the screen.
type remedy struct{ words, text string }

// remedies are demands, as the tables are.
func remedies() []remedy {
	return []remedy{
		{"banned", "Open WhatsApp on the phone and follow what it says about the ban."},
		{"canceled", "Start again when you are ready to link."},
		{"canceled", "Start again: the device is linked and stored, so no new code is needed."},
		{"client outdated", "Update walink and whatsmeow: WhatsApp no longer accepts this version."},
		{"closed", "Make a new Linker."},
		{"code refused", "Check the number, including its country code, or link by QR code."},
		{"code refused [phone]", "Enter the new code exactly as it is shown."},
		{"code refused [by hand]", "Wait a minute for the next code, or ask for it, and enter it exactly as it is shown."},
		{"forbidden", "Check on the phone that the account may link devices, or link by QR code."},
		{"logged out", "Link the account again."},
		{"network", "Check that this machine can reach web.whatsapp.com on port 443, then try again."},
		{"network [clock]", "Set the clock of this machine: by that clock WhatsApp's certificate is not valid now."},
		{"network [TLS]", "Exempt web.whatsapp.com from the proxy, firewall or antivirus that intercepts TLS here and answers in its place."},
		{"pairing", "Try again with the new code, and update WhatsApp on the phone if it happens twice."},
		{"pairing [scan]", "Update WhatsApp on the phone, and scan the next QR code once."},
		{
			"pairing [scans]",
			"Wait some hours before another scan, and update WhatsApp on the phone: WhatsApp locks an account that scans on and on.",
		},
		{"passkey", "Answer the passkey on a page of web.whatsapp.com, or turn it off in the phone's settings, then try again."},
		{"passkey", "Confirm the passkey code while the phone shows it, or start again."},
		{"passkey", "Start again, and confirm at once if the phone shows the same passkey code."},
		{"rate limited", "Wait so long before asking for another pairing code, or link by QR code."},
		{"rate limited [connections]", "Wait so long, and connect less often: WhatsApp limits connections."},
		{"rate limited [passkey]", "Wait so long, then try again."},
		{"replaced", "Stop the other program that is connected with this session."},
		{"server", "Wait a few minutes and try again: WhatsApp has trouble at the moment."},
		{"stalled", "Try again, with the phone unlocked, online and WhatsApp open."},
		{"stalled [code]", "Enter the new code exactly as it is shown, with the phone unlocked and online."},
		{"stalled [stored]", "Start again: the device is linked and stored, so no new code is needed."},
		{"store", "Check that the database can be opened and written, and that its disk is not full."},
		{"temporarily banned", "Wait so long until the ban has ended, then link again."},
		{"timeout", "Start again, and allow more time."},
		{"timeout", "Start again and enter the pairing code while it is on the screen."},
		{"timeout", "Start again and scan the QR code while it is on the screen."},
		{"timeout", "Start again and enter the pairing code, or scan the QR code, while it is on the screen."},
		{"timeout", "Start again, and answer the passkey while it is asked for."},
		{"timeout", "Start again, and confirm at once if the phone shows the same passkey code."},
		{"timeout", "Start again, with the phone unlocked, online and WhatsApp open."},
	}
}
