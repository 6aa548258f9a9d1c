package machine

import (
	"errors"
	"maps"
	"time"
)

// lost handles the end of the current connection, for any reason.
func (m *Machine) lost(now time.Time, in Lost) {
	switch m.phase {
	case phaseIdle, phaseWaiting, phaseRefreshing, phaseDropping, phaseDone:
		return // the connection is already known to be gone
	case phasePaired:
		if in.Err.Reason == ReasonNetwork {
			return // the connection may end before or after the 515: stageAt reconnects
		}
	case phaseOffering:
		if in.Err.Reason == ReasonNetwork && !m.code.awaited() && !now.Before(m.refsAt.Add(refsLife(len(m.qr.payloads)))) {
			// The server closes a connection whose refs have run out.
			m.withdrawAll(now, Expired, nil)
			m.nextRound(now)
			return
		}
		if m.cfg.Fallback && !m.code.replyBy.IsZero() {
			m.qr.fallback = in.Err // the next connection shows QR codes at once
		}
	case phaseProbation:
		if in.Err.Reason == ReasonLoggedOut {
			in.Err = &Failure{Reason: ReasonRemoved, Op: in.Err.Op, Err: in.Err.Err}
			in.Tries = 1
		}
	case phaseOpening, phasePasskey, phaseLogin:
	}
	m.withdrawAll(now, whyOf(in.Err.Reason), in.Err)
	m.settle(in.Err)
	before := m.lastErr
	m.lastErr = in.Err
	m.do(Shut{m.epoch})
	switch in.Err.Reason {
	case ReasonStore: // another attempt would wait for the store too
	case ReasonClientOutdated:
		if m.cfg.VersionRefresh && !m.refreshed {
			m.refreshed, m.retryErr = true, in.Err
			if before != nil && before.Op == OpVersion {
				m.lastErr = before // the page cannot be reached, which says more than another 405
			}
			m.phase, m.stageAt = phaseRefreshing, now.Add(ServiceLimit)
			m.do(RefreshVersion{m.epoch})
			return
		}
	case ReasonLoggedOut, ReasonRemoved:
		if m.resumed || m.paired {
			// A device that WhatsApp has removed is forgotten in any case.
			m.retryErr, m.last = in.Err, !m.struck(in.Err.Reason, in.Tries)
			m.phase, m.stageAt = phaseDropping, now.Add(ServiceLimit)
			m.do(DropSession{m.epoch})
			return
		}
	default:
		if in.Tries >= 0 && m.struck(in.Err.Reason, in.Tries) && !m.cfg.Brief {
			m.retry(now, in.Err, m.backoff(now))
			return
		}
	}
	m.fail(in.Err)
}

// openingStalled returns the failure that says what an attempt was waiting for.
func (m *Machine) openingStalled() *Failure {
	switch {
	case !m.loaded || !m.leased:
		return &Failure{Reason: ReasonStore, Op: "load session", Err: ErrStoreStalled}
	case !m.opened && m.cfg.Proxy != "": // everything goes through it
		return &Failure{Reason: ReasonProxy, Op: "connect", Err: errors.New(m.cfg.Proxy + ": " + errNoSocket.Error())}
	case !m.opened:
		return &Failure{Reason: ReasonNetwork, Op: "connect", Err: errNoSocket}
	case m.resumed || m.paired:
		return &Failure{Reason: ReasonStalled, Op: "log in", Err: errLoginStalled}
	}
	return &Failure{Reason: ReasonStalled, Op: "connect", Err: errNoRefs}
}

// struck counts a failure and reports whether another attempt may follow.
// Zero tries means any number.
func (m *Machine) struck(reason Reason, tries int) bool {
	if m.strikes == nil {
		m.strikes = map[Reason]int{}
	}
	m.strikes[reason]++
	return tries == 0 || m.strikes[reason] <= tries
}

// versionRefreshed goes on after the version request.
func (m *Machine) versionRefreshed(now time.Time, in VersionRefreshed) {
	if m.phase != phaseRefreshing {
		return
	}
	switch {
	case in.Err == nil:
		m.retry(now, m.retryErr, 0)
	case in.Err.Reason == ReasonClientOutdated || m.cfg.Brief:
		m.fail(in.Err)
	default: // the page cannot be reached at the moment
		m.refreshed, m.lastErr = false, in.Err
		m.retry(now, in.Err, m.backoff(now))
	}
}

// sessionDropped goes on after the session has been deleted.
func (m *Machine) sessionDropped(now time.Time, in SessionDropped) {
	switch {
	case m.phase != phaseDropping:
	case in.Err != nil:
		m.fail(in.Err)
	case m.cfg.ResumeOnly || m.cfg.Brief || m.last:
		m.fail(m.retryErr)
	default:
		m.unpair()
		m.retry(now, m.retryErr, 0)
	}
}

// unpair forgets that this Link has paired: its device is gone.
func (m *Machine) unpair() {
	m.paired, m.loginBy, m.trialBy = false, time.Time{}, time.Time{}
}

// retry announces the next attempt and waits for it.
func (m *Machine) retry(now time.Time, err *Failure, delay time.Duration) {
	m.phase = phaseWaiting
	m.stageAt = now.Add(delay)
	m.do(Tell{Retrying{Attempt: m.epoch + 1, Err: err, At: m.stageAt}})
}

// nextRound follows a connection on which nobody used a code.
func (m *Machine) nextRound(now time.Time) {
	if m.cfg.Brief {
		m.untaken()
		return
	}
	m.reopen(now)
}

// untaken ends the Link, because nobody has taken the codes.
func (m *Machine) untaken() {
	m.fail(m.withLast(&Failure{Reason: ReasonTimeout, Op: "link", Err: errUntaken}))
}

// attend notes that somebody is there: the Link goes on for as long as one that a
// person has started.
func (m *Machine) attend(now time.Time) {
	if m.cfg.Codes == 0 {
		return
	}
	m.cfg.Codes, m.cfg.Brief = 0, false
	if m.cfg.Timeout > 0 && m.phase != phaseIdle {
		m.timeoutAt = now.Add(m.cfg.Timeout)
	}
}

// reopen starts a new connection after a round of codes that nobody used. It forgets
// the failures before that round.
func (m *Machine) reopen(now time.Time) {
	scanned := m.qr.scanned
	m.qr.scanned = false
	if !scanned {
		m.qr.scans = 0
	}
	maps.DeleteFunc(m.strikes, func(reason Reason, _ int) bool {
		return reason != ReasonRemoved && reason != ReasonLoggedOut && (reason != ReasonPairing || !scanned)
	})
	m.do(Shut{m.epoch})
	m.open(now)
}

// backoff returns how long to wait before the next attempt.
func (m *Machine) backoff(now time.Time) time.Duration {
	if !m.refsAt.IsZero() && now.Sub(m.refsAt) >= StableAfter {
		m.faults = 0
	}
	m.refsAt = time.Time{}
	d := min(ShortestWait<<min(m.faults, 5), longestWait)
	m.faults++
	if !m.loginBy.IsZero() {
		return min(d, 2*ShortestWait) // the login has 30 s in all
	}
	return max(ShortestWait, d/2+time.Duration(m.cfg.Jitter()*float64(d/2)))
}
