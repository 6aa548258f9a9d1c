package measure

import (
	"context"
	"net/http"
	"path/filepath"

	"github.com/walink/walink"
	"github.com/walink/walink/store/sqlite"
)

// walinkDatabase is a Store of store/sqlite. It syncs every commit, always.
type walinkDatabase struct {
	*sqlite.Store
	http *http.Client
}

func openWalink(ctx context.Context, folder string, client *http.Client) (database, error) {
	st, err := sqlite.Open(ctx, filepath.Join(folder, "walink.db"))
	if err != nil {
		return nil, err
	}
	return walinkDatabase{st, client}, nil
}

func (d walinkDatabase) link(number string, method Method, _ bool) link {
	settings := walink.Settings{Session: number, HTTPClient: d.http}
	if method == Code {
		settings.Phone, settings.PreferPairingCode = number, true
	}
	return &walinkLink{store: d.Store, settings: settings}
}

type walinkLink struct {
	store    *sqlite.Store
	settings walink.Settings
	linker   *walink.Linker
	events   <-chan walink.Event
}

func (l *walinkLink) start(ctx context.Context) (string, error) {
	var err error
	if l.linker, err = walink.New(l.store, l.settings); err != nil {
		return "", err
	}
	if l.events, err = l.linker.Link(ctx); err != nil {
		return "", err
	}
	for event := range l.events {
		switch e := event.(type) {
		case walink.PairingCode:
			return e.Code, nil
		case walink.QRCode:
			return e.Payload, nil
		case walink.Failed:
			return "", e.Err
		case walink.Connecting:
		case walink.Withdrawn, walink.PasskeyRequired, walink.PasskeyConfirmation, walink.Paired, walink.Retrying, walink.Linked,
			walink.Disconnected, walink.Reconnected:
			return "", unexpected(event)
		}
	}
	return "", errEnded
}

func (l *walinkLink) linked() error {
	for event := range l.events {
		switch e := event.(type) {
		case walink.Linked:
			return nil
		case walink.Failed:
			return e.Err
		case walink.QRCode, walink.Paired, walink.Retrying, walink.Connecting, walink.Disconnected, walink.Reconnected: // the clock goes on
		case walink.PairingCode, walink.Withdrawn, walink.PasskeyRequired, walink.PasskeyConfirmation:
			return unexpected(event)
		}
	}
	return errEnded
}

func (l *walinkLink) stop() {
	if l.linker != nil {
		_ = l.linker.Close()
	}
}
