package wire

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

func TestWhatsmeowsLogLosesItsSecrets(t *testing.T) {
	t.Parallel()
	jid := types.NewADJID("5511987654321", 0, 7)
	node := &waBinary.Node{
		Tag: "notification", Attrs: waBinary.Attrs{"type": "link_code_companion_reg", "from": jid},
		Content: []waBinary.Node{{Tag: "link_code_pairing_ref", Content: []byte("2@canaryref")}},
	}
	for _, c := range []struct {
		format string
		args   []any
		keep   string
	}{
		{"%s", []any{node}, "<notification type=link_code_companion_reg <link_code_pairing_ref>>"},
		{"Unknown stream error: %s", []any{*node}, "Unknown stream error"},
		{"Successfully paired %s", []any{&jid}, "Successfully paired"},
		{"Successfully paired %s", []any{jid}, ":7@s.whatsapp.net"},
		{"Errored frame hex: %s", []any{"f8063c0a2f63616e617279"}, "Errored frame hex"},
		{"Emitting QR code %s", []any{"https://wa.me/settings/linked_devices#2@canaryref,bm9pc2VrZXlub2lzZWtleW5vaXNla2V5,x,y,1"}, "Emitting QR code"},
		{"code %s", []any{"ABCD-EFGH"}, "code"},
		{"code %s", []any{"ABCDEFGH"}, "code"},
		{"call from %s", []any{"5511987654321"}, "call from"},
		{"failed: %v", []any{errors.New("no session for 5511987654321_1:7")}, "no session for"},
		{"panic: %v\n%s", []any{"boom", []byte("canarystack")}, "boom"},
		{"nil %s %v", []any{(*types.JID)(nil), nil}, "nil <nil> <nil>"},
	} {
		var buf bytes.Buffer
		tapped := 0
		tap := func(*waBinary.Node) { tapped++ }
		l := &logger{sink: &sink{
			ctx: t.Context(), log: slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug})),
			received: tap, sending: tap,
		}}
		sub := l.Sub("Recv")
		sub.Debugf(c.format, c.args...)
		sub.Infof(c.format, c.args...)
		sub.Warnf(c.format, c.args...)
		sub.Errorf(c.format, c.args...)
		got := buf.String()
		for _, secret := range []string{"canary", "5511987654321", "bm9pc2", "ABCD", "63616e617279"} {
			if strings.Contains(got, secret) {
				t.Errorf("%q shows %q:\n%s", c.format, secret, got)
			}
		}
		if strings.Count(got, c.keep) != 4 {
			t.Errorf("%q lost %q:\n%s", c.format, c.keep, got)
		}
		_, isNode := c.args[0].(*waBinary.Node)
		if want := map[bool]int{true: 1}[isNode]; tapped != want {
			t.Errorf("%q was tapped %d times, want %d", c.format, tapped, want)
		}
	}
}

// lines is a handler that keeps the messages.
type lines struct {
	slog.Handler
	all *[]string
}

func (l lines) Handle(_ context.Context, r slog.Record) error {
	*l.all = append(*l.all, r.Message)
	return nil
}

func TestWhatsmeowsLogIsPlainText(t *testing.T) {
	t.Parallel()
	const evil = "\x1b[2J\u009b31m\u202ename\r\n"
	var got []string
	l := &logger{sink: &sink{ctx: t.Context(), log: slog.New(lines{slog.Default().Handler(), &got})}}
	l.Warnf("name %s", evil)
	l.Warnf("failed: %v", errors.New(evil))
	l.Warnf("stream error %s", &waBinary.Node{Tag: evil, Attrs: waBinary.Attrs{"type": evil}})
	l.Warnf("three %d\nlines\n", 3)
	want := []string{"name [2J 31mname", "failed: [2J 31mname", "stream error < [2J 31mname type= [2J 31mname >", "three 3 lines"}
	if !slices.Equal(got, want) {
		t.Errorf("the log is %q, want %q", got, want)
	}
}
