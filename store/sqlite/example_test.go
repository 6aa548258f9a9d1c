package sqlite_test

import (
	"context"
	"fmt"
	"log"

	"github.com/walink/walink/store/sqlite"
)

func ExampleOpen() {
	ctx := context.Background()
	st, err := sqlite.Open(ctx, ":memory:") // or "walink.db"
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = st.Close() }()

	device, err := st.Device(ctx, "default")
	if err != nil {
		log.Print(err)
		return
	}
	fmt.Println("linked:", device.ID != nil)
	// Output: linked: false
}
