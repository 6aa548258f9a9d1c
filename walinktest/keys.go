package walinktest

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/libsignal/keys/identity"
	"go.mau.fi/libsignal/keys/prekey"
	"go.mau.fi/libsignal/util/optional"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
)

// fewPreKeys is the number of one-time keys below which the server asks a device for more
// (MinPreKeyCount in prekeys.go of whatsmeow).
const fewPreKeys = 5

// errNoKeys: a device is no longer linked, or its keys are wrong.
var errNoKeys = errors.New("walinktest: no keys for a session")

// preKeys are the keys that a device has given the server when it registered and later, as nodes.
type preKeys struct {
	registration waBinary.Node
	signed       waBinary.Node
	oneTime      []waBinary.Node
	// seen has the one-time keys that came. A client that had no answer uploads its keys again.
	seen map[string]bool
	// elsewhere counts the one-time keys that only an earlier server has: see Restore.
	elsewhere int
}

func (k *preKeys) count() int { return len(k.oneTime) + k.elsewhere }

// answerKeys answers the question how many one-time keys of the device the server has
// (getServerPreKeyCount of whatsmeow), or a request for the keys of devices (fetchPreKeys).
func (c *conn) answerKeys(request *waBinary.Node) {
	if _, ok := request.GetOptionalChildByTag("count"); ok {
		c.srv.mu.Lock()
		count := c.device.keys.count()
		c.srv.mu.Unlock()
		c.result(request, waBinary.Node{Tag: "count", Attrs: waBinary.Attrs{"value": strconv.Itoa(count)}})
		return
	}
	asked, ok := request.GetOptionalChildByTag("key")
	if !ok {
		c.refuse(request, Refuse(501))
		return
	}
	var users []waBinary.Node
	for _, user := range asked.GetChildrenByTag("user") {
		jid, _ := user.Attrs["jid"].(types.JID)
		users = append(users, c.srv.handOut(jid))
	}
	c.result(request, waBinary.Node{Tag: "list", Content: users})
}

// storePreKeys checks an upload of keys, and keeps them (uploadPreKeys of whatsmeow).
func (c *conn) storePreKeys(request *waBinary.Node) {
	list := request.GetChildByTag("list")
	uploaded := list.GetChildrenByTag("key")
	signed := request.GetChildByTag("skey")
	ok := len(content(request, "registration")) == 4 &&
		string(content(request, "type")) == string([]byte{ecc.DjbType}) &&
		string(content(request, "identity")) == string(c.device.identity[:]) &&
		len(uploaded) > 0 && validSigned(c.device.identity, &signed)
	for i := range uploaded {
		ok = ok && validKey(&uploaded[i])
	}
	if !ok {
		c.refuse(request, Refuse(406))
		return
	}
	c.srv.mu.Lock()
	stored := &c.device.keys
	stored.registration, stored.signed = request.GetChildByTag("registration"), signed
	if stored.seen == nil {
		stored.seen = make(map[string]bool)
	}
	for i := range uploaded {
		if value := string(content(&uploaded[i], "value")); !stored.seen[value] {
			stored.seen[value] = true
			stored.oneTime = append(stored.oneTime, uploaded[i])
		}
	}
	c.srv.mu.Unlock()
	c.result(request)
}

// random returns n random bytes.
func random(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.Read(data)
	return data
}

func validKey(node *waBinary.Node) bool {
	return len(content(node, "id")) == 3 && len(content(node, "value")) == 32
}

// validSigned reports whether a signed key is signed by an identity.
func validSigned(by [32]byte, node *waBinary.Node) bool {
	signature := content(node, "signature")
	signed := append([]byte{ecc.DjbType}, content(node, "value")...)
	return validKey(node) && len(signature) == 64 &&
		ecc.VerifySignature(ecc.NewDjbECPublicKey(by), signed, [64]byte(signature))
}

// handOut returns the keys with which a session with a device begins, and uses up one of the
// device's one-time keys. When few are left, the server asks the device for more. The node
// has an error if there is no such device (nodeToPreKeyBundle of whatsmeow).
func (s *Server) handOut(jid types.JID) waBinary.Node {
	user := waBinary.Node{Tag: "user", Attrs: waBinary.Attrs{"jid": jid}}
	s.mu.Lock()
	phone := s.account(jid)
	if phone != nil && jid.Device == 0 {
		s.mu.Unlock()
		user.Content = append(phone.signal().bundle(), registration(phone.signal().registration))
		return user
	}
	defer s.mu.Unlock()
	var device *device
	if phone != nil {
		device = s.devices[deviceID{phone.number, jid.Device}]
	}
	if device == nil {
		user.Content = []waBinary.Node{iqError(404)}
		return user
	}
	stored := &device.keys
	children := append(bundle(device.identity[:], stored.signed), stored.registration,
		waBinary.Node{Tag: "device-identity", Content: device.proof}) // WAWebFetchPrekeysJob of WhatsApp Web
	if len(stored.oneTime) > 0 {
		children = append(children, stored.oneTime[0])
		stored.oneTime = stored.oneTime[1:]
		if left := stored.count(); left == fewPreKeys-1 || left == 0 {
			s.deliver(device.endpoint(), s.notification("encrypt", types.ServerJID,
				waBinary.Node{Tag: "count", Attrs: waBinary.Attrs{"value": strconv.Itoa(left)}}))
		}
	}
	user.Content = children
	return user
}

// bundle returns the nodes of a bundle of keys, without a one-time key and the registration.
func bundle(identity []byte, signed waBinary.Node) []waBinary.Node {
	return []waBinary.Node{
		{Tag: "type", Content: []byte{ecc.DjbType}},
		{Tag: "identity", Content: identity},
		signed,
	}
}

func registration(id uint32) waBinary.Node {
	return waBinary.Node{Tag: "registration", Content: binary.BigEndian.AppendUint32(nil, id)}
}

// keyNode returns a key as a node (preKeyToNode of whatsmeow).
func keyNode(key *keys.PreKey) waBinary.Node {
	children := []waBinary.Node{
		{Tag: "id", Content: binary.BigEndian.AppendUint32(nil, key.KeyID)[1:]},
		{Tag: "value", Content: key.Pub[:]},
	}
	if key.Signature == nil {
		return waBinary.Node{Tag: "key", Content: children}
	}
	children = append(children, waBinary.Node{Tag: "signature", Content: key.Signature[:]})
	return waBinary.Node{Tag: "skey", Content: children}
}

// parseBundle reads what handOut returns, or a retry receipt with keys.
func parseBundle(node *waBinary.Node, device uint16) (*prekey.Bundle, error) {
	registration := content(node, "registration")
	if keys, ok := node.GetOptionalChildByTag("keys"); ok {
		node = &keys
	}
	signed, oneTime := node.GetChildByTag("skey"), node.GetChildByTag("key")
	identityKey := content(node, "identity")
	if len(registration) != 4 || len(identityKey) != 32 || !validSigned([32]byte(identityKey), &signed) {
		return nil, errNoKeys
	}
	oneTimeID, oneTimeKey := optional.NewEmptyUint32(), ecc.ECPublicKeyable(nil)
	if validKey(&oneTime) {
		oneTimeID, oneTimeKey = optional.NewOptionalUint32(keyID(&oneTime)), publicKey(content(&oneTime, "value"))
	}
	return prekey.NewBundle(binary.BigEndian.Uint32(registration), uint32(device), oneTimeID, keyID(&signed),
		oneTimeKey, publicKey(content(&signed, "value")), [64]byte(content(&signed, "signature")),
		identity.NewKey(publicKey(identityKey))), nil
}

func keyID(node *waBinary.Node) uint32 {
	return binary.BigEndian.Uint32(slices.Concat([]byte{0}, content(node, "id")))
}

func publicKey(value []byte) ecc.ECPublicKeyable { return ecc.NewDjbECPublicKey([32]byte(value)) }
