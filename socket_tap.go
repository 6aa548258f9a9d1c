package walink

import (
	"encoding/base64"
	"encoding/json"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// recv sees every node that arrives, before whatsmeow handles it, in the
// goroutine that reads the connection. It must not change it, and blocks only
// for the end of a pair-success: whatsmeow may delete the device for a failure
// while another goroutine of its own is still storing it.
func (s *socket) recv(node *waBinary.Node) {
	if node.Tag == "failure" || node.Tag == "stream:error" {
		s.awaitPairing()
	}
	switch node.Tag {
	case "failure":
		err, tries := failureNode(node, s.isLinked())
		s.lost(err, tries)
	case "stream:error":
		if err, tries := streamError(node, s.isLinked()); err != nil {
			s.lost(err, tries)
		} else if s.isLeftAlone() {
			// The 515 is whatsmeow's own, which says nothing if its connect fails.
			s.lost(&Error{Reason: ErrNetwork, Op: "stream", Err: errRestart}, 0)
		}
	case "iq":
		// whatsmeow handles it under these conditions alone (handleIQ in its pair.go).
		children := node.GetChildren()
		if len(children) == 1 && children[0].Tag == "pair-success" && node.Attrs["from"] == types.ServerJID {
			s.beginPairing()
			return
		}
		// The answer to companion_finish, which whatsmeow only logs.
		s.mu.Lock()
		refused := s.finishID != "" && node.Attrs["id"] == s.finishID && node.Attrs["type"] == "error"
		if s.helloID != "" && node.Attrs["id"] == s.helloID {
			s.codeRef = codeRef(node.GetChildByTag("link_code_companion_reg"))
		}
		s.mu.Unlock()
		if refused {
			s.post(inRefused{s.epoch})
		}
		s.noteChallenge(node) // whatsmeow asks again for one that it could not parse
	case "notification":
		switch node.Attrs["type"] {
		case "link_code_companion_reg":
			// whatsmeow does not read the stage; the values are WhatsApp Web's.
			reg := node.GetChildByTag("link_code_companion_reg")
			switch reg.Attrs["stage"] {
			case "primary_hello":
				s.post(inAnswered{s.epoch})
			case "refresh_code":
				if s.isCurrent(codeRef(reg)) {
					s.post(inRefused{s.epoch})
				}
			}
		case "passkey_prologue_request":
			s.noteChallenge(node)
		}
	}
}

// noteChallenge keeps a passkey's challenge as it is on the wire. It is posted
// when whatsmeow has handled it: an answer before that would lack the proof of
// the hand-off.
func (s *socket) noteChallenge(node *waBinary.Node) {
	options, ok := node.GetOptionalChildByTag("passkey_request_options")
	if !ok {
		return
	}
	content, _ := options.Content.([]byte)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.challenge = asJSON(content)
}

func (s *socket) passkeyChallenge() json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.challenge
}

// send sees every node that goes out, in the goroutine that sends it. Before
// companion_finish whatsmeow replaces the ADV secret, which is in the QR code
// on the screen too (handleCodePairNotification in its pair-code.go).
func (s *socket) send(node *waBinary.Node) {
	if node.Tag == "iq" && node.Attrs["type"] == "error" && !s.linked {
		// A pair-success is refused. whatsmeow sends this and disconnects
		// (handlePairSuccess in its pair.go), perhaps while the server does so too.
		_ = s.refuse()
		if c, _ := s.tracker.quieten(); c != nil {
			c.calm(closeGrace)
		}
		return
	}
	reg, ok := node.GetOptionalChildByTag("link_code_companion_reg")
	if !ok {
		return
	}
	id, _ := node.Attrs["id"].(string)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch reg.Attrs["stage"] {
	case "companion_hello":
		s.helloID = id
		return
	case "companion_finish":
		s.finishID = id
	default:
		return
	}
	s.inbox.post(inSecret{s.epoch, base64.StdEncoding.EncodeToString(s.device.AdvSecretKey)})
}

// codeRef is the link_code_pairing_ref, which names a pairing code.
func codeRef(reg waBinary.Node) string {
	ref, _ := reg.GetChildByTag("link_code_pairing_ref").Content.([]byte)
	return string(ref)
}

// isCurrent reports whether ref names the code that was given last. A refusal
// may be told twice, and late.
func (s *socket) isCurrent(ref string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ref == "" || s.codeRef == "" || ref == s.codeRef
}
