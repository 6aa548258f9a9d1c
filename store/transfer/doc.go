// Package transfer takes sessions from one Store to another, with everything
// that is stored for them. Nobody has to link again.
//
// Stop every program that uses the sessions, and then move them:
//
//	from, err := sqlite.Open(ctx, "walink.db")
//	if err != nil {
//		return err
//	}
//	defer from.Close()
//	to, err := postgres.Open(ctx, "postgres://bot@db.example.org/walink?sslmode=verify-full")
//	if err != nil {
//		return err
//	}
//	defer to.Close()
//	return transfer.Move(ctx, to, from)
//
// [Move] deletes each session from the source once the target has it. [Copy]
// deletes nothing.
//
// The source is an [Exporter] and the target an [Importer]; every Store of walink
// is both. [Record] values travel between the two. Package
// [github.com/walink/walink/store/storetest] tests both interfaces.
package transfer
