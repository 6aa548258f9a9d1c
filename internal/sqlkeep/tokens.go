package sqlkeep

import (
	"context"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// privacyTokens stores several tokens of one user one after the other.
// PutPrivacyTokens in sqlstore/store.go stores all tokens in one statement.
// PostgreSQL refuses a statement that changes a row twice, and for no tokens at
// all the statement is malformed. Delete when sqlstore accepts both.
type privacyTokens struct {
	wastore.PrivacyTokenStore
	keeper *Keeper
}

// PutPrivacyTokens implements [wastore.PrivacyTokenStore].
func (p privacyTokens) PutPrivacyTokens(ctx context.Context, tokens ...wastore.PrivacyToken) error {
	rounds := [][]wastore.PrivacyToken{}
	before := map[types.JID]int{} // how many tokens of the user came before
	for _, token := range tokens {
		user := token.User.ToNonAD()
		round := before[user]
		before[user]++
		if round == len(rounds) {
			rounds = append(rounds, nil)
		}
		rounds[round] = append(rounds[round], token)
	}
	switch len(rounds) {
	case 0:
		return ctx.Err()
	case 1:
		return p.PrivacyTokenStore.PutPrivacyTokens(ctx, tokens...)
	}
	return p.keeper.txn(ctx, func(ctx context.Context) error {
		for _, round := range rounds {
			if err := p.PrivacyTokenStore.PutPrivacyTokens(ctx, round...); err != nil {
				return err
			}
		}
		return nil
	})
}
