// Package postgres keeps links in a PostgreSQL database, for programs that run
// on several machines.
//
//	st, err := postgres.Open(ctx, "postgres://bot@db.example.org/walink?sslmode=verify-full")
//	if err != nil {
//		return err
//	}
//	defer st.Close()
//
// It is a module of its own, so that programs which use another store do not
// depend on pgx.
//
// # The URL
//
// The URL, or the list of keywords and values, is pgx's: TLS with sslmode,
// sslrootcert, sslcert and sslkey, the pool with pool_max_conns,
// pool_min_conns, pool_max_conn_lifetime and the like, and PGPASSWORD,
// PGPASSFILE and the other variables of libpq. Errors name the host and the
// database, and never the password.
//
// # What the database holds, and its danger
//
// The database holds the keys of WhatsApp accounts' companion devices, their
// contacts and the secrets of their messages, and they are not encrypted:
// whoever can read the tables, a backup or a replica of them can read and write
// as those accounts. Give the program a database and a role of its own.
//
// whatsmeow's own tables (whatsmeow_*) and walink's (walink_*) stand side by
// side, in the schema that is first in search_path; a database holds one such
// set, whatever schemas it has. Open brings them up to date in one transaction,
// for which the role needs the right to create tables there. Devices that
// another whatsmeow program has linked in the database can be taken over.
// Stop it first, and keep a copy: once the tables are up to date an old version
// of it may not read them.
//
//	jids, err := st.Adoptable(ctx)
//	...
//	err = st.Adopt(ctx, "default", jids[0])
//
// Sessions of other Stores come in by [transfer.Move].
//
// # What a crash may lose
//
// Nothing that was reported as stored, as long as the server runs with fsync on
// and synchronous_commit is not off. A device and its session name are one
// transaction, and so are the 812 prekeys of a first login. A server that is
// started anew gets new connections; what was called meanwhile has returned an
// error, after which it may be stored or not: a COMMIT whose answer was lost
// may have been done. A server without room for the tables refuses what needs
// some, and one without room for its log stops until there is. TestCrash kills
// a writing program, TestCrashOfTheServer the server under load, hundreds of
// times, and TestFullDisk fills a disk.
//
// # Leases
//
// The Store lends each session to one holder at a time ([store.Leaser]), by the
// clock of the database. A connection beside the pool holds an advisory lock as
// long as the program lives. When the database sees that connection go, the
// sessions are lent to others 13 seconds later; a program that is alive after
// all learns of it, at the latest when it renews its leases, and takes another
// lock in time or lets go. After a restart of the server, and when the network
// is cut so that the server sees nothing, a lease ends with its time. A
// connection is needed for this beside those of the pool, and one more while the
// store is opened; where there is none, leases end with their time.
//
// A standby that takes over with asynchronous replication may not have the last
// renewals: a lease can pass before its time then.
//
// # PgBouncer
//
// Session and transaction pooling both work. Behind a pooler statements are not
// prepared, and there is no such connection of one's own, so a lease always
// ends with its time. Statement pooling does not work: there are transactions.
package postgres
