// Package postgres keeps links in a PostgreSQL database, for programs that run
// on several machines.
//
//	st, err := postgres.Open(ctx, "postgres://bot@db.example.org/walink?sslmode=verify-full")
//	if err != nil {
//		return err
//	}
//	defer st.Close()
//
// A program that has a pool already gives the pool to [OpenPool].
//
// The package is a separate module, so that only programs that use it depend
// on pgx.
//
// # The URL
//
// The URL, or the list of keywords and values, is that of pgx. It has TLS with
// sslmode, sslrootcert, sslcert and sslkey, and the pool with pool_max_conns,
// pool_min_conns, pool_max_conn_lifetime and others. pgx also reads PGPASSWORD,
// PGPASSFILE and the other variables of libpq. Errors name the host and the
// database, and never the password. For a server that is not on this machine
// choose sslmode=verify-full: the other values, require too, do not protect from
// somebody between who claims to be the server. Check warns of them.
//
// # What the database holds, and its danger
//
// The database holds the keys of WhatsApp accounts' companion devices, their
// contacts and the secrets of their messages. The database also holds what the
// program keeps for its sessions ([store.Registry]). Nothing is encrypted: whoever
// can read the tables, a backup or a replica can read and write messages as
// those accounts. Give the program its own database and role. Check warns if
// another role owns the tables or may use them, also as a member of such a role, of a
// superuser, of pg_read_all_data or of pg_write_all_data. Deleted data, such as the keys of
// a session that was deleted or moved, stays in the tables until VACUUM FULL, and
// in the write-ahead log and backups as long as those are kept.
//
// whatsmeow's own tables (whatsmeow_*) and walink's (walink_*) are in the
// schema that is first in search_path. A database can have only one such set,
// whatever its schemas. Open brings the tables up to date in one transaction,
// for which the role needs the right to create tables in the schema.
//
// The database may be that of another whatsmeow program: give its devices
// session names. Stop the other program first, and keep a copy: an old version
// of it may not be able to read the upgraded tables.
//
//	jids, err := st.Adoptable(ctx)
//	...
//	err = st.Adopt(ctx, "default", jids[0])
//
// [transfer.Move] brings sessions from other Stores.
//
// # What a crash may lose
//
// Nothing that was reported as stored, as long as the server runs with fsync on
// and synchronous_commit is not off. A device with its session name is one
// transaction, and so are the 812 prekeys of a first login. After a restart of
// the server the Store connects again. Calls during the restart return an
// error, and may or may not have stored something, because the answer to a
// COMMIT can be lost. A server without room for its tables refuses what needs
// room, and a server without room for its log stops until there is room.
// TestCrash kills a writing program, and TestCrashOfTheServer the server under
// load, hundreds of times. TestFullDisk fills a disk.
//
// # Leases
//
// The Store lends each session to one holder at a time ([store.Leaser]), by the
// clock of the database. A holder is one row, which a Linker's process updates in
// its own transaction, less than once a second. If the process dies or loses
// its network, others can have its sessions 11 seconds later. A restart of the
// server that takes less than eight seconds changes nothing.
//
// After a failover to a standby with asynchronous replication, the last
// renewals may be lost: then a lease can be lent to another before it expires.
//
// # PgBouncer
//
// Session pooling and transaction pooling both work. Behind a pooler the Store
// prepares no statements. A pool that is given to [OpenPool] must not prepare
// statements there. Statement pooling does not work, because the Store needs
// transactions.
package postgres
