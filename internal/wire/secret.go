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

// finishing notes the secret that companion_finish gives to the phone. whatsmeow has
// just made it (handleCodePairNotification in its pair-code.go), so that the QR code on
// the screen has to change. The caller holds c.mu.
func (c *Conn) finishing() {
	c.secret, c.agreed = c.device.AdvSecretKey, true
	c.putSecret(false)
}

// refreshed takes the secret that whatsmeow has made after a companion_reg_refresh. It
// runs in the goroutine in which whatsmeow has written that secret, and before whatsmeow
// handles the next node.
func (c *Conn) refreshed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.agreed {
		c.renewed, c.device.AdvSecretKey = c.device.AdvSecretKey, c.secret
		return
	}
	c.secret = c.device.AdvSecretKey
	c.putSecret(true)
}

// disagree notes that no answer to the agreed secret follows. A secret that was made
// meanwhile takes its place.
func (c *Conn) disagree() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.renewed != nil {
		c.secret, c.device.AdvSecretKey = c.renewed, c.renewed
		c.putSecret(false)
	}
	c.agreed, c.renewed = false, nil
}

// putSecret posts the secret. The caller holds c.mu.
func (c *Conn) putSecret(scanned bool) {
	c.put(machine.SecretChanged{Epoch: c.epoch, Secret: base64.StdEncoding.EncodeToString(c.secret), Scanned: scanned})
}
