package wire

import (
	"encoding/json"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/internal/machine"
)

// received sees every node that arrives, before whatsmeow handles the node. The logger
// in log.go calls it, in the goroutine that reads the connection. It must not change
// the node. It blocks only until whatsmeow has handled a pair-success, because
// whatsmeow may delete the device for a failure while another of its goroutines is
// still storing the device.
func (c *Conn) received(node *waBinary.Node) {
	switch node.Tag {
	case "failure":
		c.awaitPairing()
		c.transport.doom()
		failure, tries := failureNode(node, c.isLinked())
		c.lost(failure, tries)
	case "stream:error":
		c.awaitPairing()
		c.transport.doom()
		c.noteCAT(node.AttrGetter().OptionalString("code"))
		if failure, tries := streamError(node, c.isLinked()); failure != nil {
			c.lost(failure, tries)
		} else if c.restarts() {
			// whatsmeow reconnects by itself, and says nothing if the connect fails.
			c.lost(&machine.Failure{Reason: machine.ReasonNetwork, Op: "stream", Err: ErrRestart}, 0)
		}
	case "iq":
		c.receivedIQ(node)
	case "notification":
		switch node.Attrs["type"] {
		case "link_code_companion_reg":
			// whatsmeow does not read the stage; the values are WhatsApp Web's.
			reg := node.GetChildByTag("link_code_companion_reg")
			switch stage := reg.Attrs["stage"]; {
			case !c.isCurrent(codeRef(reg)):
			case stage == "primary_hello":
				c.post(machine.PhoneAnswered{Epoch: c.epoch})
			case stage == "refresh_code":
				c.post(machine.PhoneRefused{Epoch: c.epoch, Manual: reg.Attrs["force_manual_refresh"] == "true"})
				c.disagree()
			}
		case "companion_reg_refresh":
			c.awaitPairing() // the pairing reads the secret that whatsmeow now replaces
		case "passkey_prologue_request":
			c.noteChallenge(node)
		case "crsc_continuation":
			identity, _ := node.GetChildByTag("primary_ephemeral_identity").Content.([]byte)
			c.mu.Lock()
			c.ceremony.primary = identity
			c.mu.Unlock()
		}
	}
}

func (c *Conn) receivedIQ(node *waBinary.Node) {
	// whatsmeow handles a pair-success under these conditions alone: handleIQ in its
	// pair.go.
	children := node.GetChildren()
	if len(children) == 1 && children[0].Tag == "pair-success" && node.Attrs["from"] == types.ServerJID {
		c.beginPairing()
		return
	}
	c.mu.Lock()
	// The answer to companion_finish, which whatsmeow only logs.
	refused := c.finishID != "" && node.Attrs["id"] == c.finishID && node.Attrs["type"] == "error"
	revealed := c.ceremony.nonceID != "" && node.Attrs["id"] == c.ceremony.nonceID
	if c.leaveID != "" && node.Attrs["id"] == c.leaveID && node.Attrs["type"] == "error" {
		c.leaveID = "" // WhatsApp keeps the device
	}
	if c.helloID != "" && node.Attrs["id"] == c.helloID {
		c.codeRef = codeRef(node.GetChildByTag("link_code_companion_reg"))
	}
	c.mu.Unlock()
	if refused {
		c.post(machine.PhoneRefused{Epoch: c.epoch})
		c.disagree()
	}
	if revealed {
		c.revealed(node)
	}
	c.noteChallenge(node) // whatsmeow asks again for a challenge that it could not parse
}

// noteChallenge keeps a passkey's challenge as it is on the wire. The challenge is
// posted when whatsmeow has handled it: an answer before that would lack the proof
// of the hand-off.
func (c *Conn) noteChallenge(node *waBinary.Node) {
	options, ok := node.GetOptionalChildByTag("passkey_request_options")
	if !ok {
		return
	}
	content, _ := options.Content.([]byte)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.challenge = asJSON(content)
}

func (c *Conn) passkeyChallenge() json.RawMessage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.challenge
}

// asJSON returns data if it is JSON, and otherwise data as a JSON string, so that
// a program gets to see a challenge that cannot be parsed.
func asJSON(data []byte) json.RawMessage {
	if json.Valid(data) {
		return data
	}
	quoted, _ := json.Marshal(string(data)) // a string always marshals
	return quoted
}

// sending sees every node that goes out. The logger in log.go calls it, in the
// goroutine that sends the node.
func (c *Conn) sending(node *waBinary.Node) {
	if node.Tag == "iq" && node.Attrs["type"] == "error" && !c.linked {
		// A pair-success is refused. whatsmeow sends this and disconnects
		// (handlePairSuccess in its pair.go), perhaps while the server does so too.
		_ = c.refuse()
		if w, _ := c.transport.block(); w != nil {
			w.drain(closeGrace)
		}
		return
	}
	_, leaves := node.GetOptionalChildByTag("remove-companion-device")
	reg, registers := node.GetOptionalChildByTag("link_code_companion_reg")
	if !leaves && !registers {
		return
	}
	id, _ := node.Attrs["id"].(string)
	c.mu.Lock()
	defer c.mu.Unlock()
	if leaves {
		c.leaveID = id
	}
	switch reg.Attrs["stage"] {
	case "companion_hello":
		c.helloID = id
	case "companion_finish":
		c.finishID = id
		c.finishing()
	}
}

// codeRef returns the link_code_pairing_ref, which names a pairing code.
func codeRef(reg waBinary.Node) string {
	ref, _ := reg.GetChildByTag("link_code_pairing_ref").Content.([]byte)
	return string(ref)
}

// isCurrent reports whether ref names the code that was given last. The server may
// report a refusal twice, and late, and a phone may answer an earlier code late.
func (c *Conn) isCurrent(ref string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return ref == "" || c.codeRef == "" || ref == c.codeRef
}
