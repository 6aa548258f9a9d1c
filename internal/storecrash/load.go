package storecrash

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/storetest"
)

const (
	writers = 3   // devices that are linked once and receive messages
	linkers = 2   // sessions that are linked and deleted in turn
	preKeys = 812 // of a first login
	secrets = 3   // of one round of messages, stored by one call
)

func writerName(number int) string { return "writer " + strconv.Itoa(number) }
func linkerName(number int) string { return "linker " + strconv.Itoa(number) }

// load writes to a Store, and reports what is stored.
type load struct {
	st  store.Store
	say func(line string) error
}

// steps returns functions that run at the same time, again and again.
func (l *load) steps() (steps []func(ctx context.Context) error) {
	for number := range writers {
		steps = append(steps, func(ctx context.Context) error { return l.write(ctx, number) })
	}
	for number := range linkers {
		steps = append(steps, func(ctx context.Context) error { return l.link(ctx, number) })
	}
	return steps
}

func (l *load) sayf(format string, args ...any) error { return l.say(fmt.Sprintf(format, args...)) }

// write does what a message does: it changes the Signal sessions and the
// identity of a contact in one transaction, and stores secrets of messages. Then it
// stores an entry.
func (l *load) write(ctx context.Context, number int) error {
	device, err := l.st.Device(ctx, writerName(number))
	if err != nil {
		return err
	}
	if device.ID == nil {
		storetest.Pair(device, storetest.JID("551198765432"+strconv.Itoa(number), 1))
		if err := device.Save(ctx); err != nil {
			return err
		}
	}
	var round int
	err = device.EventBuffer.DoDecryptionTxn(ctx, func(ctx context.Context) error {
		stored, err := device.Sessions.GetSession(ctx, "1:0")
		if err != nil {
			return err
		}
		round = roundOf(stored) + 1
		if err := device.Sessions.PutSession(ctx, "1:0", sessionOf(round)); err != nil {
			return err
		}
		if err := device.Identities.PutIdentity(ctx, "1:0", identityOf(round)); err != nil {
			return err
		}
		return device.Sessions.PutSession(ctx, "2:0", sessionOf(round))
	})
	if err != nil {
		return err
	}
	if err := device.MsgSecrets.PutMessageSecrets(ctx, secretsOf(round)); err != nil {
		return err
	}
	if registry, ok := l.st.(store.Registry); ok {
		if err := registry.PutEntry(ctx, store.Entry{Session: writerName(number), Value: sessionOf(round)}); err != nil {
			return err
		}
	}
	return l.sayf("round %d %d", number, round)
}

// sessionOf returns a Signal session that shows its round. Its size changes, so
// that pages split and merge.
func sessionOf(round int) []byte {
	return fmt.Appendf(nil, "%d%s", round, strings.Repeat(".", round%3000))
}

func roundOf(session []byte) int {
	round, _ := strconv.Atoi(strings.TrimRight(string(session), ".")) // round 0 if there is none
	return round
}

func identityOf(round int) [32]byte { return sha256.Sum256([]byte(strconv.Itoa(round))) }

func secretsOf(round int) (list []wastore.MessageSecretInsert) {
	for i := range secrets {
		secret := identityOf(round)
		list = append(list, wastore.MessageSecretInsert{Chat: chat(), Sender: chat(), ID: secretID(round, i), Secret: secret[:]})
	}
	return list
}

func secretID(round, i int) string { return fmt.Sprintf("%d-%d", round, i) }

func chat() types.JID { return storetest.JID("4915112345678", 0) }

// link links a session, with the prekeys of a first login, or deletes it.
func (l *load) link(ctx context.Context, number int) error {
	device, err := l.st.Device(ctx, linkerName(number))
	if err != nil {
		return err
	}
	token := tokenOf(device)
	if device.ID != nil {
		return l.unlink(ctx, number, device, token)
	}
	if err := l.sayf("gone %d", number); err != nil {
		return err
	}
	storetest.Pair(device, storetest.JID("551187654321"+strconv.Itoa(number), 1+uint16(device.NoiseKey.Pub[31])))
	if err := device.Save(ctx); err != nil {
		return err
	}
	if err := l.sayf("linked %d %s", number, token); err != nil {
		return err
	}
	batch, err := device.PreKeys.GetOrGenPreKeys(ctx, preKeys)
	if err != nil {
		return err
	}
	digest := sha256.New()
	for _, key := range batch {
		_, _ = digest.Write(key.Priv[:])
	}
	return l.sayf("keys %d %s %s", number, token, hex.EncodeToString(digest.Sum(nil)))
}

// unlink deletes a session, by its name or through its device.
func (l *load) unlink(ctx context.Context, number int, device *wastore.Device, token string) error {
	if err := l.sayf("found %d %s", number, token); err != nil {
		return err
	}
	if err := l.sayf("deleting %d %s", number, token); err != nil {
		return err
	}
	var err error
	if device.NoiseKey.Pub[0]%2 == 0 {
		err = l.st.Delete(ctx, linkerName(number))
	} else {
		err = device.Delete(ctx)
	}
	if err != nil {
		return err
	}
	return l.sayf("deleted %d %s", number, token)
}

// tokenOf identifies a device of a session.
func tokenOf(device *wastore.Device) string { return hex.EncodeToString(device.NoiseKey.Pub[:8]) }
