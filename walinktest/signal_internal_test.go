package walinktest

import (
	"testing"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
)

// FuzzDecrypt gives a phone what nobody has encrypted for it, after an honest message.
func FuzzDecrypt(f *testing.F) {
	srv, err := Start()
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(srv.Close)
	from, to := srv.NewPhone("+5511987654321"), srv.NewPhone("+5521912345678")
	sender, group := endpoint{phone: from}, srv.NewGroup("", from, to)
	for _, chat := range []types.JID{to.JID(), group.JID()} {
		node, err := from.compose(f.Context(), sentMessage{to: chat, content: &waE2E.Message{Conversation: new("hello")}})
		if err != nil {
			f.Fatal(err)
		}
		participants := node.GetChildByTag("participants")
		for i, child := range append(participants.GetChildren(), *node) {
			for _, enc := range child.GetChildrenByTag("enc") {
				f.Add(i%3, []byte(text(enc.Content)))
				f.Add((i+1)%3, []byte(text(enc.Content))[:40])
			}
		}
	}
	kinds := []string{"pkmsg", "msg", "skmsg"}
	f.Fuzz(func(t *testing.T, kind int, sealed []byte) {
		enc := waBinary.Node{Tag: "enc", Attrs: waBinary.Attrs{"type": kinds[uint(kind)%3], "v": "2"}, Content: sealed}
		node := waBinary.Node{Tag: "message", Attrs: waBinary.Attrs{"from": group.JID()}, Content: []waBinary.Node{enc}}
		content, err := to.open(sender, &node)
		if said := content.GetConversation(); said != "" && (said != "hello" || err != nil) { // empty with a group's key
			t.Errorf("read %q, %v", said, err)
		}
	})
}

func FuzzParseBundle(f *testing.F) {
	srv, err := Start()
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(srv.Close)
	honest := srv.handOut(srv.NewPhone("+5511987654321").JID())
	data, err := waBinary.Marshal(honest)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append([]byte{0}, data...))
	f.Fuzz(func(t *testing.T, frame []byte) {
		node, err := decodeNode(frame)
		if err != nil {
			return
		}
		if bundle, err := parseBundle(node, 0); err == nil && (bundle.SignedPreKey() == nil || bundle.IdentityKey() == nil) {
			t.Error("a bundle without keys")
		}
	})
}
