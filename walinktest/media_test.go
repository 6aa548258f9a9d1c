package walinktest_test

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink/walinktest"
)

func picture(uploaded whatsmeow.UploadResponse) *waE2E.Message {
	return &waE2E.Message{ImageMessage: &waE2E.ImageMessage{
		Caption:       new("a picture"),
		Mimetype:      new("image/png"),
		URL:           &uploaded.URL,
		DirectPath:    &uploaded.DirectPath,
		MediaKey:      uploaded.MediaKey,
		FileEncSHA256: uploaded.FileEncSHA256,
		FileSHA256:    uploaded.FileSHA256,
		FileLength:    &uploaded.FileLength,
	}}
}

func document(uploaded whatsmeow.UploadResponse) *waE2E.Message {
	return &waE2E.Message{DocumentMessage: &waE2E.DocumentMessage{
		Caption:       new("a document"),
		FileName:      new("report.pdf"),
		URL:           &uploaded.URL,
		DirectPath:    &uploaded.DirectPath,
		MediaKey:      uploaded.MediaKey,
		FileEncSHA256: uploaded.FileEncSHA256,
		FileSHA256:    uploaded.FileSHA256,
		FileLength:    &uploaded.FileLength,
	}}
}

// part returns the part of a message that has the attachment.
func part(message *waE2E.Message) whatsmeow.DownloadableMessage {
	if message.ImageMessage != nil {
		return message.ImageMessage
	}
	return message.DocumentMessage
}

func TestPicturesAndDocumentsGoBothWays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		for _, kind := range []whatsmeow.MediaType{whatsmeow.MediaImage, whatsmeow.MediaDocument} {
			message, name, caption := picture, "image", "a picture"
			if kind == whatsmeow.MediaDocument {
				message, name, caption = document, "document", "a document"
			}
			data := bytes.Repeat([]byte(kind), 1000)
			uploaded, err := c.contact.Upload(ctx, data, kind)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.contact.Send(ctx, c.owner.JID(), message(uploaded)); err != nil {
				t.Fatal(err)
			}
			heard := await[*events.Message](c.bot)
			if heard.Info.Type != "media" || heard.Info.MediaType != name {
				t.Errorf("heard %+v", heard.Info)
			}
			if got, err := c.bot.Download(ctx, part(heard.Message)); err != nil || !bytes.Equal(got, data) {
				t.Errorf("the bot downloads %d bytes, %v", len(got), err)
			}

			if uploaded, err = c.bot.Upload(ctx, data, kind); err != nil {
				t.Fatal(err)
			}
			if _, err := c.bot.SendMessage(ctx, c.contact.JID(), message(uploaded)); err != nil {
				t.Fatal(err)
			}
			read := reads(ctx, t, c.contact, caption)
			if got, err := c.contact.Download(ctx, part(read.Content)); err != nil || !bytes.Equal(got, data) {
				t.Errorf("the contact downloads %d bytes, %v", len(got), err)
			}
		}
	})
}

func TestClientsAreToldTheKindOfAttachment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		envelope := func(inner *waE2E.Message) *waE2E.FutureProofMessage {
			return &waE2E.FutureProofMessage{Message: inner}
		}
		image := &waE2E.Message{ImageMessage: new(waE2E.ImageMessage)}
		for _, test := range []struct {
			kind    string
			content *waE2E.Message
		}{
			{"ptt", &waE2E.Message{AudioMessage: &waE2E.AudioMessage{PTT: new(true)}}},
			{"audio", &waE2E.Message{AudioMessage: new(waE2E.AudioMessage)}},
			{"gif", &waE2E.Message{VideoMessage: &waE2E.VideoMessage{GifPlayback: new(true)}}},
			{"video", &waE2E.Message{VideoMessage: new(waE2E.VideoMessage)}},
			{"image", &waE2E.Message{EphemeralMessage: envelope(image)}},
			{"image", &waE2E.Message{ViewOnceMessageV2: envelope(image)}},
			{"document", &waE2E.Message{DocumentWithCaptionMessage: envelope(&waE2E.Message{
				DocumentMessage: new(waE2E.DocumentMessage),
			})}},
			{"sticker", &waE2E.Message{LottieStickerMessage: envelope(&waE2E.Message{StickerMessage: new(waE2E.StickerMessage)})}},
			{"url", &waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{Title: new("walink")}}},
			{"vcard", &waE2E.Message{ContactMessage: new(waE2E.ContactMessage)}},
			{"contact_array", &waE2E.Message{ContactsArrayMessage: new(waE2E.ContactsArrayMessage)}},
			{"list", &waE2E.Message{ListMessage: new(waE2E.ListMessage)}},
			{"list_response", &waE2E.Message{ListResponseMessage: new(waE2E.ListResponseMessage)}},
			{"buttons_response", &waE2E.Message{ButtonsResponseMessage: new(waE2E.ButtonsResponseMessage)}},
			{"order", &waE2E.Message{OrderMessage: new(waE2E.OrderMessage)}},
			{"product", &waE2E.Message{ProductMessage: new(waE2E.ProductMessage)}},
			{"native_flow_response", &waE2E.Message{InteractiveResponseMessage: new(waE2E.InteractiveResponseMessage)}},
		} {
			if _, err := c.contact.Send(ctx, c.owner.JID(), test.content); err != nil {
				t.Fatal(err)
			}
			if heard := await[*events.Message](c.bot).Info; heard.Type != "media" || heard.MediaType != test.kind {
				t.Errorf("heard %s %q, want media %q", heard.Type, heard.MediaType, test.kind)
			}
		}
		poll := &waE2E.Message{PollCreationMessage: new(waE2E.PollCreationMessage)}
		if _, err := c.contact.Send(ctx, c.owner.JID(), &waE2E.Message{EphemeralMessage: envelope(poll)}); err != nil {
			t.Fatal(err)
		}
		if heard := await[*events.Message](c.bot).Info; heard.Type != "poll" || heard.MediaType != "" {
			t.Errorf("heard %s %q, want a poll", heard.Type, heard.MediaType)
		}
	})
}

func TestMediaThatIsNotThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := newChat(ctx, t)
		uploaded, err := c.bot.Upload(ctx, []byte("a picture"), whatsmeow.MediaImage)
		if err != nil {
			t.Fatal(err)
		}
		part := picture(uploaded).GetImageMessage()
		if err := c.bot.DeleteMedia(ctx, whatsmeow.MediaImage, uploaded.DirectPath, uploaded.FileEncSHA256, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := c.bot.Download(ctx, part); !errors.Is(err, whatsmeow.ErrMediaDownloadFailedWith404) {
			t.Errorf("the bot downloads: %v", err)
		}
		_, err = c.contact.Download(ctx, part)
		wantSays(t, err, walinktest.ErrNoMedia)

		if uploaded, err = c.bot.Upload(ctx, []byte("a picture"), whatsmeow.MediaImage); err != nil {
			t.Fatal(err)
		}
		uploaded.MediaKey = make([]byte, 32)
		if _, err := c.contact.Download(ctx, picture(uploaded).GetImageMessage()); err == nil {
			t.Error("another key decrypts the picture")
		}
		hosts, err := c.bot.DangerousInternals().RefreshMediaConn(ctx, false) //nolint:staticcheck // nothing else knows auth
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]int{
			"image/abc":                        http.StatusUnauthorized,
			"image/abc?auth=wrong":             http.StatusUnauthorized,
			"image/abc?auth=" + hosts.Auth:     http.StatusBadRequest, // not the hash of the attachment
			"image/abc/def?auth=" + hosts.Auth: http.StatusNotFound,
		} {
			url := "https://" + hosts.Hosts[0].Hostname + "/mms/" + path
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			response, err := c.srv.HTTPClient().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != want {
				t.Errorf("%s: status %d, want %d", path, response.StatusCode, want)
			}
		}
	})
}
