package kvtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/store/storetest"
)

const (
	// peers is how many contacts write to a device, one after the other.
	peers = 8
	// establishing is the number of messages of which one begins a new Signal
	// session.
	establishing = 10
)

// Traffic makes the calls that whatsmeow makes to the stores of one device for
// incoming messages, without the cryptography. It is for one goroutine. Use
// [NewTraffic].
type Traffic struct {
	device   *wastore.Device
	buffered bool
	session  []byte
	preKeys  []uint32
	count    int
}

// NewTraffic prepares a stored device: it makes sessions and identities of
// eight contacts, and the prekeys for so many messages. With buffered, messages
// arrive as in a client with EnableDecryptedEventBuffer.
func NewTraffic(ctx context.Context, device *wastore.Device, messages int, buffered bool) (*Traffic, error) {
	t := &Traffic{device: device, buffered: buffered, session: bytes.Repeat([]byte("s"), 1500)}
	made, err := device.PreKeys.GetOrGenPreKeys(ctx, uint32(messages/establishing)+1)
	if err != nil {
		return nil, err
	}
	for _, key := range made {
		t.preKeys = append(t.preKeys, key.KeyID)
	}
	if err := device.PreKeys.MarkPreKeysAsUploaded(ctx, made[len(made)-1].KeyID); err != nil {
		return nil, err
	}
	return t, device.EventBuffer.DoDecryptionTxn(ctx, func(ctx context.Context) error {
		for i := range peers {
			if err := device.Identities.PutIdentity(ctx, address(i), identity(i)); err != nil {
				return err
			}
			if err := device.Sessions.PutSession(ctx, address(i), t.session); err != nil {
				return err
			}
		}
		return nil
	})
}

func number(i int) string { return fmt.Sprintf("49151%08d", i) }

func address(i int) string { return number(i) + ":0" }

func identity(i int) [32]byte { return sha256.Sum256([]byte(number(i))) }

// Message makes the calls for one message, in this order. It gets the session,
// and for one message in ten, which begins a new session, a prekey. It asks
// whether the identity is trusted, stores the identity and the session, and
// removes the prekey. At last it stores the secret of the message. With the
// buffer, everything but the last step is one transaction with the event, whose
// plaintext is cleared at the end.
func (t *Traffic) Message(ctx context.Context) error {
	n := t.count
	t.count++
	id := "3EB0" + strconv.Itoa(n)
	if !t.buffered {
		if err := t.decrypt(ctx, n); err != nil {
			return err
		}
		return t.secret(ctx, n, id)
	}
	buffer := t.device.EventBuffer
	hash := sha256.Sum256([]byte(id))
	if known, err := buffer.GetBufferedEvent(ctx, hash); err != nil || known != nil {
		return fmt.Errorf("message %s, already known %t: %w", id, known != nil, err)
	}
	err := buffer.DoDecryptionTxn(ctx, func(ctx context.Context) error {
		if err := t.decrypt(ctx, n); err != nil {
			return err
		}
		return buffer.PutBufferedEvent(ctx, hash, t.session[:120], time.Now())
	})
	if err != nil {
		return err
	}
	if err := t.secret(ctx, n, id); err != nil {
		return err
	}
	return buffer.ClearBufferedEventPlaintext(ctx, hash)
}

func (t *Traffic) decrypt(ctx context.Context, n int) error {
	from := n % peers
	begins := n%establishing == 0 && n/establishing < len(t.preKeys)
	if _, err := t.device.Sessions.GetSession(ctx, address(from)); err != nil {
		return err
	}
	if begins {
		if key, err := t.device.PreKeys.GetPreKey(ctx, t.preKeys[n/establishing]); err != nil || key == nil {
			return fmt.Errorf("prekey, found %t: %w", key != nil, err)
		}
	}
	if trusted, err := t.device.Identities.IsTrustedIdentity(ctx, address(from), identity(from)); err != nil || !trusted {
		return fmt.Errorf("identity, trusted %t: %w", trusted, err)
	}
	if err := t.device.Identities.PutIdentity(ctx, address(from), identity(from)); err != nil {
		return err
	}
	t.session[n%len(t.session)]++
	if err := t.device.Sessions.PutSession(ctx, address(from), bytes.Clone(t.session)); err != nil || !begins {
		return err
	}
	return t.device.PreKeys.RemovePreKey(ctx, t.preKeys[n/establishing])
}

func (t *Traffic) secret(ctx context.Context, n int, id string) error {
	chat := storetest.JID(number(n%peers), 0)
	return t.device.MsgSecrets.PutMessageSecret(ctx, chat, chat, id, t.session[:32])
}
