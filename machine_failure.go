package walink

import (
	"maps"
	"time"
)

// lost handles the end of the current socket, whatever ended it.
func (m *machine) lost(now time.Time, in inLost) {
	switch m.phase {
	case phaseIdle, phaseWaiting, phaseRefreshing, phaseDropping, phaseDone:
		return // the socket is already known to be gone
	case phasePaired:
		if in.err.Reason == ErrNetwork {
			return // the socket may end before or after the 515: stageAt reconnects
		}
	case phaseOffering:
		if in.err.Reason == ErrNetwork && !m.code.awaited() && !now.Before(m.refsAt.Add(refsLife(m.qr.count()))) {
			// The server closes a socket whose refs have run out.
			m.withdrawAll(now, WithdrawnExpired, nil)
			m.reopen(now)
			return
		}
	case phaseProbation:
		if in.err.Reason == ErrLoggedOut {
			in.err = &Error{Reason: ErrRemoved, Op: in.err.Op, Err: in.err.Err}
			in.tries = 1
		}
	case phaseOpening, phasePasskey, phaseLogin:
	}
	m.withdrawAll(now, withdrawnFor(in.err.Reason), in.err)
	m.lastErr = in.err
	m.do(doShut{m.epoch})
	switch in.err.Reason {
	case ErrStore: // another attempt would wait for it too
	case ErrClientOutdated:
		if m.cfg.versionRefresh && !m.refreshed {
			m.refreshed, m.retryErr = true, in.err
			m.phase, m.stageAt = phaseRefreshing, now.Add(serviceLimit)
			m.do(doRefreshVersion{m.epoch})
			return
		}
	case ErrLoggedOut, ErrRemoved:
		if m.resumed || m.paired {
			// What WhatsApp has removed is forgotten in any case.
			m.retryErr, m.last = in.err, !m.struck(in.err.Reason, in.tries)
			m.phase, m.stageAt = phaseDropping, now.Add(serviceLimit)
			m.do(doDrop{m.epoch})
			return
		}
	default:
		if in.tries >= 0 && m.struck(in.err.Reason, in.tries) {
			m.retry(now, in.err, m.backoff(now))
			return
		}
	}
	m.fail(in.err)
}

// struck counts a failure and reports whether another attempt may follow.
// Zero tries means any number.
func (m *machine) struck(reason Reason, tries int) bool {
	m.strikes[reason]++
	return tries == 0 || m.strikes[reason] <= tries
}

// versionReady goes on after the version request.
func (m *machine) versionReady(now time.Time, in inVersion) {
	if m.phase != phaseRefreshing {
		return
	}
	if in.err != nil {
		err := *m.retryErr
		err.Err = in.err
		m.fail(&err)
		return
	}
	m.retry(now, m.retryErr, 0)
}

// dropped goes on after the session has been deleted.
func (m *machine) dropped(now time.Time, in inDropped) {
	switch {
	case m.phase != phaseDropping:
	case in.err != nil:
		m.fail(in.err)
	case m.cfg.resumeOnly || m.last:
		m.fail(m.retryErr)
	default:
		m.unpair()
		m.retry(now, m.retryErr, 0)
	}
}

// unpair forgets that this Link has paired: its device is gone.
func (m *machine) unpair() {
	m.paired, m.loginBy, m.trialBy = false, time.Time{}, time.Time{}
}

// retry announces the next attempt and waits for it.
func (m *machine) retry(now time.Time, err *Error, delay time.Duration) {
	m.phase = phaseWaiting
	m.stageAt = now.Add(delay)
	m.do(doEmit{Retrying{Attempt: m.epoch + 1, Err: err, At: m.stageAt}})
}

// reopen goes on with a new socket after nothing but time has passed. A round of
// codes without a mishap clears those before it.
func (m *machine) reopen(now time.Time) {
	maps.DeleteFunc(m.strikes, func(reason Reason, _ int) bool { return reason != ErrRemoved && reason != ErrLoggedOut })
	m.do(doShut{m.epoch})
	m.open(now)
}

// backoff returns how long to wait before the next attempt.
func (m *machine) backoff(now time.Time) time.Duration {
	if !m.refsAt.IsZero() && now.Sub(m.refsAt) >= stableAfter {
		m.faults = 0
	}
	m.refsAt = time.Time{}
	d := min(shortestWait<<min(m.faults, 5), longestWait)
	m.faults++
	if !m.loginBy.IsZero() {
		return shortestWait // the login has 30 s in all
	}
	return max(shortestWait, d/2+time.Duration(m.cfg.jitter()*float64(d/2)))
}
