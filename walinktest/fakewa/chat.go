package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/walink/walink/walinktest"
)

// message is a message that a phone has received. Its content is in the JSON of protobuf.
type message struct {
	walinktest.Message
	Content json.RawMessage `json:"content"`
}

// send has a phone send a text. A phone does not wait for those who get the text.
func (c *control) send(r *http.Request, body []byte) (any, error) {
	var wanted struct{ To, Text string }
	if err := decode(body, &wanted); err != nil {
		return nil, err
	}
	if wanted.Text == "" {
		return nil, badRequest("a message needs a text")
	}
	phone, err := c.phone(r.PathValue("digits"))
	if err != nil {
		return nil, err
	}
	to, err := address(wanted.To)
	if err != nil {
		return nil, err
	}
	id, err := phone.SendText(r.Context(), to, wanted.Text)
	return map[string]any{"id": id}, err
}

// address parses an address, or makes one of a number.
func address(to string) (types.JID, error) {
	if !strings.Contains(to, "@") {
		digits, err := digitsOf(to)
		return types.NewJID(digits, types.DefaultUserServer), err
	}
	jid, err := types.ParseJID(to)
	if err != nil {
		return types.JID{}, badRequest("to is a number, or the jid or lid of an account, or the jid of a group: %v", err)
	}
	return jid, nil
}

// receive returns the messages that a phone has not returned. If there are none, it waits for the first.
func (c *control) receive(r *http.Request, _ []byte) (any, error) {
	phone, ctx, cancel, err := c.waiting(r)
	if err != nil {
		return nil, err
	}
	defer cancel()
	messages := []message{}
	for {
		received, err := phone.Receive(ctx)
		switch {
		case err != nil && len(messages) == 0 && !errors.Is(err, context.DeadlineExceeded):
			return nil, err
		case err != nil:
			return map[string]any{"messages": messages}, nil
		}
		content, err := protojson.Marshal(received.Content)
		if err != nil {
			return nil, err
		}
		messages = append(messages, message{received, content})
		cancel() // the others are there already
	}
}

// setHistory gives a phone chats from before the link, in the JSON of protobuf.
func (c *control) setHistory(r *http.Request, body []byte) (any, error) {
	var wanted waHistorySync.HistorySync
	err := protojson.UnmarshalOptions{AllowPartial: true}.Unmarshal(body, &wanted) // syncType is for SetHistory to say
	if err != nil {
		return nil, badRequest("the body is not the JSON of a HistorySync: %v", err)
	}
	phone, err := c.phone(r.PathValue("digits"))
	if err != nil {
		return nil, err
	}
	if err := phone.SetHistory(wanted.GetConversations()...); err != nil {
		return nil, badRequest("%v", err)
	}
	return struct{}{}, nil
}

// newGroup makes a group of phones, and the phones that do not exist.
func (c *control) newGroup(_ *http.Request, body []byte) (any, error) {
	var wanted struct {
		Name   string
		Phones []string
	}
	if err := decode(body, &wanted); err != nil {
		return nil, err
	}
	var phones []*walinktest.Phone
	for _, number := range wanted.Phones {
		phone, err := c.phone(number)
		if err != nil {
			return nil, err
		}
		if slices.Contains(phones, phone) {
			return nil, badRequest("a phone is in a group once")
		}
		phones = append(phones, phone)
	}
	if wanted.Name == "" || len(phones) == 0 {
		return nil, badRequest("a group needs a name and phones")
	}
	return map[string]any{"jid": c.srv.NewGroup(wanted.Name, phones...).JID()}, nil
}
