package walinktest_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink/walinktest"
)

// echo makes a client answer each text of others with the same text.
func (c *client) echo() {
	c.AddEventHandler(func(event any) {
		if message, ok := event.(*events.Message); ok && !message.Info.IsFromMe {
			answer := &waE2E.Message{Conversation: new("echo " + message.Message.GetConversation())}
			if _, err := c.SendMessage(context.WithoutCancel(c.tb.Context()), message.Info.Chat, answer); err != nil {
				c.tb.Error(err)
			}
		}
	})
}

// 10 contacts write to 5 bots each, 20 times.
func TestNoExchangeIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const contacts, botsEach, times = 10, 5, 20
		ctx, srv := t.Context(), walinktest.NewServer(t)
		var exchanges sync.WaitGroup
		for i := range contacts {
			contact := srv.NewPhone(fmt.Sprintf("+55210000%04d", i))
			owners := make([]*walinktest.Phone, botsEach)
			for j := range owners {
				owners[j] = srv.NewPhone(fmt.Sprintf("+55110000%04d", i*botsEach+j))
				linked(ctx, t, srv, owners[j]).echo()
			}
			exchanges.Go(func() {
				for n := range times {
					var want, got []string
					for j, owner := range owners {
						text := fmt.Sprintf("%d to %d", n, j)
						want = append(want, "echo "+text)
						if _, err := contact.SendText(ctx, owner.JID(), text); err != nil {
							t.Error(err)
						}
					}
					for range owners {
						message, err := contact.Receive(ctx)
						if err != nil {
							t.Error(err)
							return
						}
						got = append(got, message.Text)
					}
					slices.Sort(got)
					if !slices.Equal(got, want) {
						t.Errorf("contact %d reads %q, want %q", i, got, want)
					}
				}
			})
		}
		exchanges.Wait()
		pass(time.Second) // the acks of the last answers
	})
}

// A contact writes, the bot answers, and the contact has the answer, over loopback TCP.
func BenchmarkExchange(b *testing.B) {
	srv := walinktest.NewServer(b)
	address, err := srv.Listen("127.0.0.1:0", 0)
	if err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	owner, contact := srv.NewPhone(number), srv.NewPhone(contactNumber)
	bot := plainClient(b, walinktest.RemoteClient(address, srv.RootKey()), memoryDevice())
	bot.connect()
	defer bot.Disconnect()
	if err := owner.ScanQR(ctx, receive[*events.QR](bot).Codes[0]); err != nil {
		b.Fatal(err)
	}
	receive[*events.Connected](bot)
	bot.echo()
	go func() { // nobody reads these
		for {
			select {
			case <-bot.events:
			case <-bot.nodes:
			case <-ctx.Done():
				return
			}
		}
	}()
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		write(ctx, b, contact, owner.JID(), strconv.Itoa(i))
		reads(ctx, b, contact, "echo "+strconv.Itoa(i))
		took = append(took, time.Since(began))
	}
	bot.RemoveEventHandlers() // waits until the bot has the ack of its last answer
	b.ReportMetric(float64(took[0].Microseconds())/1000, "ms-first")
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-median")
}
