package measure

import (
	"context"
	"errors"
	"fmt"
)

// Method is how a device is linked.
type Method string

// The methods.
const (
	QR   Method = "qr"
	Code Method = "code"
)

// Side is who links.
type Side string

// The sides.
const (
	// Walink is this module with store/sqlite.
	Walink Side = "walink"
	// Plain is whatsmeow with its sqlstore, as its documentation says.
	Plain Side = "whatsmeow"
)

// Sides returns both, the one that is measured first.
func Sides() []Side { return []Side{Walink, Plain} }

// database is where one side keeps its devices.
type database interface {
	// link returns a new link, for a number that the database does not know yet.
	// It does nothing else, and is not part of any time. crowd says that the
	// database is not for this device alone.
	link(number string, method Method, crowd bool) link
	Close() error
}

// link is one device on its way.
type link interface {
	// start begins and returns the first code of the method.
	start(ctx context.Context) (shown string, err error)
	// linked returns when the device is logged in and can be used.
	linked() error
	// stop disconnects.
	stop()
}

// open opens a new database in folder, for one device or for a crowd. If it need
// not be durable, plain whatsmeow's is not.
func (l *Lab) open(ctx context.Context, side Side, folder string, crowd, durable bool) (database, error) {
	if side == Walink {
		return openWalink(ctx, folder, l.http)
	}
	return openPlain(ctx, folder, l.http, crowd, durable)
}

var errEnded = errors.New("ended before it was linked")

func unexpected(what any) error { return fmt.Errorf("unexpected: %v", what) }

// wrap names the side in an error.
func wrap(side Side, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", side, err)
}
