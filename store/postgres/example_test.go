package postgres_test

import (
	"context"
	"log"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/walink/walink"
	"github.com/walink/walink/store/postgres"
)

// A service gives the pool that it has anyway.
//
//nolint:testableexamples // it needs a server
func ExampleOpenPool() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, "postgres://bot@db.example.org/service?sslmode=verify-full")
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close() // after the Store

	st, err := postgres.OpenPool(ctx, pool)
	if err != nil {
		log.Print(err)
		return
	}
	defer func() { _ = st.Close() }() // leaves the pool open

	linker, err := walink.New(st, walink.Settings{Session: "acme"})
	if err != nil {
		log.Print(err)
		return
	}
	defer func() { _ = linker.Close() }() // before the Store
	log.Print(linker.Status().State)
}
