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

// PasskeyCode returns the code that the phone shows beside the question whether
// the other device shows the same, such as "ABCD-EFGH". It waits until the phone
// asks, which it does not after a valid hand-off proof unless WithCodeCheck was
// given; the only error is ctx's. Of several links at once the first is meant.
func (p *Phone) PasskeyCode(ctx context.Context) (string, error) {
	var code string
	err := p.answer(ctx, func(l *passkeyLink) { code = l.code })
	return code, err
}

// ConfirmPasskey says that the codes are the same. It waits as PasskeyCode does.
// The phone then takes the companion's pairing request, or waits for it.
func (p *Phone) ConfirmPasskey(ctx context.Context) error {
	return p.answer(ctx, func(l *passkeyLink) {
		p.dismiss(l.ceremony)
		l.confirm()
	})
}

// RefusePasskey says that the codes differ: the phone ends the link with
// ErrCodesDiffer. The companion hears nothing; whatever it sends after that is
// refused. It waits as PasskeyCode does.
func (p *Phone) RefusePasskey(ctx context.Context) error {
	return p.answer(ctx, func(l *passkeyLink) {
		p.dismiss(l.ceremony)
		l.ceremony.end(ErrCodesDiffer)
	})
}

// PasskeyRefusals returns why steps of companions that had to prove this
// account's passkey were refused, the oldest first: one of the ErrPasskey,
// ErrHandoff and ErrPairing constants each. What a Script refused is not among them.
func (p *Phone) PasskeyRefusals() []Refusal {
	p.srv.mu.Lock()
	defer p.srv.mu.Unlock()
	return slices.Clone(p.refusals)
}

// answer waits until the phone asks about a code, and answers with the server's mu held.
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

// dismiss takes a ceremony's code from the screen. The caller holds the server's mu.
func (p *Phone) dismiss(c *ceremony) {
	p.asking = slices.DeleteFunc(p.asking, func(l *passkeyLink) bool { return l.ceremony == c })
}
