package walink_test

import (
	"testing"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/walinktest"
)

// These names are for the tests of Diagnose, and leave with them.

const number = rig.Number

func bubble(t *testing.T, test func(t *testing.T)) { t.Helper(); rig.Bubble(t, test) }

func memoryStore(t *testing.T) rig.Memory { t.Helper(); return rig.MemoryStore(t) }

type diagnosed struct {
	*rig.Rig
	srv    *walinktest.Server
	store  rig.Memory
	linker *walink.Linker
}

func newRig(t *testing.T, settings walink.Settings) diagnosed {
	t.Helper()
	st := rig.MemoryStore(t)
	r := rig.New(t, settings, rig.WithStore(st))
	return diagnosed{r, r.Server, st, r.Linker}
}

func (d diagnosed) linkByQR()          { d.LinkByQR() }
func (d diagnosed) usable()            { d.CheckUsable() }
func (d diagnosed) sessions() []string { return d.Sessions() }
