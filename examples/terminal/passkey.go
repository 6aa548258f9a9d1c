package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/walink/walink"
	"github.com/walink/walink/passkey"
)

// desk is where a person answers a passkey: the walink extension brings the
// answer to its broker, or the person pastes it into the terminal. Its methods
// are called by one goroutine.
type desk struct {
	linker *walink.Linker
	broker *passkey.Broker
	note   func(line string)

	folder string      // of the extension and the snippet, once there is one
	base   string      // of the broker, once it listens
	lines  chan string // what is typed or pasted
	told   chan string // what came of it
	reads  bool        // lines are being read
	comp   bool        // codes are to be compared
	doing  sync.WaitGroup
	ended  chan struct{} // closed with the program
}

func newDesk(note func(string)) *desk {
	return &desk{
		broker: passkey.NewBroker(), note: note,
		lines: make(chan string), told: make(chan string), ended: make(chan struct{}),
	}
}

// Close ends the broker and removes what was written. The Linker has to be
// closed before.
func (d *desk) Close() error {
	close(d.ended)
	d.doing.Wait()
	err := d.broker.Close()
	if d.folder != "" {
		err = cmp.Or(err, os.RemoveAll(d.folder))
	}
	return err
}

// Ask shows how the passkey is answered, and begins to read in.
func (d *desk) Ask(ctx context.Context, in io.Reader, e walink.PasskeyRequired) {
	d.comp = false
	ways, err := d.ways(ctx, e)
	if err != nil {
		d.note("The passkey cannot be answered: " + reason(err) + ".")
		return
	}
	for _, line := range ways {
		d.note(line)
	}
	if in != nil && !d.reads {
		d.reads = true
		go d.read(in)
	}
}

// ways are the ways to answer.
func (d *desk) ways(ctx context.Context, e walink.PasskeyRequired) ([]string, error) {
	snippet, err := passkey.Snippet(e.Challenge)
	if err != nil {
		return nil, err
	}
	if d.folder == "" {
		if d.folder, err = os.MkdirTemp("", "walink-passkey-"); err != nil {
			return nil, err
		}
		if err := passkey.WriteExtension(filepath.Join(d.folder, "extension")); err != nil {
			return nil, err
		}
		if d.base, err = d.broker.Listen(ctx, "127.0.0.1:0"); err != nil {
			return nil, err
		}
	}
	script := filepath.Join(d.folder, "snippet.js")
	if err := os.WriteFile(script, []byte(snippet), 0o600); err != nil {
		return nil, err
	}
	return []string{
		"In a browser that has the passkey, on this machine, until " + clock(e.Expires) + ", do one of these:",
		"  A. With the walink extension. Once: open chrome://extensions, switch on Developer mode,",
		"     Load unpacked, " + filepath.Join(d.folder, "extension"),
		"     Then open the extension and paste this line:",
		"       " + d.broker.Line(d.base, e.Challenge),
		"  B. Without it. Open https://web.whatsapp.com, press F12, and paste into the console what is in",
		"     " + script,
		"     Then paste the line that it prints here, and press Enter.",
	}, nil
}

// read hands on what is typed, line by line. A read from a terminal cannot be
// ended, so this goes on until the program does.
func (d *desk) read(in io.Reader) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<16)
	for lines.Scan() {
		select {
		case d.lines <- lines.Text():
		case <-d.ended:
			return
		}
	}
}

// Compare asks for the comparison of the codes, unless there is no need.
func (d *desk) Compare(e walink.PasskeyConfirmation) { d.comp = !e.Automatic }

// Typed takes a line: an answer, or a yes to the comparison. What comes of it
// is told later, since WhatsApp has to be asked.
func (d *desk) Typed(ctx context.Context, line string) {
	line = strings.TrimSpace(line)
	switch {
	case line == "":
	case d.comp && strings.EqualFold(line, "y") || d.comp && strings.EqualFold(line, "yes"):
		d.do(func() error { return d.linker.ConfirmPasskey(ctx) }, "The codes are the same. Waiting for the phone.")
	case d.comp:
		d.note(`Type yes if the codes are the same. If they are not, press Ctrl-C: somebody else may be linking.`)
	default:
		answer, err := passkey.ParsePasted(line)
		if err != nil {
			d.note(reason(err) + ".")
			return
		}
		d.do(func() error { return d.linker.AnswerPasskey(ctx, answer) }, "WhatsApp has accepted the passkey.")
	}
}

// do asks WhatsApp, and tells what it says.
func (d *desk) do(ask func() error, done string) {
	d.doing.Go(func() {
		if err := ask(); err != nil {
			done = fmt.Sprintf("Not accepted: %s.", reason(err))
		}
		select {
		case d.told <- done:
		case <-d.ended:
		}
	})
}
