package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/passkey"
)

const (
	// patience is how long the desk waits for the rest of a paste.
	patience = time.Second
	// longestPaste is longer than any answer with the text around it.
	longestPaste = 16 << 10

	noAnswer = "Copy the whole line that begins with { and ends with }. There is no answer in this line."
)

// desk takes a person's answer to a passkey: the walink extension sends the answer to
// the desk's broker, or the person pastes it into the terminal. One goroutine calls the
// methods of a desk.
type desk struct {
	linker    *walink.Linker
	broker    *passkey.Broker
	note      func(line string)
	extension string // the folder of the extension; "" is one in the person's folder for settings

	base    string           // of the broker; "" before it listens
	written bool             // the extension is in its folder
	folder  string           // of the snippet; "" if there is none
	serving func()           // ends the serving of the last challenge
	lines   chan string      // what the person types or pastes
	results chan string      // what WhatsApp says to answers and confirmations
	reads   bool             // a goroutine reads lines
	comp    bool             // the person compares codes
	pasted  string           // what may be the beginning of an answer
	late    <-chan time.Time // when the rest of the answer is overdue
	doing   sync.WaitGroup
	ended   chan struct{} // closed by Close
}

// newDesk returns a desk that says to the person which number is to be linked; "" if that
// is not known.
func newDesk(note func(string), number, extension string) *desk {
	return &desk{
		broker: passkey.NewBroker(passkey.Claim{Program: "walink terminal", Number: number}), note: note, extension: extension, serving: func() {},
		lines: make(chan string), results: make(chan string), ended: make(chan struct{}),
	}
}

// Close shuts the broker down and removes the snippet. The extension stays, because the
// browser needs it again. Close the Linker before.
func (d *desk) Close() error {
	d.serving()
	close(d.ended)
	d.doing.Wait()
	err := d.broker.Close()
	if d.folder != "" {
		err = cmp.Or(err, os.RemoveAll(d.folder))
	}
	return err
}

// Ask shows how to answer the passkey, takes answers, and begins to read in. It returns
// the line for the extension; "" if the extension cannot be used.
func (d *desk) Ask(ctx context.Context, in io.Reader, e walink.PasskeyRequired) (line string) {
	d.comp, d.pasted, d.late = false, "", nil
	d.serving()
	if _, err := passkey.Snippet(e.Challenge); err != nil {
		d.note("The passkey cannot be answered: " + reason(err) + ".")
		return ""
	}
	d.note("Until " + clock(e.Expires) + ", do one of these:")
	byExtension, err := d.byExtension(ctx, e)
	for _, text := range append(byExtension, d.bySnippet(e)...) {
		d.note(text)
	}
	if in != nil && !d.reads {
		d.reads = true
		go d.read(in)
	}
	if err != nil {
		return ""
	}
	d.serve(ctx, e)
	return d.broker.Line(d.base, e.Challenge)
}

// byExtension says how to answer with the extension.
func (d *desk) byExtension(ctx context.Context, e walink.PasskeyRequired) (lines []string, err error) {
	if d.base == "" {
		if d.base, err = d.broker.Listen(ctx, "127.0.0.1:0"); err != nil {
			return []string{"  A. With the walink extension: not now. " + reason(err) + "."}, err
		}
	}
	lines = []string{"  A. With the walink extension, in Chrome, Chromium, Edge or Brave on this machine."}
	if err := d.writeExtension(); err != nil {
		lines = append(lines, "     It cannot be written: "+reason(err)+".")
	} else {
		lines = append(lines,
			"     Once: open chrome://extensions, switch on Developer mode, press Load unpacked, choose",
			"       "+d.extension,
			"     and leave that folder where it is.")
	}
	return append(lines,
		"     Then press the extension's button and paste this line:",
		"       "+d.broker.Line(d.base, e.Challenge),
		"     Go on there only if the extension shows this address and the name walink terminal."), nil
}

// writeExtension writes the extension to a folder that stays, because a browser reads
// the extension at each start.
func (d *desk) writeExtension() error {
	if d.written {
		return nil
	}
	if d.extension == "" {
		config, err := os.UserConfigDir()
		if err != nil {
			return err
		}
		d.extension = filepath.Join(config, "walink", "passkey-extension")
	}
	err := passkey.WriteExtension(d.extension)
	d.written = err == nil
	return err
}

// bySnippet says how to answer with the console.
func (d *desk) bySnippet(e walink.PasskeyRequired) []string {
	script, err := d.writeSnippet(e)
	if err != nil {
		return []string{"  B. Without it: not now. " + reason(err) + "."}
	}
	return []string{
		"  B. Without it, in any browser on any computer. Open https://web.whatsapp.com, press F12, and paste",
		"     into the console what is in",
		"       " + script,
		"     Chrome wants you to type allow pasting first, and to press Enter.",
		"     Then paste the line that it prints here, and press Enter.",
	}
}

func (d *desk) writeSnippet(e walink.PasskeyRequired) (script string, err error) {
	snippet, err := passkey.Snippet(e.Challenge)
	if err != nil {
		return "", err
	}
	if d.folder == "" {
		if d.folder, err = os.MkdirTemp("", "walink-passkey-"); err != nil {
			return "", err
		}
	}
	script = filepath.Join(d.folder, "snippet.js")
	return script, os.WriteFile(script, []byte(snippet), 0o600)
}

// serve takes answers from the extension. The extension shows what WhatsApp says to them.
func (d *desk) serve(ctx context.Context, e walink.PasskeyRequired) {
	ctx, d.serving = context.WithDeadline(ctx, e.Expires)
	d.doing.Go(func() {
		_ = d.broker.Serve(ctx, e.Challenge, func(ctx context.Context, answer []byte) error {
			err := d.linker.AnswerPasskey(ctx, answer)
			d.report("WhatsApp has accepted the passkey.", err)
			if err != nil {
				return errors.New(reason(err))
			}
			return nil
		}) // without an answer Serve returns ctx's error, whose reason the screen shows already
	})
}

// read sends each line of in to the lines. A read from a terminal cannot be ended, so
// read may run until the program ends.
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

// Compare waits for the person to compare the codes, unless e is automatic.
func (d *desk) Compare(e walink.PasskeyConfirmation) { d.comp = !e.Automatic }

// Typed takes a line: an answer or a part of one, or a yes to the comparison. The
// results follow on the channel, because WhatsApp has to say them.
func (d *desk) Typed(ctx context.Context, line string) {
	line = strings.TrimSpace(line)
	switch {
	case line == "":
	case d.comp && strings.EqualFold(line, "y") || d.comp && strings.EqualFold(line, "yes"):
		d.do(func() error { return d.linker.ConfirmPasskey(ctx) }, "The codes are the same. Waiting for the phone.")
	case d.comp:
		d.note(`Type yes if the codes are the same. If they are not, press Ctrl-C: somebody else may be linking.`)
	default:
		d.paste(ctx, line)
	}
}

// paste takes a line of a paste, which may have several.
func (d *desk) paste(ctx context.Context, line string) {
	text := d.pasted + line
	if len(text) > longestPaste {
		text = line
	}
	answer, err := passkey.ParsePasted(text)
	switch {
	case err == nil:
		d.pasted, d.late = "", nil
		d.do(func() error { return d.linker.AnswerPasskey(ctx, answer) }, "WhatsApp has accepted the passkey.")
	case !strings.Contains(text, "{"):
		d.note(noAnswer)
	default:
		d.pasted, d.late = text, time.After(patience)
	}
}

// Late says that the rest of a paste has not come. The rest may still come.
func (d *desk) Late() {
	d.late = nil
	d.note(noAnswer)
}

// do makes a call that WhatsApp answers, and reports the result.
func (d *desk) do(call func() error, done string) {
	d.doing.Go(func() { d.report(done, call()) })
}

// report reports that an answer or a confirmation is done, or its error.
func (d *desk) report(done string, err error) {
	if err != nil {
		done = fmt.Sprintf("Not accepted: %s.", reason(err))
	}
	select {
	case d.results <- done:
	case <-d.ended:
	}
}
