package machine

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"go.mau.fi/whatsmeow/types"
)

// ceremony is the state of the passkey of the current attempt.
type ceremony struct {
	step      passkeyStep
	number    int // of the challenge
	challenge json.RawMessage
	expires   time.Time // of the challenge
	asking    bool      // Settings.Passkey is being asked
	refused   int       // answers that WhatsApp refused, or that Settings.Passkey gave in a wrong form
	answer    int       // the number of the answer that was sent last
	confirm   int       // the number of the call that confirms; 0 for none
	out       int       // answers whose outcome is not known
}

// passkeyStep is a step of the ceremony, in its order.
type passkeyStep int

const (
	stepAnswer  passkeyStep = iota // an assertion is awaited
	stepSending                    // an assertion is on its way to WhatsApp
	stepPhone                      // WhatsApp has accepted it; the phone's part follows
	stepCompare                    // the person compares the codes
	stepConfirm                    // the confirmation is on its way
	stepPairing                    // pair-success is due
)

// passkeyWanted takes a challenge. It takes the codes off the screen and keeps the
// connection. A second challenge replaces the first. The same challenge again changes
// nothing: it may have been answered meanwhile, and expires no later.
func (m *Machine) passkeyWanted(now time.Time, in PasskeyWanted) {
	if m.phase != phaseOffering && m.phase != phasePasskey {
		return
	}
	if m.phase == phasePasskey && in.Err == nil && bytes.Equal(in.Challenge, m.ceremony.challenge) {
		return
	}
	m.attend(now)
	m.code.clear()
	m.qr.clear()
	m.lastErr = nil
	m.ceremony = ceremony{
		number: m.ceremony.number + 1, challenge: in.Challenge, expires: now.Add(passkeyLife), out: m.ceremony.out,
	}
	m.phase = phasePasskey
	m.goTo(stepAnswer, m.ceremony.expires)
	m.do(Tell{PasskeyRequired{
		Challenge: in.Challenge, Expires: m.ceremony.expires, HandoffExpires: now.Add(HandoffLife), Err: in.Err,
	}})
	m.askHook()
}

// askHook lets Settings.Passkey answer the challenge, unless it is being asked.
func (m *Machine) askHook() {
	if m.cfg.Hook && !m.ceremony.asking {
		m.ceremony.asking = true
		m.do(AskHook{m.epoch, m.ceremony.number, m.ceremony.challenge, m.ceremony.expires})
	}
}

// goTo begins a step of the ceremony. The step has time until the deadline.
func (m *Machine) goTo(step passkeyStep, until time.Time) {
	m.ceremony.step, m.stageAt = step, until
	m.extend(until.Add(answerLimit))
}

// extend moves the default Timeout: a person who has come so far is not cut off.
func (m *Machine) extend(until time.Time) {
	if m.cfg.Patient && m.timeoutAt.Before(until) {
		m.timeoutAt = until
	}
}

// at reports whether the ceremony is at the step.
func (m *Machine) at(step passkeyStep) bool {
	return m.phase == phasePasskey && m.ceremony.step == step
}

// answer takes an assertion, and sends it if it has the right shape.
func (m *Machine) answer(now time.Time, in Answer) {
	if !m.at(stepAnswer) {
		cause := ErrNoPasskey
		if m.phase == phasePasskey {
			cause = errPasskeyAnswered
		}
		m.reply(in.Answer, &Failure{Reason: ReasonPasskey, Op: "answer passkey", Err: cause})
		return
	}
	assertion, err := parseAssertion(m.ceremony.challenge, in.Assertion)
	if err != nil {
		m.reply(in.Answer, err)
		return
	}
	m.send(now, in.Answer, assertion)
}

// send sends an assertion. An assertion for an earlier challenge may still be on its
// way; the connection sends one after the other.
func (m *Machine) send(now time.Time, answer int, assertion *types.WebAuthnResponse) {
	m.ceremony.answer = answer
	m.ceremony.out++
	m.goTo(stepSending, now.Add(codeLimit))
	m.do(SendAnswer{m.epoch, answer, assertion})
}

// hookAnswered takes the assertion of Settings.Passkey. An assertion that comes
// while another one is being tried is ignored: if that one is refused, the hook is
// asked again.
func (m *Machine) hookAnswered(now time.Time, in HookAnswered) {
	if in.Challenge != m.ceremony.number {
		return
	}
	m.ceremony.asking = false
	if !m.at(stepAnswer) {
		return
	}
	assertion, err := parseAssertion(m.ceremony.challenge, in.Assertion)
	if err != nil {
		m.passkeyRefused(now, err)
		return
	}
	m.send(now, in.Answer, assertion)
}

// hookFailed takes the error of Settings.Passkey, which ends the attempt unless
// AnswerPasskey has answered meanwhile.
func (m *Machine) hookFailed(now time.Time, in HookFailed) {
	if in.Challenge != m.ceremony.number {
		return
	}
	m.ceremony.asking = false
	if m.at(stepAnswer) {
		m.lost(now, Lost{Epoch: m.epoch, Err: in.Err, Tries: FewTries})
	}
}

// passkeyRefused keeps the challenge after a refused answer, because another answer
// may be accepted. After a few refused answers it ends the attempt.
func (m *Machine) passkeyRefused(now time.Time, err *Failure) {
	m.ceremony.refused++
	if m.ceremony.refused == maxPasskeyRefusals {
		m.lost(now, Lost{Epoch: m.epoch, Err: err, Tries: FewTries})
		return
	}
	m.lastErr = err
	m.goTo(stepAnswer, m.ceremony.expires)
	m.askHook()
}

// answerSent takes WhatsApp's answer to an assertion.
func (m *Machine) answerSent(now time.Time, in AnswerSent) {
	m.reply(in.Answer, in.Err)
	m.ceremony.out--
	if !m.at(stepSending) || in.Answer != m.ceremony.answer { // the phone was faster, or the challenge is an earlier one
		return
	}
	switch {
	case in.Err == nil:
		m.lastErr = nil
		m.goTo(stepPhone, now.Add(answerLimit))
	case in.Err.Reason == ReasonPasskey:
		m.passkeyRefused(now, in.Err)
	default:
		m.lost(now, Lost{Epoch: m.epoch, Err: in.Err, Tries: PasskeyTries(in.Err)})
	}
}

// passkeyCode takes the code that both sides show.
func (m *Machine) passkeyCode(now time.Time, in PasskeyCode) {
	if !m.at(stepSending) && !m.at(stepPhone) {
		return
	}
	m.lastErr = nil
	if m.ceremony.out <= 1 { // otherwise WhatsApp may have accepted the answer to an earlier challenge
		m.accepted()
	}
	automatic := in.Automatic && !m.cfg.CompareCode
	m.do(Tell{PasskeyConfirmation{Code: in.Code, Automatic: automatic}})
	if automatic {
		m.sendConfirm(now, 0)
		return
	}
	until := now.Add(answerLimit)
	if m.ceremony.expires.After(until) {
		until = m.ceremony.expires
	}
	m.goTo(stepCompare, until)
}

// confirm takes the person's word that the codes are the same.
func (m *Machine) confirm(now time.Time, in Confirm) {
	if !m.at(stepCompare) {
		m.reply(in.Answer, &Failure{Reason: ReasonPasskey, Op: "confirm passkey", Err: ErrNoConfirmation})
		return
	}
	m.sendConfirm(now, in.Answer)
}

func (m *Machine) sendConfirm(now time.Time, call int) {
	m.ceremony.confirm = call
	m.goTo(stepConfirm, now.Add(codeLimit))
	m.do(SendConfirm{m.epoch, m.ceremony.number, call})
}

// confirmSent takes WhatsApp's answer to the confirmation.
func (m *Machine) confirmSent(now time.Time, in ConfirmSent) {
	m.reply(in.Answer, in.Err)
	if !m.at(stepConfirm) || in.Challenge != m.ceremony.number { // the phone was faster, or the challenge is an earlier one
		return
	}
	if in.Err != nil {
		m.lost(now, Lost{Epoch: m.epoch, Err: in.Err, Tries: PasskeyTries(in.Err)})
		return
	}
	m.goTo(stepPairing, now.Add(answerLimit))
}

// owe notes that a call waits for a Reply.
func (m *Machine) owe(in Input) {
	if call, ok := in.(Answer); ok {
		m.owed = append(m.owed, call.Answer)
	}
	if call, ok := in.(Confirm); ok {
		m.owed = append(m.owed, call.Answer)
	}
}

// reply answers a call that waits; it does nothing for one that has its answer.
func (m *Machine) reply(answer int, err *Failure) {
	if i := slices.Index(m.owed, answer); i >= 0 {
		m.owed = slices.Delete(m.owed, i, i+1)
		m.do(Reply{answer, err})
	}
}

// accepted replies success to the calls that were sent last, because WhatsApp would
// not go on otherwise. WhatsApp's own answer may come late, or not at all if the
// connection ends first.
func (m *Machine) accepted() {
	m.reply(m.ceremony.answer, nil)
	m.reply(m.ceremony.confirm, nil)
}

// settle replies err to every call that waits, because no other answer can come.
func (m *Machine) settle(err *Failure) {
	for _, answer := range m.owed {
		m.do(Reply{answer, err})
	}
	m.owed = nil
}

// passkeyStalled handles the deadline of a step.
func (m *Machine) passkeyStalled(now time.Time) {
	stalled := func(reason Reason, cause error, tries int, last *Failure) {
		m.lost(now, Lost{Epoch: m.epoch, Err: &Failure{Reason: reason, Op: "passkey", Err: cause, Last: last}, Tries: tries})
	}
	switch m.ceremony.step {
	case stepAnswer:
		// A person who comes back later finds a code again, as with a QR code that nobody scans.
		stalled(ReasonPasskey, errPasskeyExpired, 0, m.lastErr)
	case stepCompare:
		stalled(ReasonPasskey, errNotConfirmed, FewTries, nil)
	case stepSending, stepConfirm:
		stalled(ReasonStalled, ErrNoReply, FewTries, nil)
	case stepPhone, stepPairing:
		stalled(ReasonStalled, errPasskeyPhone, FewTries, nil)
	}
}

// PasskeyTries is how many attempts may follow a failed request of the ceremony.
func PasskeyTries(err *Failure) int {
	switch err.Reason {
	case ReasonRateLimited:
		return NoTries
	case ReasonNetwork, ReasonServer:
		return 0
	default:
		return FewTries
	}
}

var (
	// ErrNoPasskey says that there is nothing to answer.
	ErrNoPasskey = errors.New("no passkey is asked for at the moment")
	// ErrNoConfirmation says that there is nothing to confirm.
	ErrNoConfirmation = errors.New("there is no code to confirm at the moment")
	// ErrNoReply says that a request of the ceremony was not answered.
	ErrNoReply = errors.New("WhatsApp does not answer")

	errPasskeyAnswered = errors.New("the passkey has been answered already")
	errPasskeyExpired  = errors.New("the challenge has expired unanswered")
	errNotConfirmed    = errors.New("nobody confirmed that the codes are the same")
	errPasskeyPhone    = errors.New("WhatsApp accepted the passkey, but did not complete the link within 60 s")
)
