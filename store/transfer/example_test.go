package transfer_test

import (
	"context"
	"fmt"
	"log"

	"github.com/walink/walink"
	"github.com/walink/walink/store"
	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/memory"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/store/transfer"
	"github.com/walink/walink/walinktest"
)

// A session that was linked in a file continues in an encrypted database,
// without a new link.
func ExampleCopy() {
	ctx := context.Background()
	srv, err := walinktest.Start() // a simulated WhatsApp, with a simulated phone
	if err != nil {
		log.Println(err)
		return
	}
	defer srv.Close()
	phone := srv.NewPhone("+5511987654321")

	from, err := sqlite.Open(ctx, ":memory:") // or "walink.db"
	if err != nil {
		log.Println(err)
		return
	}
	defer func() { _ = from.Close() }()
	connect(ctx, from, srv, phone)

	// Nobody uses the session now. After the Copy, use only the target; Move
	// would also delete the session from the source.
	to := kv.New(kv.Encrypt(memory.New(), kv.NewKey())) // or kv/bolt, kv/redis, and a key that you keep
	defer func() { _ = to.Close() }()
	if err := transfer.Copy(ctx, to, from); err != nil {
		log.Println(err)
		return
	}
	connect(ctx, to, srv, phone)
	// Output:
	// linked, resumed: false
	// linked, resumed: true
}

// connect resumes the session of a Store, or links a new device, and
// disconnects.
func connect(ctx context.Context, st store.Store, srv *walinktest.Server, phone *walinktest.Phone) {
	linker, err := walink.New(st, walink.Settings{HTTPClient: srv.HTTPClient()})
	if err != nil {
		log.Println(err)
		return
	}
	defer func() { _ = linker.Close() }()
	events, err := linker.Link(ctx)
	if err != nil {
		log.Println(err)
		return
	}
	for event := range events {
		if code, ok := event.(walink.QRCode); ok {
			if err := phone.ScanQR(ctx, code.Payload); err != nil {
				log.Println(err)
			}
		}
		if linked, ok := event.(walink.Linked); ok {
			fmt.Println("linked, resumed:", linked.Resumed)
		}
	}
}
