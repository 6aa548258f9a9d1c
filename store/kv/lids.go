package kv

import (
	"context"
	"fmt"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/internal/redact"
)

// lids is the map of LIDs and phone numbers, which all devices share. It stores
// users; servers and device numbers are those of the question.
type lids struct{ store *Store }

var _ wastore.LIDStore = lids{}

// other returns the user on the other side of the map, or an empty string.
func other(tx Tx, space, user string) (string, error) {
	var found string
	err := load(tx, name(space, user), func(dec *decoder) { found = dec.string() })
	return found, err
}

// altJID returns the JID of the same user on the other side of the map, without
// a device, or an empty JID.
func altJID(tx Tx, jid types.JID) (types.JID, error) {
	space, server := spaceNumber, types.HiddenUserServer
	switch jid.Server {
	case types.DefaultUserServer:
	case types.HiddenUserServer:
		space, server = spaceLID, types.DefaultUserServer
	default:
		return types.EmptyJID, nil
	}
	user, err := other(tx, space, jid.User)
	if err != nil || user == "" {
		return types.EmptyJID, err
	}
	return types.JID{User: user, Server: server}, nil
}

func (l lids) fail(err error) error {
	if err == nil {
		return nil
	}
	return redact.Errorf("kv: LIDs in %s: %w", l.store.title(), err)
}

func (l lids) get(ctx context.Context, jid types.JID) (types.JID, error) {
	var found types.JID
	err := l.store.txn(ctx, false, func(tx Tx) (err error) {
		found, err = altJID(tx, jid)
		return err
	})
	if err != nil {
		return types.EmptyJID, l.fail(err)
	}
	if found.User != "" {
		found.Device = jid.Device
	}
	return found, nil
}

// GetPNForLID implements [wastore.LIDStore].
func (l lids) GetPNForLID(ctx context.Context, lid types.JID) (types.JID, error) {
	if lid.Server != types.HiddenUserServer {
		return types.EmptyJID, l.fail(fmt.Errorf("GetPNForLID: the JID is at %q, want a LID", lid.Server))
	}
	return l.get(ctx, lid)
}

// GetLIDForPN implements [wastore.LIDStore].
func (l lids) GetLIDForPN(ctx context.Context, pn types.JID) (types.JID, error) {
	if pn.Server != types.DefaultUserServer {
		return types.EmptyJID, l.fail(fmt.Errorf("GetLIDForPN: the JID is at %q, want a phone number", pn.Server))
	}
	return l.get(ctx, pn)
}

// GetManyLIDsForPNs implements [wastore.LIDStore]. The result lacks JIDs that
// are unknown or no phone number.
func (l lids) GetManyLIDsForPNs(ctx context.Context, pns []types.JID) (map[types.JID]types.JID, error) {
	if len(pns) == 0 {
		return nil, nil
	}
	var found map[types.JID]types.JID
	err := l.store.txn(ctx, false, func(tx Tx) error {
		found = make(map[types.JID]types.JID, len(pns))
		for _, pn := range pns {
			if pn.Server != types.DefaultUserServer {
				continue
			}
			lid, err := altJID(tx, pn)
			if err != nil {
				return err
			}
			if lid.User != "" {
				lid.Device = pn.Device
				found[pn] = lid
			}
		}
		return nil
	})
	if err != nil {
		return nil, l.fail(err)
	}
	return found, nil
}

// PutLIDMapping implements [wastore.LIDStore].
func (l lids) PutLIDMapping(ctx context.Context, lid, pn types.JID) error {
	if lid.Server != types.HiddenUserServer || pn.Server != types.DefaultUserServer {
		return l.fail(fmt.Errorf("PutLIDMapping: the JIDs are at %q and %q, want a LID and a phone number", lid.Server, pn.Server))
	}
	return l.put(ctx, []wastore.LIDMapping{{LID: lid, PN: pn}})
}

// PutManyLIDMappings implements [wastore.LIDStore]. It ignores pairs that are
// not of a LID and a phone number.
func (l lids) PutManyLIDMappings(ctx context.Context, mappings []wastore.LIDMapping) error {
	valid := make([]wastore.LIDMapping, 0, len(mappings))
	for _, m := range mappings {
		if m.LID.Server == types.HiddenUserServer && m.PN.Server == types.DefaultUserServer {
			valid = append(valid, m)
		}
	}
	return l.put(ctx, valid)
}

// put stores pairs, of which later ones win. Most pairs are known; then no
// transaction has to write.
func (l lids) put(ctx context.Context, mappings []wastore.LIDMapping) error {
	var fresh bool
	err := l.store.txn(ctx, false, func(tx Tx) error {
		fresh = false
		for _, m := range mappings {
			known, err := other(tx, spaceNumber, m.PN.User)
			if err != nil {
				return err
			}
			fresh = fresh || known != m.LID.User || known == ""
		}
		return nil
	})
	if err != nil || !fresh {
		return l.fail(err)
	}
	return l.fail(l.store.txn(ctx, true, func(tx Tx) error {
		for _, m := range mappings {
			if err := pair(tx, m.LID.User, m.PN.User); err != nil {
				return err
			}
		}
		return nil
	}))
}

// pair maps lid and pn to each other. It deletes all other pairs of the two.
func pair(tx Tx, lid, pn string) error {
	oldLID, err := other(tx, spaceNumber, pn)
	if err != nil {
		return err
	}
	oldPN, err := other(tx, spaceLID, lid)
	if err != nil {
		return err
	}
	if oldLID == lid && oldPN == pn && lid != "" && pn != "" {
		return nil
	}
	if oldLID != "" && oldLID != lid {
		if err := tx.Delete(name(spaceLID, oldLID)); err != nil {
			return err
		}
	}
	if oldPN != "" && oldPN != pn {
		if err := tx.Delete(name(spaceNumber, oldPN)); err != nil {
			return err
		}
	}
	if err := tx.Set(name(spaceLID, lid), newEncoder(len(pn)).string(pn).b); err != nil {
		return err
	}
	return tx.Set(name(spaceNumber, pn), newEncoder(len(lid)).string(lid).b)
}
