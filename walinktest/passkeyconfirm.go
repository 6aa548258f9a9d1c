package walinktest

import (
	"context"
	"slices"
)

// WithCodeCheck makes the phone ask the person to compare codes at every passkey
// ceremony, also after a valid hand-off proof.
func WithCodeCheck() PhoneOption {
	return func(p *Phone) { p.codeCheck = true }
}

// PasskeyCode waits until the phone asks whether the other device shows the same code,
// and returns that code, such as "ABCD-EFGH". After a valid hand-off proof the phone
// does not ask, unless it was made with WithCodeCheck. If several links wait for the
// person, PasskeyCode returns the first one's code. The only error is ctx's.
func (p *Phone) PasskeyCode(ctx context.Context) (string, error) {
	var code string
	err := p.answer(ctx, func(l *passkeyLink) { code = l.code })
	return code, err
}

// ConfirmPasskey waits as PasskeyCode does, and says that the codes are the same. The
// phone then takes the companion's pairing request, or waits for that request.
func (p *Phone) ConfirmPasskey(ctx context.Context) error {
	return p.answer(ctx, func(l *passkeyLink) {
		p.dismiss(l.ceremony)
		l.confirm()
	})
}

// RefusePasskey waits as PasskeyCode does, and says that the codes differ. The phone
// ends the link with ErrCodesDiffer. The companion gets no message, and the server
// refuses its further steps.
func (p *Phone) RefusePasskey(ctx context.Context) error {
	return p.answer(ctx, func(l *passkeyLink) {
		p.dismiss(l.ceremony)
		l.ceremony.end(ErrCodesDiffer)
	})
}

// PasskeyRefusals returns the reasons for which the server has refused steps of
// companions that had to prove this account's passkey, the oldest first. Each is one of
// the ErrPasskey, ErrHandoff and ErrPairing constants. Refusals by Script do not count.
func (p *Phone) PasskeyRefusals() []Refusal {
	p.srv.mu.Lock()
	defer p.srv.mu.Unlock()
	return slices.Clone(p.refusals)
}

// answer waits until the phone asks about a code, and calls answer with the server's mu
// held.
func (p *Phone) answer(ctx context.Context, answer func(*passkeyLink)) error {
	for {
		p.srv.mu.Lock()
		if len(p.asking) > 0 {
			answer(p.asking[0])
			p.srv.mu.Unlock()
			return nil
		}
		asked := p.asked
		p.srv.mu.Unlock()
		select {
		case <-asked:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ask shows a code. The caller holds the server's mu.
func (p *Phone) ask(l *passkeyLink) {
	p.asking = append(p.asking, l)
	close(p.asked)
	p.asked = make(chan struct{})
}

// dismiss removes a ceremony's code from the screen. The caller holds the server's mu.
func (p *Phone) dismiss(c *ceremony) {
	p.asking = slices.DeleteFunc(p.asking, func(l *passkeyLink) bool { return l.ceremony == c })
}
