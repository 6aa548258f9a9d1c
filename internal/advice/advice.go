// Package advice is the table of remedies: what a person should do about a failure. A remedy
// depends on the reason, the step, and what was on the screen.
package advice

import (
	"fmt"
	"strings"
	"time"

	"github.com/walink/walink/internal/machine"
)

// Situation is what was last on the screen when something failed, or what the person
// did last.
type Situation int

// The situations.
const (
	Anywhere      Situation = iota // nothing was on the screen yet
	AtCode                         // a pairing code was on the screen
	AtQR                           // a QR code was on the screen
	AtBoth                         // both were
	AtWrongPhone                   // the phone of another account was used
	AtPasskey                      // the passkey was asked for
	AtCompare                      // the person was to compare the passkey's codes
	AtPhone                        // the passkey was accepted, and the phone's part was due
	AtPaired                       // the phone had accepted, and the device was stored
	AtLinked                       // the session was linked
	AtUnlink                       // Unlink was running
	AtThisProgram                  // this program itself has the session
)

// Row is a row of the table.
type Row struct {
	Reason   machine.Reason
	Op       string    // "" is every step
	At       Situation // Anywhere is every situation
	Operator bool      // for the operator of the program, and not for the person at the phone
	Text     string    // one imperative sentence; %s is how long to wait
}

// ForPeople replaces a remedy for the operator when the person at the phone reads it.
const ForPeople = "Try again later, and ask the people who run this service if that does not help."

// Table returns the table of remedies. The first row that fits an error counts. The reasons
// that are written as strings are of package walink alone; the machine does not know them.
func Table() []Row {
	const (
		stored = "Start again: the device is linked and stored, so no new code is needed."
		remove = "Try again, or remove the device on the phone, under Linked devices."
		follow = "Wait for the next event, because WhatsApp may still accept what was sent."
	)
	return []Row{
		{machine.ReasonTimeout, "answer passkey", Anywhere, false, follow},
		{machine.ReasonTimeout, "confirm passkey", Anywhere, false, follow},
		{machine.ReasonTimeout, "unlink", Anywhere, false, remove},
		{machine.ReasonTimeout, "", AtUnlink, false, remove},
		{machine.ReasonTimeout, "", AtCode, false, "Start again and enter the pairing code while it is on the screen."},
		{machine.ReasonTimeout, "", AtQR, false, "Start again and scan the QR code while it is on the screen."},
		{machine.ReasonTimeout, "", AtBoth, false, "Start again and enter the pairing code, or scan the QR code, while it is on the screen."},
		{machine.ReasonTimeout, "", AtWrongPhone, false, "Start again with the phone that holds the expected account."},
		{machine.ReasonTimeout, "", AtPasskey, false, "Start again, and answer the passkey while it is asked for."},
		{machine.ReasonTimeout, "", AtCompare, false, "Start again, and confirm at once if the phone shows the same passkey code."},
		{machine.ReasonTimeout, "", AtPhone, false, "Start again, with the phone unlocked, online and WhatsApp open."},
		{machine.ReasonTimeout, "", AtPaired, false, stored},
		{machine.ReasonTimeout, "", AtLinked, false, "Start again to connect: the session is still stored."},
		{machine.ReasonTimeout, "", Anywhere, false, "Start again, and allow more time."},
		{machine.ReasonCanceled, "answer passkey", Anywhere, false, follow},
		{machine.ReasonCanceled, "confirm passkey", Anywhere, false, follow},
		{machine.ReasonCanceled, "unlink", Anywhere, false, "Unlink again when you are ready."},
		{machine.ReasonCanceled, "", AtUnlink, false, "Unlink again when you are ready."},
		{machine.ReasonCanceled, "", AtPaired, false, stored},
		{machine.ReasonCanceled, "", AtLinked, false, "Start again when you want to connect: the session is still stored."},
		{machine.ReasonCanceled, "", Anywhere, false, "Start again when you are ready to link."},
		{machine.ReasonCodeRefused, "enter code", Anywhere, false, "Enter the new code exactly as it is shown."},
		{machine.ReasonCodeRefused, "", Anywhere, false, "Check the number, including its country code, or link by QR code."},
		{machine.ReasonRateLimited, "passkey", Anywhere, false, "Wait %s, then try again."},
		{machine.ReasonRateLimited, "answer passkey", Anywhere, false, "Wait %s, then try again."},
		{machine.ReasonRateLimited, "confirm passkey", Anywhere, false, "Wait %s, then try again."},
		{machine.ReasonRateLimited, "unlink", Anywhere, false, "Wait %s, then unlink again."},
		{machine.ReasonRateLimited, "connect", Anywhere, true, "Wait %s, and connect less often: WhatsApp limits connections."},
		{machine.ReasonRateLimited, "log in", Anywhere, true, "Wait %s, and connect less often: WhatsApp limits connections."},
		{machine.ReasonRateLimited, "", Anywhere, false, "Wait %s before asking for another pairing code, or link by QR code."},
		{machine.ReasonStalled, "unlink", Anywhere, false, remove},
		{machine.ReasonStalled, "", AtUnlink, false, remove},
		{machine.ReasonStalled, "enter code", Anywhere, false, "Enter the new code exactly as it is shown, with the phone unlocked and online."},
		{machine.ReasonStalled, "", Anywhere, false, "Try again, with the phone unlocked, online and WhatsApp open."},
		{machine.ReasonPasskey, "confirm passkey", Anywhere, false, "Confirm the passkey code while the phone shows it, or start again."},
		{machine.ReasonPasskey, "passkey", AtCompare, false, "Start again, and confirm at once if the phone shows the same passkey code."},
		{machine.ReasonPasskey, "", Anywhere, false, "Answer the passkey on a page of web.whatsapp.com, or turn it off in the phone's settings, then try again."},
		{machine.ReasonForbidden, "unlink", Anywhere, false, "Remove the device on the phone, under Linked devices."},
		{machine.ReasonForbidden, "", Anywhere, false, "Check on the phone that the account may link devices, or link by QR code."},
		{machine.ReasonLoggedOut, "", AtUnlink, false, "Check the name of the session: nothing is stored under it."},
		{machine.ReasonLoggedOut, "", Anywhere, false, "Link the account again."},
		{machine.ReasonSessionBusy, "", AtThisProgram, true, "Close the other Linker of this program that has the session, or wait a moment if the program has just started again."},
		{machine.ReasonSessionBusy, "", Anywhere, true, "Stop the other program that uses this session (wait %s if it was killed), or choose another session name."},
		{"invalid_settings", "", Anywhere, true, "Correct the settings that the error names."},
		{"invalid_phone", "", Anywhere, false, "Write the account's number with its country code, such as +55 11 98765-4321."},
		{"in_progress", "", Anywhere, true, "Wait until the running Link has ended, or cancel its context."},
		{machine.ReasonClosed, "", Anywhere, true, "Make a new Linker."},
		{machine.ReasonNetwork, "", Anywhere, true, "Check that this machine can reach web.whatsapp.com on port 443, then try again."},
		{machine.ReasonProxy, "", Anywhere, true, "Check the address and the credentials of the proxy, and that it is running."},
		{machine.ReasonServer, "", Anywhere, false, "Wait a few minutes and try again: WhatsApp has trouble at the moment."},
		{machine.ReasonPairing, "", Anywhere, false, "Try again with the new code, and update WhatsApp on the phone if it happens twice."},
		{machine.ReasonWrongAccount, "", Anywhere, false, "Use the phone that holds the expected account."},
		{machine.ReasonClientOutdated, "", Anywhere, true, "Update walink and whatsmeow: WhatsApp no longer accepts this version."},
		{"not_told", "", Anywhere, false, "Look on the phone under Linked devices, and remove the device there if it is still listed."},
		{machine.ReasonRemoved, "", Anywhere, false, "Look on the phone under Linked devices why the device was removed, then link again."},
		{machine.ReasonBanned, "", Anywhere, false, "Open WhatsApp on the phone and follow what it says about the ban."},
		{machine.ReasonTemporarilyBanned, "", Anywhere, false, "Wait %s until the ban has ended, then link again."},
		{machine.ReasonReplaced, "", Anywhere, true, "Stop the other program that is connected with this session."},
		{machine.ReasonMultideviceOff, "", Anywhere, false, "Update WhatsApp on the phone, then scan the code again."},
		{machine.ReasonStore, "", Anywhere, true, "Check that the database can be opened and written, and that its disk is not full."},
	}
}

// For returns the row that fits an error, with the time to wait filled in.
func For(reason machine.Reason, op string, at Situation, wait time.Duration) Row {
	for _, r := range Table() {
		if r.Reason == reason && (r.Op == "" || r.Op == op) && (r.At == Anywhere || r.At == at) {
			r.Text = strings.Replace(r.Text, "%s", inWords(wait), 1)
			return r
		}
	}
	return Row{Text: "Try again."}
}

// inWords returns a time to wait in words, rounded up.
func inWords(d time.Duration) string {
	unit, name := time.Second, "second"
	switch {
	case d <= 0:
		return "a while"
	case d >= 3*time.Hour || d%time.Hour == 0:
		unit, name = time.Hour, "hour"
	case d >= 2*time.Minute || d%time.Minute == 0:
		unit, name = time.Minute, "minute"
	}
	n := (d-1)/unit + 1
	if n > 1 {
		name += "s"
	}
	return fmt.Sprintf("%d %s", n, name)
}
