package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/store"
)

// oddKeys are keys that an implementation may take for something else: SQL,
// LIKE patterns, C strings or paths. It may also join them with a separator,
// sort them or fold their case.
func oddKeys() []string {
	long := strings.Repeat("k", 64<<10)
	return []string{
		"", " ", "a", "A", "a ", " a", "ä", "a\u0308", "%", "_", "a%", "a_", "ab", "_b", "%b", "a:", ":a", "a:b", ":", "::", "a:b:c",
		"a/b", "/", "..", "../a", "a\\b", "a.b", "a|b", "a,b", "a;b", "'", "\"", "a'b", "`", "?", "$1", "*", "[a-c]", "{}", "#", "\n", "\t",
		"\x00", "a\x00", "\x00a", "a\x00b", "\xff", "\xfe", "a\xff", "a\xfe", "\xc3\x28", "\xed\xa0\x80", "\U0001f600", "NULL", "null", "0", "00", "1", "1.0",
		"1e0", "-1", long, long + "a", long + "b",
	}
}

// textKeys is the context's key for the longest key of [WithTextKeys].
type textKeys struct{}

// takenKeys returns the oddKeys that the stores accept.
func takenKeys(ctx context.Context) []string { return taken(ctx, oddKeys()) }

func taken(ctx context.Context, keys []string) []string {
	longest, _ := ctx.Value(textKeys{}).(int)
	if longest == 0 {
		return keys
	}
	return slices.DeleteFunc(keys, func(key string) bool {
		return len(key) > longest || !utf8.ValidString(key) || strings.ContainsRune(key, 0)
	})
}

// oddSignal stores a value under each key, and then deletes some. A deletion
// must affect only the key that it names, although sqlstore takes its argument
// for a pattern.
func oddSignal(ctx context.Context, st store.Store) error {
	device, err := linked(ctx, st, "default", 1)
	if err != nil {
		return err
	}
	stored := map[string][]byte{}
	var errs []error
	check := func(what string) error {
		for _, key := range takenKeys(ctx) {
			for _, address := range []string{key, key + ":0", key + ":1"} {
				join(&errs, oddAddress(ctx, device, what, address, stored[address]))
			}
		}
		return errors.Join(errs...)
	}
	err = device.EventBuffer.DoDecryptionTxn(ctx, func(ctx context.Context) error {
		for i, key := range takenKeys(ctx) {
			for j, address := range []string{key, key + ":0", key + ":1"} {
				stored[address] = []byte{byte(i), byte(j), 1}
				if err := errors.Join(
					device.Sessions.PutSession(ctx, address, stored[address]),
					device.Identities.PutIdentity(ctx, address, identityKey(stored[address])),
				); err != nil {
					return fmt.Errorf("storing under %.40q: %w", address, err)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := check("when all are stored"); err != nil {
		return err
	}
	for i, key := range takenKeys(ctx) {
		switch i % 3 {
		case 0:
			delete(stored, key)
			err = errors.Join(device.Sessions.DeleteSession(ctx, key), device.Identities.DeleteIdentity(ctx, key))
		case 1:
			for address := range stored {
				if strings.HasPrefix(address, key+":") {
					delete(stored, address)
				}
			}
			err = errors.Join(device.Sessions.DeleteAllSessions(ctx, key), device.Identities.DeleteAllIdentities(ctx, key))
		}
		if err != nil {
			return fmt.Errorf("deleting %.40q: %w", key, err)
		}
	}
	return errors.Join(check("when some were deleted"), oddSenderKeys(ctx, device), oddMigration(ctx, device))
}

func identityKey(value []byte) (key [32]byte) {
	copy(key[:], value)
	return key
}

func oddAddress(ctx context.Context, device *wastore.Device, what, address string, want []byte) error {
	var errs []error
	if got, err := device.Sessions.GetSession(ctx, address); err != nil || !slices.Equal(got, want) {
		join(&errs, failf("%s GetSession(%.40q) is %x, %v, want %x", what, address, got, err, want))
	}
	has, err := device.Sessions.HasSession(ctx, address)
	if err != nil || has != (want != nil) {
		join(&errs, failf("%s HasSession(%.40q) is %t, %v", what, address, has, err))
	}
	many, err := device.Sessions.GetManySessions(ctx, []string{address})
	if err != nil || len(many) != 1 || !slices.Equal(many[address], want) {
		join(&errs, failf("%s GetManySessions(%.40q) is %.80v, %v, want %x", what, address, many, err, want))
	}
	// The stored key is trusted; if none was stored, any key is.
	right, err := device.Identities.IsTrustedIdentity(ctx, address, identityKey(want))
	wrong, err2 := device.Identities.IsTrustedIdentity(ctx, address, [32]byte{0xff, 0xff})
	if err := errors.Join(err, err2); err != nil || !right || wrong != (want == nil) {
		join(&errs, failf("%s IsTrustedIdentity(%.40q) of its key is %t and of another one %t, %v", what, address, right, wrong, err))
	}
	return errors.Join(errs...)
}

// oddSenderKeys stores keys of two parts, which must stay separate.
func oddSenderKeys(ctx context.Context, device *wastore.Device) error {
	parts := taken(ctx, []string{"", "a", "b", "a:", ":b", ":", "a:b", "a\x00", "\x00b", "a/b", "/b", "a/", "%", "_", "\xff", "\xfe", "ab"})
	err := device.EventBuffer.DoDecryptionTxn(ctx, func(ctx context.Context) error {
		for _, group := range parts {
			for _, user := range parts {
				if err := device.SenderKeys.PutSenderKey(ctx, group, user, fmt.Appendf(nil, "%q %q", group, user)); err != nil {
					return fmt.Errorf("PutSenderKey(%q, %q): %w", group, user, err)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, group := range parts {
		for _, user := range parts {
			if got, err := device.SenderKeys.GetSenderKey(ctx, group, user); err != nil || string(got) != fmt.Sprintf("%q %q", group, user) {
				join(&errs, failf("GetSenderKey(%q, %q) is that of %s, %v", group, user, got, err))
			}
		}
	}
	return errors.Join(errs...)
}

// oddMigration moves the addresses of a user, whose number is also a part of
// other numbers and of the number of a device.
func oddMigration(ctx context.Context, device *wastore.Device) error {
	pn, lid := JID("12", 0), types.JID{User: "99", Server: types.HiddenUserServer}
	var errs []error
	for _, address := range []string{"12:0", "12:12", "112:0", "12_128:1", "12", "12x:0"} {
		join(&errs, device.Sessions.PutSession(ctx, address, []byte(address)))
		join(&errs, device.SenderKeys.PutSenderKey(ctx, "12@g.us", address, []byte(address)))
	}
	join(&errs, device.Sessions.MigratePNToLID(ctx, pn, lid))
	for address, want := range map[string]string{
		"12:0": "", "12:12": "", "99_1:0": "12:0", "99_1:12": "12:12", "99_1:99_1": "",
		"112:0": "112:0", "12_128:1": "12_128:1", "12": "12", "12x:0": "12x:0",
	} {
		if got, err := device.Sessions.GetSession(ctx, address); err != nil || string(got) != want {
			join(&errs, failf("after MigratePNToLID of 12 to 99 the session of %q is that of %q, %v, want %q", address, got, err, want))
		}
		if got, err := device.SenderKeys.GetSenderKey(ctx, "12@g.us", address); err != nil || string(got) != want {
			join(&errs, failf("after MigratePNToLID of 12 to 99 the sender key of %q is that of %q, %v, want %q", address, got, err, want))
		}
	}
	return errors.Join(errs...)
}

// oddSessions links a device under each name.
func oddSessions(ctx context.Context, st store.Store) error {
	names := oddKeys()
	for i, name := range names {
		if _, err := linked(ctx, st, name, uint16(i)+1); err != nil {
			return fmt.Errorf("linking %.40q: %w", name, err)
		}
	}
	var errs []error
	for i, name := range names {
		device, err := st.Device(ctx, name)
		if err != nil || device.GetJID() != JID(number, uint16(i)+1) {
			join(&errs, failf("Device(%.40q) is %s, %v, want number %d", name, device.GetJID(), err, i+1))
		}
		if i%2 == 0 {
			if err := st.Delete(ctx, name); err != nil {
				join(&errs, fmt.Errorf("Delete(%.40q): %w", name, err))
			}
		}
	}
	var want, got []string
	for i, name := range names {
		if i%2 == 1 {
			want = append(want, name)
		}
	}
	slices.Sort(want)
	sessions, err := st.Sessions(ctx)
	join(&errs, err)
	for _, session := range sessions {
		got = append(got, session.Name)
	}
	if !slices.Equal(want, got) {
		join(&errs, fmt.Errorf("sessions %.20q, want %.20q", got, want))
	}
	return errors.Join(errs...)
}

// oddAccount stores a value under each key in the stores that are not Signal's.
func oddAccount(ctx context.Context, st store.Store) error {
	device, err := linked(ctx, st, "default", 1)
	if err != nil {
		return err
	}
	chat, keys := JID(peer, 0), takenKeys(ctx)
	hash := func(i int) (hash [128]byte) { hash[0] = byte(i) + 1; return hash }
	err = device.EventBuffer.DoDecryptionTxn(ctx, func(ctx context.Context) error {
		for i, key := range keys {
			value := []byte(strconv.Itoa(i))
			mac := []wastore.AppStateMutationMAC{{IndexMAC: make([]byte, 32), ValueMAC: append(make([]byte, 31), byte(i))}}
			if err := errors.Join(
				device.AppState.PutAppStateVersion(ctx, key, uint64(i)+1, hash(i)),
				device.AppState.PutAppStateMutationMACs(ctx, key, uint64(i)+1, mac),
				device.AppStateKeys.PutAppStateSyncKey(ctx, []byte(key), wastore.AppStateSyncKey{Data: value, Fingerprint: value, Timestamp: int64(i)}),
				device.MsgSecrets.PutMessageSecret(ctx, chat, chat, key, value),
				device.EventBuffer.AddOutgoingEvent(ctx, chat, key, key, value),
			); err != nil {
				return fmt.Errorf("storing under %.40q: %w", key, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var errs []error
	for i, key := range keys {
		if i%2 == 0 { // the MACs of a version are deleted with it
			join(&errs, device.AppState.DeleteAppStateVersion(ctx, key))
		}
	}
	for i, key := range keys {
		value, version, mac := strconv.Itoa(i), uint64(i)+1, byte(i)
		gotMAC, err := device.AppState.GetAppStateMutationMAC(ctx, key, make([]byte, 32))
		join(&errs, err)
		if i%2 == 0 {
			if gotMAC != nil {
				join(&errs, fmt.Errorf("the app state %.40q was deleted and still has a MAC", key))
			}
			version = 0
		} else if len(gotMAC) != 32 || gotMAC[31] != mac {
			join(&errs, fmt.Errorf("the app state %.40q has the MAC %x, want %d", key, gotMAC, mac))
		}
		if got, gotHash, err := device.AppState.GetAppStateVersion(ctx, key); err != nil || got != version || version != 0 && gotHash != hash(i) {
			join(&errs, failf("the app state %.40q has version %d, %v, want %d", key, got, err, version))
		}
		if got, err := device.AppStateKeys.GetAppStateSyncKey(ctx, []byte(key)); err != nil || got == nil || string(got.Data) != value {
			join(&errs, failf("the app state key %.40q is %v, %v, want %s", key, got, err, value))
		}
		if got, _, err := device.MsgSecrets.GetMessageSecret(ctx, chat, chat, key); err != nil || string(got) != value {
			join(&errs, failf("the message %.40q has the secret %s, %v, want %s", key, got, err, value))
		}
		if format, got, err := device.EventBuffer.GetOutgoingEvent(ctx, chat, types.JID{}, key); err != nil || string(got) != value || format != key {
			join(&errs, failf("the outgoing event %.40q is %s of format %.40q, %v, want %s", key, got, format, err, value))
		}
	}
	return errors.Join(errs...)
}
