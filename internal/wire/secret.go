package wire

import (
	"encoding/base64"

	"github.com/walink/walink/internal/machine"
)

// The ADV secret is the key of the HMAC in pair-success. A phone has it from the QR code,
// or agrees on it with the device by companion_finish or by the pairing request of a
// passkey. whatsmeow makes another secret at every companion_reg_refresh
// (rotateADVSecret in its pair.go), also while the answer to a secret that was agreed on
// is due, and then refuses that answer. So until the answer is there, the agreed secret
// stays. Delete when whatsmeow does this.

// agree notes the secret that the phone is about to get. The caller holds c.mu.
func (c *Conn) agree() { c.agreed = c.device.AdvSecretKey }

// refreshed takes the secret that whatsmeow has made after a companion_reg_refresh. It
// runs in the goroutine in which whatsmeow has written that secret, and before whatsmeow
// handles the next node.
func (c *Conn) refreshed(secret string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.agreed != nil {
		c.renewed, c.device.AdvSecretKey = c.device.AdvSecretKey, c.agreed
		return
	}
	c.inbox.Put(machine.SecretChanged{Epoch: c.epoch, Secret: secret, Scanned: true})
}

// disagree notes that no answer to the agreed secret follows. A secret that was made
// meanwhile takes its place.
func (c *Conn) disagree() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.renewed != nil {
		c.device.AdvSecretKey = c.renewed
		c.putSecret()
	}
	c.agreed, c.renewed = nil, nil
}

// challenged notes that whatsmeow has made another secret for a passkey's challenge.
func (c *Conn) challenged() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agreed, c.renewed = nil, nil
}

// putSecret posts the secret of the device. The caller holds c.mu.
func (c *Conn) putSecret() {
	c.inbox.Put(machine.SecretChanged{Epoch: c.epoch, Secret: base64.StdEncoding.EncodeToString(c.device.AdvSecretKey)})
}
