// Package kv keeps links in a key-value database. Use it for any database that
// is not SQL. A [DB] is one method, and its transaction has four more. [New]
// makes a whole walink Store of a DB, with all of whatsmeow's interfaces, the
// ledger of pairing codes, leases, and the registry of entries.
//
//	st := kv.New(memory.New())
//	defer st.Close()
//
// walink has three DBs. Package memory keeps everything in the process, and is
// the fast one for tests; bolt is one file; redis is a server that many
// machines share. bolt and redis are separate modules. [Encrypt] encrypts
// any DB. Package kvtest tests a DB of yours, and examples/customstore shows
// one.
//
// # What is stored, and its danger
//
// A DB holds the keys of WhatsApp accounts' companion devices, their contacts
// and the secrets of their messages. Whoever can read the keys can read and
// write messages as those accounts. A DB also holds what the program keeps for
// its sessions ([store.Registry]). Without [Encrypt] everything is stored in
// clear.
//
// # What a crash may lose
//
// A crash loses what the DB loses, and never a part of a transaction. Each of
// these is one transaction: a device with its session name, all prekeys of a
// first login, and everything inside DoDecryptionTxn. The documentation of each
// DB says what a crash may lose: memory everything, bolt nothing, and redis
// what its server loses. For each DB that is durable, TestCrash kills a writing
// program hundreds of times.
//
// If a value was cut off or changed, the error wraps [ErrDamaged] and names the
// session and the key. Other sessions are not affected, and the damaged session
// can be deleted. TestTruncatedValues tries this with each value of a session.
//
// # Where it differs from sqlstore
//
// A Store answers as whatsmeow's sqlstore does, with four differences that no
// program should rely on:
//
//   - In an address, an underscore, a per cent sign and a capital letter match
//     only themselves. sqlstore takes them for a pattern.
//   - MigratePNToLID replaces the number only at the beginning of an address.
//   - A device cannot reach the data of an earlier device with the same JID.
//   - DeleteOldBufferedHashes deletes only those of its own device.
//
// # Layout
//
// The first byte of a key is the kind of the key. Then follow parts, each of
// which ends with a zero byte. In a part the byte 0 is written as 1 1, and the
// byte 1 as 1 2, which keeps the order of keys. A part of more than 1000 bytes
// is written as its first 900 bytes, then 1 3, and then its SHA-256 in
// hexadecimal. The kind "long" of the device has the whole part under that
// hash.
//
//	f                                 the version of the layout: 2
//	s 0 session                       the name and the device of a session
//	j 0 JID                           the same
//	d device                          the device; its name is random and used once
//	l LID user                        the user of the phone number
//	n phone number user               the user of the LID
//	e 0 session                       the store.Entry of a session
//	h holder                          the holder of leases, unless it was ended
//	o 0 session                       the last lease
//	p 0 number                        pairing codes and refusals
//	x device kind ...                 the data of the device
//
// So all data of a device has one prefix, and is deleted together. A value is a
// byte 1 and then its fields. Numbers are unsigned and signed varints as in
// [encoding/binary]; bytes have their length before them, as an unsigned
// varint. A value must end with its last field. In layout 1, leases were under
// t; the first transaction that writes deletes them.
package kv
