package storetest

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// pool draws arguments from few keys, so that calls often use keys of earlier
// calls.
type pool struct {
	rand   *rand.Rand
	first  int             // the number of the first user; pools with different ones share no keys
	device *wastore.Device // for calls that need one
}

// users is the number of accounts in a pool. Each has a phone number and a LID
// with the same index, but mappings are drawn at random.
const users = 4

func newPool(r *rand.Rand) *pool { return &pool{rand: r} }

func (p *pool) number(prefix string) string {
	return prefix + strconv.Itoa(100+p.first+p.rand.IntN(users))
}

// pn and lid return a JID without a device.
func (p *pool) pn() types.JID {
	return types.JID{User: p.number("4915"), Server: types.DefaultUserServer}
}

func (p *pool) lid() types.JID {
	return types.JID{User: p.number("7700"), Server: types.HiddenUserServer}
}

// person returns the JID of an account, or sometimes of one of its devices.
func (p *pool) person() types.JID {
	jid := p.pn()
	if p.rand.IntN(2) == 0 {
		jid = p.lid()
	}
	if p.rand.IntN(4) == 0 {
		jid.Device = uint16(p.rand.IntN(3))
	}
	return jid
}

func (p *pool) group() types.JID {
	return types.JID{User: p.number("1203630"), Server: types.GroupServer}
}

func (p *pool) chat() types.JID {
	if p.rand.IntN(4) == 0 {
		return p.group()
	}
	return p.person()
}

// address returns an address under which whatsmeow keeps identities and
// sessions.
func (p *pool) address() string {
	jid := p.person()
	jid.Device = uint16(p.rand.IntN(3))
	return jid.SignalAddress().String()
}

func (p *pool) value() []byte { return p.bytes(1 + p.rand.IntN(40)) }

func (p *pool) bytes(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(p.rand.Uint32())
	}
	return out
}

func (p *pool) text() string {
	return p.pick("", "Ana", "João", "O'Brien", "50% off_", "名前", "a\"b", " ")
}

func (p *pool) pick(of ...string) string { return of[p.rand.IntN(len(of))] }

// key returns one of few keys of 32 bytes.
func (p *pool) key() [32]byte { return [32]byte{byte(p.first), byte(p.rand.IntN(users))} }

func (p *pool) mac() []byte {
	key := p.key()
	return key[:]
}

func (p *pool) message() types.MessageID { return p.number("3EB0") }

// name returns the name of an app state collection.
func (p *pool) name() string { return p.number("regular_") }

// when returns a time far from now, in whole seconds, as WhatsApp sends it.
func (p *pool) when() time.Time {
	return time.Unix(1_600_000_000+p.rand.Int64N(20)*1000, 0)
}

// many returns up to n results of draw.
func many[T any](p *pool, n int, draw func() T) []T {
	out := make([]T, p.rand.IntN(n+1))
	for i := range out {
		out[i] = draw()
	}
	return out
}

// generator returns the arguments of a call, without its ctx.
type generator func(p *pool) []any

// draw returns a random call of a method.
func (p *pool) draw(m method, known map[string]generator) call {
	return call{m.field, m.name, known[m.field+"."+m.name](p)}
}

// generators returns a generator for each method of whatsmeow's stores.
// Arguments that no caller uses are left out: see the allowed differences.
func generators() map[string]generator {
	all := signalGenerators()
	maps.Copy(all, accountGenerators())
	return all
}

func signalGenerators() map[string]generator {
	address := func(p *pool) []any { return []any{p.address()} }
	user := func(p *pool) []any { return []any{p.person().SignalAddressUser()} }
	none := func(*pool) []any { return nil }
	id := func(p *pool) []any { return []any{uint32(p.rand.IntN(40))} }
	return map[string]generator{
		"Identities.PutIdentity":         func(p *pool) []any { return []any{p.address(), p.key()} },
		"Identities.DeleteAllIdentities": user,
		"Identities.DeleteIdentity":      address,
		"Identities.IsTrustedIdentity":   func(p *pool) []any { return []any{p.address(), p.key()} },

		"Sessions.GetSession":      address,
		"Sessions.HasSession":      address,
		"Sessions.GetManySessions": func(p *pool) []any { return []any{many(p, 6, p.address)} },
		"Sessions.PutSession":      func(p *pool) []any { return []any{p.address(), p.value()} },
		"Sessions.PutManySessions": func(p *pool) []any {
			sessions := map[string][]byte{}
			for _, address := range many(p, 6, p.address) {
				sessions[address] = p.value()
			}
			return []any{sessions}
		},
		"Sessions.DeleteAllSessions": user,
		"Sessions.DeleteSession":     address,
		"Sessions.MigratePNToLID":    func(p *pool) []any { return []any{p.pn(), p.lid()} },

		"PreKeys.GetOrGenPreKeys":       func(p *pool) []any { return []any{uint32(p.rand.IntN(6))} },
		"PreKeys.GenOnePreKey":          none,
		"PreKeys.GetPreKey":             id,
		"PreKeys.RemovePreKey":          id,
		"PreKeys.MarkPreKeysAsUploaded": id,
		"PreKeys.UploadedPreKeyCount":   none,

		"SenderKeys.PutSenderKey": func(p *pool) []any { return []any{p.group().String(), p.address(), p.value()} },
		"SenderKeys.GetSenderKey": func(p *pool) []any { return []any{p.group().String(), p.address()} },

		"EventBuffer.GetBufferedEvent": func(p *pool) []any { return []any{p.key()} },
		"EventBuffer.PutBufferedEvent": func(p *pool) []any { return []any{p.key(), p.value(), p.when()} },
		"EventBuffer.DoDecryptionTxn": func(*pool) []any {
			return []any{func(context.Context) error { return nil }}
		},
		"EventBuffer.ClearBufferedEventPlaintext": func(p *pool) []any { return []any{p.key()} },
		"EventBuffer.DeleteOldBufferedHashes":     none,
		"EventBuffer.GetOutgoingEvent": func(p *pool) []any {
			return []any{p.chat(), []types.JID{{}, p.chat()}[p.rand.IntN(2)], p.message()}
		},
		"EventBuffer.AddOutgoingEvent": func(p *pool) []any {
			return []any{p.chat(), p.message(), p.pick("", "wa", "fb"), p.value()}
		},
		"EventBuffer.DeleteOldOutgoingEvents": none,

		"Container.PutDevice":    func(p *pool) []any { return []any{p.device} },
		"Container.DeleteDevice": func(p *pool) []any { return []any{p.device} },
	}
}

func accountGenerators() map[string]generator {
	none := func(*pool) []any { return nil }
	person := func(p *pool) []any { return []any{p.person()} }
	chat := func(p *pool) []any { return []any{p.chat()} }
	name := func(p *pool) []any { return []any{p.name()} }
	named := func(p *pool) []any { return []any{p.person(), p.text()} }
	flag := func(p *pool) []any { return []any{p.chat(), p.rand.IntN(2) == 0} }
	return map[string]generator{
		"AppStateKeys.PutAppStateSyncKey": func(p *pool) []any {
			return []any{p.mac(), wastore.AppStateSyncKey{Data: p.value(), Fingerprint: p.value(), Timestamp: p.rand.Int64N(8)}}
		},
		"AppStateKeys.GetAppStateSyncKey":         func(p *pool) []any { return []any{p.mac()} },
		"AppStateKeys.GetLatestAppStateSyncKeyID": none,
		"AppStateKeys.GetAllAppStateSyncKeys":     none,

		"AppState.PutAppStateVersion": func(p *pool) []any {
			return []any{p.name(), 1 + p.rand.Uint64N(1000), [128]byte(p.bytes(128))}
		},
		"AppState.GetAppStateVersion":    name,
		"AppState.DeleteAppStateVersion": name,
		"AppState.PutAppStateMutationMACs": func(p *pool) []any {
			return []any{p.name(), 1 + p.rand.Uint64N(4), many(p, 2, func() wastore.AppStateMutationMAC {
				return wastore.AppStateMutationMAC{IndexMAC: p.mac(), ValueMAC: p.bytes(32)}
			})}
		},
		"AppState.DeleteAppStateMutationMACs": func(p *pool) []any { return []any{p.name(), many(p, 2, p.mac)} },
		"AppState.GetAppStateMutationMAC":     func(p *pool) []any { return []any{p.name(), p.mac()} },

		"Contacts.PutPushName":     named,
		"Contacts.PutBusinessName": named,
		"Contacts.PutContactName":  func(p *pool) []any { return []any{p.person(), p.text(), p.text()} },
		"Contacts.PutAllContactNames": func(p *pool) []any {
			return []any{many(p, 6, func() wastore.ContactEntry {
				return wastore.ContactEntry{JID: p.person(), FirstName: p.text(), FullName: p.text()}
			})}
		},
		// No phone is empty: if sqlstore has looked for a contact that does not
		// exist, it takes an empty phone for stored, and still reports no
		// contact.
		"Contacts.PutManyRedactedPhones": func(p *pool) []any {
			return []any{many(p, 6, func() wastore.RedactedPhoneEntry {
				return wastore.RedactedPhoneEntry{JID: p.person(), RedactedPhone: cmp.Or(p.text(), "∙∙∙")}
			})}
		},
		"Contacts.GetContact":     person,
		"Contacts.GetAllContacts": none,

		"ChatSettings.PutMutedUntil": func(p *pool) []any {
			return []any{p.chat(), []time.Time{{}, wastore.MutedForever, p.when()}[p.rand.IntN(3)]}
		},
		"ChatSettings.PutPinned":       flag,
		"ChatSettings.PutArchived":     flag,
		"ChatSettings.GetChatSettings": chat,

		"MsgSecrets.PutMessageSecrets": func(p *pool) []any {
			return []any{many(p, 4, func() wastore.MessageSecretInsert {
				insert := wastore.MessageSecretInsert{Chat: p.chat(), Sender: p.person(), ID: p.message(), Secret: p.value()}
				switch p.rand.IntN(12) { // incomplete inserts are skipped
				case 0:
					insert.Secret = nil
				case 1:
					insert.ID = ""
				case 2:
					insert.Sender = types.JID{}
				}
				return insert
			})}
		},
		"MsgSecrets.PutMessageSecret": func(p *pool) []any { return []any{p.chat(), p.person(), p.message(), p.value()} },
		"MsgSecrets.GetMessageSecret": func(p *pool) []any { return []any{p.chat(), p.person(), p.message()} },

		"PrivacyTokens.PutPrivacyTokens": func(p *pool) []any {
			token := func() wastore.PrivacyToken {
				return wastore.PrivacyToken{
					User: p.person(), Token: p.value(), Timestamp: p.when(),
					SenderTimestamp: []time.Time{{}, p.when()}[p.rand.IntN(2)],
				}
			}
			return []any{append(many(p, 3, token), token())}
		},
		"PrivacyTokens.GetPrivacyToken":            person,
		"PrivacyTokens.DeleteExpiredPrivacyTokens": func(p *pool) []any { return []any{p.when()} },

		"NCTSalt.PutNCTSalt":    func(p *pool) []any { return []any{p.value()} },
		"NCTSalt.GetNCTSalt":    none,
		"NCTSalt.DeleteNCTSalt": none,

		"LIDs.PutManyLIDMappings": func(p *pool) []any {
			drawn := map[types.JID]bool{}
			mappings := many(p, 4, func() wastore.LIDMapping {
				mapping := wastore.LIDMapping{LID: p.lid(), PN: p.pn()}
				if p.rand.IntN(8) == 0 { // a pair that is not valid is skipped
					mapping.PN = p.group()
				}
				return mapping
			})
			return []any{slices.DeleteFunc(mappings, func(m wastore.LIDMapping) bool {
				again := drawn[m.LID] || drawn[m.PN]
				drawn[m.LID], drawn[m.PN] = true, true
				return again
			})}
		},
		"LIDs.PutLIDMapping": func(p *pool) []any {
			if p.rand.IntN(12) == 0 {
				return []any{p.pn(), p.lid()}
			}
			return []any{p.lid(), p.pn()}
		},
		"LIDs.GetPNForLID": func(p *pool) []any { return []any{p.person()} },
		"LIDs.GetLIDForPN": func(p *pool) []any { return []any{p.person()} },
		"LIDs.GetManyLIDsForPNs": func(p *pool) []any {
			return []any{many(p, 4, p.person)}
		},
	}
}
