package sqlkeep

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"

	"github.com/walink/walink/internal/keypair"
)

// preKeys stores the 812 prekeys of a first login in one commit, and makes the
// keys before it takes the write lock, which all devices share. GetOrGenPreKeys
// in sqlstore/store.go makes one commit for each key. Delete when it makes one
// for all.
type preKeys struct {
	wastore.PreKeyStore
	owner
	jid types.JID

	// mu is taken before a transaction begins. sqlstore takes its own lock in
	// both methods below, inside the transaction. Without mu there is a
	// deadlock: one goroutine has sqlstore's lock and waits for the only
	// connection that writes, and another has the connection and waits for the
	// lock.
	mu sync.Mutex
}

// preKeyRows is the number of prekeys in one statement: enough to make the cost
// of a statement small, and few enough for SQLite to compile the statement
// quickly.
const preKeyRows = 128

// GetOrGenPreKeys implements [wastore.PreKeyStore].
func (p *preKeys) GetOrGenPreKeys(ctx context.Context, count uint32) ([]*keys.PreKey, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	batch, err := p.getOrGen(ctx, count)
	if err != nil {
		return nil, p.keeper.fail("prekeys of session", p.session, err)
	}
	return batch, nil
}

func (p *preKeys) getOrGen(ctx context.Context, count uint32) ([]*keys.PreKey, error) {
	waiting, _, err := p.stored(ctx)
	if err != nil {
		return nil, err
	}
	var batch []*keys.PreKey
	if waiting == 0 {
		batch = make([]*keys.PreKey, count)
		for i := range batch {
			batch[i] = keypair.NewPreKey()
		}
	}
	err = p.keeper.txn(ctx, func(ctx context.Context) error {
		waiting, last, err := p.stored(ctx)
		if err != nil {
			return err
		}
		if waiting > 0 || batch == nil { // left by an upload that failed
			batch, err = p.PreKeyStore.GetOrGenPreKeys(ctx, count)
			return err
		}
		for i, key := range batch {
			key.KeyID = last + uint32(i) + 1
		}
		return p.insert(ctx, batch)
	})
	if err != nil {
		return nil, err
	}
	return batch, nil
}

// stored counts the keys that wait for upload, and returns the last ID.
func (p *preKeys) stored(ctx context.Context) (waiting int, last uint32, err error) {
	err = p.keeper.db.QueryRow(ctx, `
		SELECT COUNT(CASE WHEN uploaded=false THEN 1 END), COALESCE(MAX(key_id), 0)
		FROM whatsmeow_pre_keys WHERE jid=$1
	`, p.jid).Scan(&waiting, &last)
	if err != nil {
		return 0, 0, fmt.Errorf("failed to query existing prekeys: %w", err)
	}
	return waiting, last, nil
}

func (p *preKeys) insert(ctx context.Context, batch []*keys.PreKey) error {
	for rows := range slices.Chunk(batch, preKeyRows) {
		var query strings.Builder
		query.WriteString(`INSERT INTO whatsmeow_pre_keys (jid, key_id, key, uploaded) VALUES `)
		args := []any{p.jid.String()}
		for i, key := range rows {
			if i > 0 {
				query.WriteByte(',')
			}
			fmt.Fprintf(&query, "($1,$%d,$%d,false)", len(args)+1, len(args)+2)
			args = append(args, key.KeyID, key.Priv[:])
		}
		if _, err := p.keeper.db.Exec(ctx, query.String(), args...); err != nil {
			return fmt.Errorf("failed to store prekeys: %w", err)
		}
	}
	return nil
}

// GenOnePreKey implements [wastore.PreKeyStore].
func (p *preKeys) GenOnePreKey(ctx context.Context) (key *keys.PreKey, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	err = p.keeper.txn(ctx, func(ctx context.Context) error {
		key, err = p.PreKeyStore.GenOnePreKey(ctx)
		return err
	})
	if err != nil {
		return nil, p.keeper.fail("prekeys of session", p.session, err)
	}
	return key, nil
}
