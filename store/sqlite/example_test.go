package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"

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

// A service keeps its own tables in the same database.
func ExampleOpenDB() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "service")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "service.db")+
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_pragma=synchronous(FULL)")
	if err != nil {
		log.Print(err)
		return
	}
	defer func() { _ = db.Close() }() // after the Store

	st, err := sqlite.OpenDB(ctx, db)
	if err != nil {
		log.Print(err)
		return
	}
	defer func() { _ = st.Close() }() // leaves db open

	sessions, err := st.Sessions(ctx)
	fmt.Println(len(sessions), err)
	// Output: 0 <nil>
}
