// Package sqlite keeps links in one SQLite file. It is walink's default store
// and needs neither a server nor cgo: the driver is modernc.org/sqlite.
//
//	st, err := sqlite.Open(ctx, "walink.db")
//	if err != nil {
//		return err
//	}
//	defer st.Close()
//
// The path ":memory:" gives a database that is gone after Close.
//
// # What the file holds, and its danger
//
// The file holds the keys of WhatsApp accounts' companion devices, their
// contacts and the secrets of their messages. Whoever reads it can read and
// write as those accounts, from anywhere, until the device is removed on the
// phone. It is not encrypted. Open creates it for its owner alone (mode 0600),
// takes a file that exists from all others, and SQLite gives the same mode to
// walink.db-wal and walink.db-shm beside it. Keep it out of repositories,
// images and shared folders, and keep backups as safe as the file. What was
// deleted may stay in unused parts of the file until they are used again. The
// numbers for which pairing codes were asked for stand in it for a day, and
// then until the next code is asked for or the file is opened again.
//
// Copy the file only after Close, or with SQLite's own backup; a copy of
// walink.db without its -wal file may lack what was written last. Never run
// two copies: both would be the same device, and WhatsApp drops it.
//
// # What a crash may lose
//
// Nothing that was reported as stored. Every write is a transaction that is on
// the disk before the call returns (journal_mode WAL, synchronous FULL), so a
// killed process or a power cut loses at most the calls that had not returned.
// A device and its session name are one transaction, and so are the 812
// prekeys of a first login, and so is an upgrade of the schema: after a crash
// each of them is there in full or not at all. The WAL needs a disk of this
// machine: not NFS or any other network file system. On a full disk calls fail
// with an error that says so, reading goes on, and with room again so does all
// else. TestCrash, which kills a writing program hundreds of times, and
// TestFullDisk hold the package to this.
//
// # Many devices, one file
//
// A Store is made for many devices at once. One connection writes, and writers
// wait for it in the process, so that none sees SQLITE_BUSY; four more
// connections read without waiting for writers.
//
// Several processes of one machine may use the file. Each waits up to five
// seconds for a lock before it fails with "database is locked". Within a process
// open a file once and share the Store.
//
// # Leases
//
// The Store lends each session to one holder at a time ([store.Leaser]), so that
// two processes do not connect the same session. The clock is the machine's. On
// Linux a file walink.db-lease beside the database, which is always empty, shows
// who is alive: each Store with a lease holds a lock in it, which the system
// takes back when the process ends, so that what a killed process had can be
// lent at once. Elsewhere, and where the file was deleted meanwhile, a lease
// ends with its time. So does one that was not given back before Close: the
// Linker that has it may be connected still.
//
// # Opening
//
// The data source name is written here, because the parameters of one SQLite
// driver given to another are ignored without a word: foreign_keys on,
// journal_mode WAL, synchronous FULL, busy_timeout 5 s, transactions that take
// the write lock when they begin. Each pragma is read back, and one that did
// not take is an error. Any path works, also with spaces, '?', '#' and '%'.
//
// A file that cannot be used gets an error that names the path and the reason,
// and stays as it was, with its -wal file: one that is not a database or is
// damaged, a read-only file or directory, a schema that needs a newer program
// ([go.mau.fi/util/dbutil.ErrUnsupportedDatabaseVersion]), one that another
// process has locked. What SQLite itself said is in the error's chain as
// *sqlite.Error of modernc.org/sqlite. A file that others can use, and that
// cannot be taken from them because it is not ours, is refused too.
//
// # Databases of other whatsmeow programs
//
// Devices are stored by whatsmeow's own sqlstore, so the database of any
// program that uses it with SQLite can be opened; its tables are brought up to
// date, and walink's are put beside them. [Store.Adoptable] lists its devices
// and [Store.Adopt] gives one a session name, after which walink resumes it
// without a new link. Stop the other program first, and keep a copy: once
// upgraded, an old version of it may not read the file.
//
//	jids, err := st.Adoptable(ctx)
//	...
//	err = st.Adopt(ctx, "default", jids[0])
//
// It does not matter which driver the other program has used. From here
// [transfer.Move] takes the session to another Store; docs/storage.md has more.
package sqlite
