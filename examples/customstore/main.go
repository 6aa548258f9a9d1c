// Command customstore links with a Store on its own database, a Journal. The
// Journal and its lock take less than 150 lines of code, in journal.go and
// lock_unix.go. The program shows a QR code, and then lists the stored sessions:
//
//	go run ./examples/customstore -journal walink.journal
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"

	"github.com/walink/walink"
	"github.com/walink/walink/qr"
	"github.com/walink/walink/store/kv"
)

func main() {
	path := flag.String("journal", "walink.journal", "the `file` that keeps the session")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *path)
	if stop(); err != nil {
		log.Fatal(err)
	}
}

// run links, or resumes a stored session, and lists the sessions.
func run(ctx context.Context, path string) error {
	db, err := OpenJournal(path)
	if err != nil {
		return err
	}
	st := kv.New(db)
	defer func() { _ = st.Close() }()
	linker, err := walink.New(st, walink.Settings{})
	if err != nil {
		return err
	}
	defer func() { _ = linker.Close() }()
	updates, err := linker.Link(ctx)
	if err != nil {
		return err
	}
	for update := range updates {
		switch e := update.(type) {
		case walink.QRCode:
			_ = qr.Terminal(os.Stdout, e.Payload)
		case walink.Failed:
			return e.Err
		case walink.PairingCode, walink.Linked, walink.Connecting, walink.Withdrawn, walink.PasskeyRequired, walink.PasskeyConfirmation, walink.Paired,
			walink.Retrying, walink.Disconnected, walink.Reconnected, walink.Standby:
		}
	}
	sessions, err := st.Sessions(ctx)
	for _, session := range sessions {
		fmt.Printf("session %q is stored, linked %s\n", session.Name, session.LinkedAt)
	}
	return err
}
