// Package seal encrypts what the passkey's Broker and the browser extension exchange, with
// keys from the token in a Line. Both know the token, and neither sends it.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// NonceSize is the size in bytes of the nonce at the start of what Seal returns.
const NonceSize = 12

// ID returns the name of a token that may be sent. Nobody can compute the token from it.
func ID(token string) string { return hex.EncodeToString(derive(token, "id")) }

// Seal encrypts a text of one purpose, "challenge" or "answer", under a token (AES-256-GCM).
// It writes a random nonce in front of the ciphertext. Open needs the same bound, which
// is not a part of what Seal returns.
func Seal(token, purpose string, text, bound []byte) []byte {
	return box(token, purpose).Seal(nil, nil, text, bound) //nolint:gosec // the box makes the nonce
}

// Open decrypts what Seal has returned. It returns an error if the token, the purpose or
// bound is another, or a byte was changed.
func Open(token, purpose string, sealed, bound []byte) (text []byte, err error) {
	return box(token, purpose).Open(nil, nil, sealed, bound)
}

func box(token, purpose string) cipher.AEAD {
	block, err := aes.NewCipher(derive(token, purpose))
	if err != nil {
		panic(err) // a hash is a key of 32 bytes
	}
	box, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // the block is that of AES
	}
	return box
}

// derive returns 32 bytes for one purpose. page.js of the extension does the same.
func derive(token, purpose string) []byte {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("walink passkey " + purpose))
	return mac.Sum(nil)
}
