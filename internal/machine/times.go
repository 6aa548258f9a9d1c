package machine

import "time"

// All durations of a Link, in one place. Packages walink and wire use the exported
// ones too.
const (
	firstRefLife = 60 * time.Second // the first ref is shown for a minute: whatsmeow's qrchan.go
	nextRefLife  = 20 * time.Second // the other refs are shown for 20 s

	codeLife    = 180 * time.Second // a pairing code, counted from before the request
	codeLimit   = 30 * time.Second  // from the request for a code to the answer
	LedgerLimit = 20 * time.Second  // the ledger's part of codeLimit
	qrAfter     = 5 * time.Second   // from the request for a code to a QR code next to it, with Config.Fallback; errCodeSlow names it
	manualPause = 60 * time.Second  // before a code that the person has to ask for: time to read what the phone says, and to come back
	answerLimit = 60 * time.Second  // from the phone's answer to pair-success; errPairStalled and errPasskeyPhone name it

	passkeyLife = 10 * time.Minute // a passkey challenge
	HandoffLife = 5 * time.Minute  // the hand-off proof: passkeyHandoffKey in whatsmeow's pair-passkey.go

	OpenLimit    = 30 * time.Second // from the start of an attempt to the refs, or to the login of a stored session
	ServiceLimit = 30 * time.Second // the version request, and deleting a session

	reconnectWait = 5 * time.Second  // for the 515 after pair-success; then the machine reconnects without one
	LoginTryLimit = 10 * time.Second // one try to log in after pairing
	loginLimit    = 30 * time.Second // all tries to log in after pairing

	ShortestWait = 1 * time.Second  // between two attempts
	longestWait  = 30 * time.Second // between two attempts
	StableAfter  = 20 * time.Second // a connection that lived this long was a good one
)

const (
	maxAnswers         = 3 // of the phone to one code: after that somebody is guessing codes
	maxCodeFaults      = 3 // code requests in a row without a usable answer
	maxPasskeyRefusals = 3 // refused answers to one challenge
	maxScans           = 3 // scans in a row that come to nothing, on one connection
	scanTries          = 1 // fresh connections after that
)

// Lost.Tries says how often a failure for one reason may be followed by another
// attempt. Zero is any number.
const (
	FewTries = 3  // another attempt cures the failure only now and then
	NoTries  = -1 // no other attempt can cure the failure
)
