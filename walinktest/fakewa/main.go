// Command fakewa is the server of package walinktest in its own process, with phones, for programs in any language.
// It needs no network and no account. Use it in tests and demonstrations only.
//
//	go run github.com/walink/walink/walinktest/fakewa -addr 127.0.0.1:7801 -control 127.0.0.1:7802
//
// These addresses are the defaults. With port 0 the system chooses a port. With -latency 20ms the server answers as late
// as over a network, which some clients need. When fakewa serves on both addresses, it prints the word ready, and on the
// next line:
//
//	{"address":"127.0.0.1:7801","rootKey":"5af3…","control":"http://127.0.0.1:7802"}
//
// SIGTERM and SIGINT end it, with status 0. It keeps nothing: the next run has another root key, and no devices.
//
// A WhatsApp client connects to ws://ADDRESS/ws/chat in place of wss://web.whatsapp.com/ws/chat. It has to trust
// rootKey, in hex, in place of WhatsApp's root key. In Go [walinktest.FakewaClient] does both. Baileys has the option
// waWebSocketUrl and the constant WA_CERT_DETAILS.PUBLIC_KEY, zapo the options urls and testHooks.noiseRootCa.
//
// # Control
//
// The rest is JSON over HTTP, without a password: keep it on a loopback address. GET / answers with the line above.
//
// POST /phones makes a phone and its account, and answers 201. The number has its country code. business is the name of
// a business account. pushName is the account's name for others. With passkey, companions have to prove a passkey; with
// codeCheck the phone always asks whether the codes are the same. With hosted, the account is [walinktest.WithHosted]. A
// second phone for a number is a new installation, which removes the linked devices. The other routes make the phone if
// there is none.
//
//	curl -d '{"number":"+55 11 98765-4321","business":"Corner shop"}' http://127.0.0.1:7802/phones
//
// The phone enters a pairing code, or scans a QR code. The answer is 200 with the phone's devices once the companion
// is linked. Otherwise it is 409, and said is the sentence on the phone's screen. The phone waits for a minute at most,
// or 11 minutes if the account has a passkey. It gives up when the client ends the request.
//
//	curl -d '{"code":"ABCD-EFGH"}' http://127.0.0.1:7802/phones/5511987654321/code
//	curl -d '{"payload":"https://wa.me/settings/linked_devices#2@…"}' http://127.0.0.1:7802/phones/5511987654321/qr
//
// The account's passkey answers a challenge, as the browser does. The assertion is the JSON of a PublicKeyCredential. If
// the phone asks whether the codes are the same, it shows one, and says yes to confirm; wait is how long to wait for the
// code, 10m at most.
//
//	curl -d '{"challenge":{"challenge":"…","rpId":"whatsapp.com"}}' http://127.0.0.1:7802/phones/5511987654321/passkey
//	curl 'http://127.0.0.1:7802/phones/5511987654321/passkey?wait=5s'
//	curl -X POST http://127.0.0.1:7802/phones/5511987654321/passkey/confirm
//
// The phone lists its linked devices, and removes one of them, by its jid, or all. A removal answers with what it removed.
//
//	curl http://127.0.0.1:7802/phones/5511987654321/devices
//	curl -X DELETE 'http://127.0.0.1:7802/phones/5511987654321/devices?device=5511987654321:1@s.whatsapp.net'
//	curl -X DELETE http://127.0.0.1:7802/phones/5511987654321/devices
//
// The phone sends a text, and the answer is 201 with the message's id. The text goes to a number, to the jid or lid of
// an account, or to the jid of a group, and to all linked devices there. The answer is 409, and said is the sentence on
// the phone's screen, if nobody has the number, or if the phone is not in the group.
//
//	curl -d '{"to":"5511987654321","text":"hello"}' http://127.0.0.1:7802/phones/5521912345678/messages
//
// The phone's messages are those that no request has got before, oldest first. If there are none, the request waits for
// one, 10m at most. Each has an id, the device that sent it (from), the jid to which an answer goes (chat), the text or
// caption, and as content the whole message in the JSON of protobuf.
//
//	curl 'http://127.0.0.1:7802/phones/5521912345678/messages?wait=5s'
//
// The phone gets chats from before the link, which devices that are linked later get as history sync: see
// [walinktest.Phone.SetHistory]. They are the conversations of a HistorySync, in the JSON of protobuf, and replace earlier ones.
//
//	curl -d '{"conversations":[{"ID":"5521912345678@s.whatsapp.net","messages":[{"message":{"key":{"ID":"1"},"message":{"conversation":"hi"}}}]}]}' \
//	  http://127.0.0.1:7802/phones/5511987654321/history
//
// POST /groups makes a group of phones, which the first phone has made, and answers 201 with its jid.
//
//	curl -d '{"name":"Neighbours","phones":["5521912345678","5511987654321"]}' http://127.0.0.1:7802/groups
//
// POST /script queues an action for a stage: see [walinktest.Server.Script]. [walinktest.Stage] lists the stages and the
// actions that each takes. An action is named after its function, such as rate_limit for [walinktest.RateLimit]. Its
// arguments are code (three digits), backoff, conflict, manual, said, attrs (an object of strings) and nodes. A node is
// an object with a tag, attrs and content: nodes, or bytes in base64. Its attrs are strings, too. times is how many
// occurrences of the stage get the action: 1 is the default, -1 is for ever. after delays the action. Durations are
// strings such as "1.5s". Without an action, the queue of the stage becomes empty.
//
//	curl -d '{"stage":"companion_hello","action":"rate_limit","backoff":"1h","times":2}' http://127.0.0.1:7802/script
//	curl -d '{"stage":"login","action":"failure","code":402,"attrs":{"expire":"60"},"after":"2s"}' http://127.0.0.1:7802/script
//	curl -d '{"stage":"after_login","action":"send","nodes":[{"tag":"stream:error","attrs":{"code":"516"}}]}' http://127.0.0.1:7802/script
//	curl -d '{"stage":"login"}' http://127.0.0.1:7802/script
//
// A restart drops every connection, and forgets QR codes and pairing codes. The counts are those of [walinktest.Stats].
//
//	curl -X POST http://127.0.0.1:7802/restart
//	curl http://127.0.0.1:7802/stats
//
// Other answers have a reason for programs and an error for people: 400 bad_request (unknown fields too), 404 not_found,
// unknown_device and nothing_to_compare, 405 method_not_allowed, 409 refused, 413 too_large (64 KiB), 503 stopped.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/walink/walink/walinktest"
)

// endTimeout is how long requests may take once the program is to end.
const endTimeout = 2 * time.Second

// line is what a client has to know.
type line struct {
	Address string `json:"address"`
	RootKey string `json:"rootKey"`
	Control string `json:"control"`
}

func main() {
	address := flag.String("addr", "127.0.0.1:7801", "the `address` for clients of WhatsApp")
	control := flag.String("control", "127.0.0.1:7802", "the `address` of the control interface")
	latency := flag.Duration("latency", 0, "how long the server waits before it reads what a client has sent")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := run(ctx, *address, *control, *latency, os.Stdout)
	if stop(); err != nil {
		fmt.Fprintln(os.Stderr, "fakewa:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, which is no error.
func run(ctx context.Context, address, controlAddress string, latency time.Duration, stdout io.Writer) error {
	srv, err := walinktest.Start()
	if err != nil {
		return err
	}
	defer srv.Close()
	whatsapp, err := srv.Listen(address, latency)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", controlAddress)
	if err != nil {
		return err
	}
	rootKey := srv.RootKey()
	self := line{whatsapp, hex.EncodeToString(rootKey[:]), "http://" + listener.Addr().String()}
	server := &http.Server{
		Handler:           (&control{srv: srv, line: self, phones: make(map[string]*walinktest.Phone)}).handler(),
		ReadHeaderTimeout: sendTimeout,
		BaseContext:       func(net.Listener) context.Context { return ctx }, // its end ends every wait
	}
	ended := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(ended)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer cancel()
		_ = server.Shutdown(grace)
		_ = server.Close() // breaks off what is left
	})
	text, _ := json.Marshal(self)
	if _, err := fmt.Fprintf(stdout, "ready\n%s\n", text); err != nil { // the listeners queue connections already
		return errors.Join(err, listener.Close())
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-ended
	return nil
}
