package faults_test

import (
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
)

// Hundreds of sessions that a program opens at once make a database slow.
func TestSuperviseWaitsForAStoreThatIsSlowFromTheStart(t *testing.T) {
	t.Parallel()
	for name, calls := range map[string]map[storeCall]error{
		"lease": {callTake: nil}, "session": {callDevice: nil}, "lease and session": {callTake: nil, callDevice: nil}, "code": {callCode: nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) {
				st := &faultyStore{fullStore: rig.MemoryStore(t), broken: calls}
				r := rig.New(t, walink.Settings{Phone: rig.Number, LinkingMode: walink.ModePairing}, rig.WithStore(st))
				r.Supervise(t.Context())
				rig.WantReason(t, rig.Await[walink.Retrying](r).Err, walink.ErrStore)
				rig.Drift[walink.Event](r, 10*time.Minute)
				st.heal()
				r.Linker.Attend()
				r.Enter(rig.Await[walink.PairingCode](r))
				rig.Await[walink.Linked](r)
			})
		})
	}
}

func TestSuperviseEndsIfTheStoreFailsAtTheStart(t *testing.T) {
	t.Parallel()
	rig.Bubble(t, func(t *testing.T) {
		st := &faultyStore{fullStore: rig.MemoryStore(t), broken: map[storeCall]error{callDevice: errDiskFull}}
		r := rig.New(t, walink.Settings{}, rig.WithStore(st))
		r.Supervise(t.Context())
		rig.WantReason(t, rig.Await[walink.Failed](r).Err, walink.ErrStore)
	})
}
