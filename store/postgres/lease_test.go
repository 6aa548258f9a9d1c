package postgres_test

import (
	"testing"
	"time"

	"github.com/walink/walink/store"
)

// The rows of the old tables become holders, as in store/sqlite.
func TestLeasesOfOlderProgramsStayInForce(t *testing.T) {
	t.Parallel()
	s := running(t)
	database := s.database(t)
	err := s.exec(t.Context(), database, `DROP TABLE walink_entry`, `DROP TABLE walink_holder`, `DROP TABLE walink_lease`, `
		CREATE TABLE walink_lease (
			session BYTEA NOT NULL PRIMARY KEY, holder BYTEA NOT NULL, token BIGINT NOT NULL, since BIGINT NOT NULL, until BIGINT NOT NULL,
			mark TEXT NOT NULL, doubt BIGINT NOT NULL, renewed BIGINT NOT NULL DEFAULT 0
		)`, `INSERT INTO walink_lease (session, holder, token, since, until, mark, doubt) VALUES
			('default', 'one', 7, 1000, 1e15, '', 0), ('', 'one', 6, 1000, 1e15, '', 0), ('released', 'one', 9, 1000, -1, '', 0)`,
		`UPDATE walink_version SET version=4, compat=1`)
	if err != nil {
		t.Fatal(err)
	}
	st := open(t, s.url(database))
	want := store.Lease{
		Session: "default", Holder: "one", HolderID: "of default", Token: 7, Since: time.UnixMilli(1000).UTC(), Until: time.UnixMilli(1e15).UTC(),
	}
	if leases, err := st.Leases(t.Context()); err != nil || len(leases) != 2 || leases[1] != want {
		t.Errorf("Leases: %+v, %v, want %+v", leases, err, want)
	}
	taken, _, err := st.TakeLeases(t.Context(), []string{"released"}, store.Holder{ID: "two"}, time.Hour)
	if err != nil || len(taken) != 1 || taken[0].Token <= 9 {
		t.Errorf("TakeLeases: %+v, %v", taken, err)
	}
}
