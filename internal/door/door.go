// Package door gives package fleet methods of a [walink.Linker] that programs must not
// call. Package walink sets [Of].
package door

import (
	"context"

	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/tenure"
	"github.com/walink/walink/internal/wire"
)

// Of returns the Linker behind a *walink.Linker.
//
//nolint:gochecknoglobals // package walink cannot be imported here
var Of func(linker any) Linker

// Linker is what a fleet does with a Linker next to its exported methods.
type Linker interface {
	// Keep gives the Linker the lease for all that it does. The Linker neither takes
	// nor releases it. Pace is that of all Linkers of the session.
	Keep(lease *tenure.Tenure, pace *wire.Pace)
	// Supervise supervises the session in the calling goroutine, and returns the
	// *walink.Error of its end. It logs a stored session in, again and again. It links
	// one only with Terms.Ask, and then once. It ends when somebody has to decide: the
	// first Link of an Ask has failed and nothing is stored, the device was removed, the
	// session is another program's, or no other Link can cure the failure.
	Supervise(ctx context.Context, terms Terms) error
}

// Terms says how a fleet has a session supervised.
type Terms struct {
	// Ask says that a person is there to take a code.
	Ask bool
	// Open waits until the session may connect. It returns the function to call once the
	// outcome is known, and nil if ctx has ended.
	Open func(ctx context.Context) (opened func())
	// Stop ends the context of the Supervise.
	Stop context.CancelCauseFunc
	// Emit gets every walink.Event but the last Failed, from one goroutine. It must not
	// block.
	Emit func(event any)
}

// Stopped is the cause of a context that ends with a failure, for example because the
// lease is lost.
type Stopped struct{ Failure *machine.Failure }

// Error returns the reason.
func (s Stopped) Error() string { return string(s.Failure.Reason) }
