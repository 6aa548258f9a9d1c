// Package kv keeps links in a key-value database. It is the way to any place
// that is not SQL: who has a [DB], which is one method and four of its
// transaction, has with [New] a whole walink Store, with all of whatsmeow's
// interfaces, the ledger of pairing codes and leases.
//
//	st := kv.New(memory.New())
//	defer st.Close()
//
// Three are here: package memory keeps everything in the process and is the
// fast one for tests; bolt is one file; redis is a server that many machines
// share. The last two are modules of their own. [Encrypt] seals any of them.
// Package kvtest proves a new one, and examples/customstore shows one.
//
// # What is stored, and its danger
//
// The keys of WhatsApp accounts' companion devices, their contacts and the
// secrets of their messages. Whoever reads them can read and write as those
// accounts. Without [Encrypt] they are stored as they are.
//
// # What a crash may lose
//
// What the DB loses, and never a part of a transaction. A device and its
// session name are one transaction, and so are all prekeys of a first login,
// and so is everything inside of DoDecryptionTxn. Each DB says in its own
// documentation what it may lose: memory all, bolt nothing, redis what its
// server does. The TestCrash of each that is durable kills a writing program,
// hundreds of times.
//
// A value that was cut off or changed is an error that wraps [ErrDamaged], and
// names the session and the key. Other sessions do not suffer, and the session
// can be deleted. TestTruncatedValues tries that with each value of a session.
//
// # Where it differs from sqlstore
//
// It answers as whatsmeow's sqlstore does, but for what nobody should count
// on: in an address an underscore, a per cent sign and a capital stand for
// themselves where sqlstore takes them for a pattern, MigratePNToLID replaces
// the number only where the address begins with it, the data of a device that
// was replaced is out of reach of the new one of the same JID, and
// DeleteOldBufferedHashes is for the device of which it is called.
//
// # Layout
//
// The first byte of a key says what it is of; then come parts. A part ends
// with a zero byte; in it 0 is written 1 1, and 1 is written 1 2, which keeps
// the order of the bytes. A part of more than 1000 bytes is its first 900,
// then 1 3, then its SHA-256 in hexadecimal, under which the kind "long" of its
// device has all of it.
//
//	f                                 the version of the layout: 1
//	s 0 session                       the entry of a session
//	j 0 JID                           the same entry
//	d device                          the device; its name is random and used once
//	l LID user                        the user of the phone number
//	n phone number user               the user of the LID
//	p 0 number                        pairing codes and refusals
//	t session                         the last lease
//	x device kind ...                 what belongs to the device
//
// So all that a device has ever stored is under one prefix, and its end takes
// everything along. A value is a byte 1 and then its fields: unsigned and
// signed varints as of [encoding/binary], and bytes with their number before
// them as such a varint. A value must end with its last field.
package kv
