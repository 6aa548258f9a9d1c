// The stranger is a program of somebody else's that links with walink. It uses nothing but what walink exports.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"go.mau.fi/whatsmeow"

	"github.com/walink/walink"
	"github.com/walink/walink/qr"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
)

func main() {
	phone := flag.String("phone", "", "the account's number, with country code")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *phone); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, phone string) error {
	st, err := sqlite.Open(ctx, "walink.db")
	if err != nil {
		return err
	}
	defer st.Close()
	client, done, err := link(ctx, os.Stdout, st, walink.Settings{
		Phone:             phone,
		PreferPairingCode: true,
		QRFallback:        true,
	})
	if err != nil {
		return err
	}
	defer done()
	fmt.Println("connected:", client.IsLoggedIn())
	<-ctx.Done()
	return nil
}

// link tells w what the person has to do, and ends with a connected client or a reason.
func link(ctx context.Context, w io.Writer, st store.Store, settings walink.Settings) (*whatsmeow.Client, func() error, error) {
	linker, err := walink.New(st, settings)
	if err != nil {
		return nil, nil, err
	}
	events, err := linker.Link(ctx)
	if err != nil {
		return nil, nil, err
	}
	err = fmt.Errorf("the events ended without Linked or Failed")
	for event := range events {
		switch e := event.(type) {
		case walink.PairingCode:
			fmt.Fprintln(w, "enter", e.Code, "on", e.Phone)
		case walink.QRCode:
			err = qr.Terminal(w, e.Payload)
		case walink.Linked:
			return linker.Client(), linker.Close, nil
		case walink.Failed:
			err = fmt.Errorf("%w: %s", e.Err, e.Err.Remedy())
		}
	}
	linker.Close()
	return nil, nil, err
}
