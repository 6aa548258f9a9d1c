// Package sqlite keeps links in one SQLite file. It is walink's default store.
// It needs neither a server nor cgo: the driver is modernc.org/sqlite.
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
// contacts and the secrets of their messages. Whoever reads the file can read
// and write messages as those accounts, from anywhere, until the device is
// removed on the phone. The file is not encrypted. Open creates it for its
// owner alone (mode 0600), and takes access to an existing file away from
// everybody else. SQLite gives the same mode to walink.db-wal and walink.db-shm
// next to it. Keep the file out of repositories, images and shared folders, and
// protect backups like the file. The file also holds what the program keeps for
// its sessions ([store.Registry]). A number for which a pairing code was
// requested stays in the file for a day, and then until the next code is
// requested or the file is opened again.
//
// Open trusts the user that the program runs as, and root. It refuses a symbolic
// link at the path that belongs to somebody else or leads to nothing, a file of
// somebody else in a directory that others can write to, and next to the database
// a link or a file of somebody else where a file of SQLite or the Store belongs.
// [Store.Check] only warns of another file of somebody else, of a directory that
// others can write to, and of a directory or link of somebody else on the way from / to
// the file, because these are common in containers. Open does not look at that way.
//
// SQLite overwrites with zeros what is deleted or replaced (secure_delete).
// After a device was deleted, by Delete, [transfer.Move] or the end of its
// link, the Store also empties the -wal file, so that the keys are in none of
// the three files. So it does after DeleteEntry, for all values that the entry
// had. If another process reads an old state of the database at that
// time, as a backup does, the -wal file keeps the keys, and the Store empties it
// after its next transaction, such as the renewal of a lease, or in Close or the
// next Open. Four things stay: what a program without this setting has deleted,
// such as another whatsmeow program, until VACUUM is run once; copies of the
// file; walink.db-wal.replaced, until you delete it; and what the file system or the disk keeps of old blocks.
//
// Copy the file only after Close, or with SQLite's own backup: a copy of
// walink.db without its -wal file may lack the last writes. Never run two
// copies: both would be the same device, and WhatsApp disconnects it.
//
// Do not delete or replace the file or its -wal file while a program has it open. The
// Store notices that before it stores a device, when a lease is renewed and in
// [Store.Check], and stores no device and no lease from then on: Links fail with the
// remedy, and a Linker disconnects its session. The Store then puts the -wal file of a
// file that was replaced aside, as walink.db-wal.replaced, so that a backup that was
// moved there stays as it is. If the program is killed before it notices, and if the
// backup is copied into the open file (cp), the backup is damaged: stop the program first.
//
// # What a crash may lose
//
// Nothing that was reported as stored. Every write is a transaction that is on
// the disk before the call returns (journal_mode WAL, synchronous FULL), so a
// killed process or a power cut loses at most the calls that had not returned.
// Each of these is one transaction, which a crash leaves complete or not at
// all: a device with its session name, the 812 prekeys of a first login, and an
// upgrade of the schema. The WAL needs a local disk, and not NFS or any other
// network file system. On a full disk writes fail with an error that says so,
// and reads continue; once there is room, writes succeed again. TestCrash,
// which kills a writing program hundreds of times, and TestFullDisk check this.
//
// # Many devices, one file
//
// A Store is made for many devices at once. One connection writes, and writers
// wait for it in the process, so that none of them gets SQLITE_BUSY. Four more
// connections read without waiting for writers.
//
// Several processes of one machine may use the file. Each waits up to five
// seconds for a lock before it fails with "database is locked". Within a
// process, open a file once and share the Store. A program that has its own tables
// in the file, or another SQLite driver, gives its pool to [OpenDB].
//
// # Leases
//
// The Store lends each session to one holder at a time ([store.Leaser]), so
// that two processes do not connect the same session. The clock is that of the
// machine. If a process is killed, others can have its sessions when its leases
// expire, which those of a Linker do within 11 seconds. A process that is stopped in the
// middle of a write, and not killed, keeps the lock of the file: nobody else can write until it
// goes on.
//
// # Opening
//
// This package writes the data source name itself, because a SQLite driver
// silently ignores the parameters of another one: foreign_keys on, journal_mode
// WAL, synchronous FULL, secure_delete on, busy_timeout 5 s, and transactions
// that take the write lock when they begin. Open reads each pragma back, and fails if one was not
// set. Any path works, even with spaces, '?', '#' and '%'.
//
// For a file that cannot be used, Open returns an error that names the path and
// the reason, and changes neither the file nor its -wal file. Such a file is
// not a database, is damaged, is read-only or in a read-only directory, is
// locked by another process, or has a schema that needs a newer program
// ([go.mau.fi/util/dbutil.ErrUnsupportedDatabaseVersion]). SQLite's own error
// is in the chain as *sqlite.Error of modernc.org/sqlite. Open also refuses a
// file that others can use if it cannot take that access away, because another
// user owns the file.
//
// # Databases of other whatsmeow programs
//
// Devices are stored by whatsmeow's own sqlstore, so this package can open the
// database of any program that uses sqlstore with SQLite. Open brings its
// tables up to date, and adds walink's tables. [Store.Adoptable] lists its
// devices, and [Store.Adopt] gives a device a session name, after which walink
// resumes it without a new link. Stop the other program first, and keep a copy:
// an old version of it may not be able to read the upgraded file.
//
//	jids, err := st.Adoptable(ctx)
//	...
//	err = st.Adopt(ctx, "default", jids[0])
//
// The other program may have used any SQLite driver. [transfer.Move] takes the
// session to another Store; docs/storage.md has more.
package sqlite
