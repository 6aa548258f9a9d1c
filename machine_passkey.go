package walink

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"go.mau.fi/whatsmeow/types"
)

// ceremony is where the passkey of the current attempt stands.
type ceremony struct {
	step      passkeyStep
	number    int // of the challenge
	challenge json.RawMessage
	expires   time.Time    // of the challenge
	asking    bool         // Settings.Passkey is at it
	refused   int          // answers that WhatsApp did not accept, or that Settings.Passkey should not have given
	answer    int          // the number of the last answer
	heard     int          // of how many answers the outcome is known
	reply     chan<- error // of whoever waits for the step; nil if nobody does
}

// passkeyStep is a step of the ceremony, in its order.
type passkeyStep int

const (
	stepAnswer  passkeyStep = iota // an assertion is awaited
	stepSending                    // it is on its way to WhatsApp
	stepPhone                      // WhatsApp has accepted it; the phone's part follows
	stepCompare                    // the person compares the codes
	stepConfirm                    // the confirmation is on its way
	stepPairing                    // pair-success is due
)

// maxPasskeyRefusals is how many answers may be refused before the attempt is
// given up for a fresh one, with a fresh challenge.
const maxPasskeyRefusals = 3

// passkey takes a challenge: codes leave the screen and the socket is held. A
// second challenge takes the place of the first. The same one again changes
// nothing: it may have been answered meanwhile, and it is no younger for that.
func (m *machine) passkey(now time.Time, in inPasskey) {
	if m.phase != phaseOffering && m.phase != phasePasskey {
		return
	}
	if m.phase == phasePasskey && in.err == nil && bytes.Equal(in.challenge, m.ceremony.challenge) {
		return
	}
	m.code.clear()
	m.qr.clear()
	m.lastErr = nil
	m.ceremony = ceremony{
		number: m.ceremony.number + 1, challenge: in.challenge, expires: now.Add(passkeyLife), answer: m.ceremony.answer, heard: m.ceremony.heard,
	}
	m.phase = phasePasskey
	m.goTo(stepAnswer, m.ceremony.expires)
	m.do(doEmit{PasskeyRequired{
		Challenge: in.challenge, Expires: m.ceremony.expires, HandoffExpires: now.Add(handoffLife), Err: in.err,
	}})
	m.askHook()
}

// askHook lets Settings.Passkey answer the challenge, unless it is at it.
func (m *machine) askHook() {
	if m.cfg.passkeyHook && !m.ceremony.asking {
		m.ceremony.asking = true
		m.do(doAskPasskey{m.epoch, m.ceremony.number, m.ceremony.challenge, m.ceremony.expires})
	}
}

// goTo is the next step of the ceremony, with the time that it has.
func (m *machine) goTo(step passkeyStep, until time.Time) {
	m.ceremony.step, m.stageAt = step, until
	m.allow(until.Add(answerLimit))
}

// allow extends the default Timeout: whoever has come so far is not cut off.
func (m *machine) allow(until time.Time) {
	if m.cfg.patient && m.timeoutAt.Before(until) {
		m.timeoutAt = until
	}
}

// at reports whether the ceremony is at the step.
func (m *machine) at(step passkeyStep) bool {
	return m.phase == phasePasskey && m.ceremony.step == step
}

// answerPasskey takes an assertion, and sends it if it has the right shape.
func (m *machine) answerPasskey(now time.Time, in inAnswer) {
	if !m.at(stepAnswer) {
		cause := errNoPasskey
		if m.phase == phasePasskey {
			cause = errPasskeyAnswered
		}
		m.do(doReply{in.reply, &Error{Reason: ErrPasskey, Op: "answer passkey", Err: cause}})
		return
	}
	assertion, err := parseAssertion(m.ceremony.challenge, in.assertion)
	if err != nil {
		m.do(doReply{in.reply, err})
		return
	}
	m.sendPasskey(now, assertion, in.reply)
}

// sendPasskey has an assertion sent. One to an earlier challenge may still be
// on its way; it is for the driver to send them one after the other.
func (m *machine) sendPasskey(now time.Time, assertion *types.WebAuthnResponse, reply chan<- error) {
	m.ceremony.answer++
	m.ceremony.reply = reply
	m.goTo(stepSending, now.Add(codeLimit))
	m.do(doAnswer{m.epoch, m.ceremony.answer, assertion, reply})
}

// passkeyGiven takes the assertion of Settings.Passkey. One that comes while
// another is being tried is not looked at: if that is refused, the hook is asked again.
func (m *machine) passkeyGiven(now time.Time, in inPasskeyGiven) {
	if in.challenge != m.ceremony.number {
		return
	}
	m.ceremony.asking = false
	if !m.at(stepAnswer) {
		return
	}
	assertion, err := parseAssertion(m.ceremony.challenge, in.assertion)
	if err != nil {
		m.passkeyRefused(now, err)
		return
	}
	m.sendPasskey(now, assertion, nil)
}

// passkeyFailed takes the error of Settings.Passkey, which ends the attempt
// unless somebody else has answered.
func (m *machine) passkeyFailed(now time.Time, in inPasskeyFailed) {
	if in.challenge != m.ceremony.number {
		return
	}
	m.ceremony.asking = false
	if m.at(stepAnswer) {
		m.lost(now, inLost{epoch: m.epoch, err: in.err, tries: fewTries})
	}
}

// passkeyRefused goes on after a refused answer, as another may do better:
// the challenge stands, for a few times.
func (m *machine) passkeyRefused(now time.Time, err *Error) {
	m.ceremony.refused++
	if m.ceremony.refused == maxPasskeyRefusals {
		m.lost(now, inLost{epoch: m.epoch, err: err, tries: fewTries})
		return
	}
	m.lastErr = err
	m.goTo(stepAnswer, m.ceremony.expires)
	m.askHook()
}

// passkeySent takes WhatsApp's answer to an assertion.
func (m *machine) passkeySent(now time.Time, in inPasskeySent) {
	m.ceremony.heard++
	if !m.at(stepSending) || in.answer != m.ceremony.answer { // the phone was faster, or it was for another challenge
		return
	}
	m.ceremony.reply = nil // the driver tells
	switch {
	case in.err == nil:
		m.lastErr = nil
		m.goTo(stepPhone, now.Add(answerLimit))
	case in.err.Reason == ErrPasskey:
		m.passkeyRefused(now, in.err)
	default:
		m.lost(now, inLost{epoch: m.epoch, err: in.err, tries: passkeyTries(in.err)})
	}
}

// passkeyCode takes the code that both sides show.
func (m *machine) passkeyCode(now time.Time, in inPasskeyCode) {
	if !m.at(stepSending) && !m.at(stepPhone) {
		return
	}
	m.lastErr = nil
	if m.ceremony.heard+1 != m.ceremony.answer { // it may be one to an earlier challenge that was accepted
		m.ceremony.reply = nil
	}
	m.accepted()
	automatic := in.automatic && !m.cfg.checkCode
	m.do(doEmit{PasskeyConfirmation{Code: in.code, Automatic: automatic}})
	if automatic {
		m.confirm(now, nil)
		return
	}
	until := now.Add(answerLimit)
	if m.ceremony.expires.After(until) {
		until = m.ceremony.expires
	}
	m.goTo(stepCompare, until)
}

// confirmPasskey takes the person's word that the codes are the same.
func (m *machine) confirmPasskey(now time.Time, in inConfirm) {
	if !m.at(stepCompare) {
		m.do(doReply{in.reply, &Error{Reason: ErrPasskey, Op: "confirm passkey", Err: errNoConfirmation}})
		return
	}
	m.confirm(now, in.reply)
}

func (m *machine) confirm(now time.Time, reply chan<- error) {
	m.ceremony.reply = reply
	m.goTo(stepConfirm, now.Add(codeLimit))
	m.do(doConfirm{m.epoch, reply})
}

// accepted tells whoever waits that WhatsApp has taken what was sent: it goes
// on, which it would not otherwise. Its own word on that may come late, or not
// at all where the connection ends first.
func (m *machine) accepted() {
	if m.phase == phasePasskey && m.ceremony.reply != nil {
		m.do(doReply{m.ceremony.reply, nil})
		m.ceremony.reply = nil
	}
}

// passkeyConfirmed takes WhatsApp's answer to the confirmation.
func (m *machine) passkeyConfirmed(now time.Time, in inConfirmed) {
	if !m.at(stepConfirm) {
		return
	}
	m.ceremony.reply = nil // the driver tells
	if in.err != nil {
		m.lost(now, inLost{epoch: m.epoch, err: in.err, tries: passkeyTries(in.err)})
		return
	}
	m.goTo(stepPairing, now.Add(answerLimit))
}

// passkeyStalled handles the end of the time that a step has.
func (m *machine) passkeyStalled(now time.Time) {
	stalled := func(reason Reason, cause error, tries int) {
		m.lost(now, inLost{epoch: m.epoch, err: &Error{Reason: reason, Op: "passkey", Err: cause}, tries: tries})
	}
	switch m.ceremony.step {
	case stepAnswer:
		// Whoever comes back later finds a code again, as with a QR code that nobody scans.
		cause := errPasskeyExpired
		if m.lastErr != nil {
			cause = errors.Join(errPasskeyExpired, m.lastErr)
		}
		stalled(ErrPasskey, cause, 0)
	case stepCompare:
		stalled(ErrPasskey, errNotConfirmed, fewTries)
	case stepSending, stepConfirm:
		stalled(ErrStalled, errPasskeyNoReply, fewTries)
	case stepPhone, stepPairing:
		stalled(ErrStalled, errPasskeyPhone, fewTries)
	}
}

var (
	errNoPasskey       = errors.New("no passkey is asked for at the moment")
	errPasskeyAnswered = errors.New("the passkey has been answered already")
	errNoConfirmation  = errors.New("there is no code to confirm at the moment")
	errPasskeyExpired  = errors.New("the challenge has expired unanswered")
	errNotConfirmed    = errors.New("nobody confirmed that the codes are the same")
	errPasskeyNoReply  = errors.New("WhatsApp does not answer")
	errPasskeyPhone    = errors.New("WhatsApp accepted the passkey, but did not complete the link within 60 s")
)
