package sqlite_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/walink/walink/store"
	"github.com/walink/walink/store/sqlite"
)

const ttl = time.Minute

func take(t *testing.T, st *sqlite.Store, holder string) store.Lease {
	t.Helper()
	taken, busy, err := st.TakeLeases(t.Context(), []string{"default"}, store.Holder{ID: "the ID of " + holder, Name: holder}, ttl)
	if err != nil || len(taken) != 1 {
		t.Fatalf("TakeLeases: %+v, busy %+v, %v", taken, busy, err)
	}
	return taken[0]
}

// busy returns the lease that is in force.
func busy(t *testing.T, st *sqlite.Store) store.Lease {
	t.Helper()
	_, busy, err := st.TakeLeases(t.Context(), []string{"default"}, store.Holder{ID: "another"}, ttl)
	if err != nil || len(busy) != 1 {
		t.Fatalf("a lease that may be a living holder's is not in force: %v", err)
	}
	return busy[0]
}

// A Store that is closed under a Linker, which is connected for some time yet.
func TestLeaseOfAClosedStoreGoesOn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "walink.db")
	one, two := open(t, path), open(t, path)
	first := take(t, one, "one")
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if held := busy(t, two); held != first {
		t.Errorf("%+v is in force, want %+v", held, first)
	}
}

// A holder that was renewed an hour ahead is what a clock that was set back by an hour
// leaves. Nobody renews it any more, so it must not be in force for that hour.
func TestLeaseOfADeadHolderEndsAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "walink.db")
	one, two := open(t, path), open(t, path)
	first := take(t, one, "one")
	const hour = "3600000"
	execSQL(t, one, "UPDATE walink_holder SET until=until+"+hour+", renewed=renewed+"+hour)
	var until time.Time
	for i := range 2 {
		peeked, err := two.PeekLease(t.Context(), "default")
		if err != nil {
			t.Fatal(err)
		}
		holders, err := two.Holders(t.Context())
		if err != nil || len(holders) != 1 || holders[0].Until.Sub(peeked.Until).Abs() > ttl/2 {
			t.Errorf("Holders: %+v, %v, and PeekLease says until %v", holders, err, peeked.Until)
		}
		held := busy(t, two)
		if left := time.Until(held.Until); left > ttl || left < ttl/2 || !held.Until.Equal(peeked.Until) {
			t.Errorf("it is in force for %v, and PeekLease says until %v", left, peeked.Until)
		}
		if i > 0 && !held.Until.Equal(until) {
			t.Errorf("it ends at %v, and then at %v", until, held.Until)
		}
		until = held.Until
	}
	// The holder may be alive after all.
	if renewed, err := one.RenewHolder(t.Context(), store.Holder{ID: first.HolderID}, ttl); err != nil || renewed.Until.Before(until) {
		t.Errorf("RenewHolder: %+v, %v", renewed, err)
	}
}

// A database of the first version ends up with the tables of a new one.
func TestUpgradedTablesAreThoseOfANewDatabase(t *testing.T) {
	t.Parallel()
	old, fresh := filepath.Join(t.TempDir(), "old.db"), filepath.Join(t.TempDir(), "new.db")
	execSQL(t, open(t, old), `
		DROP TABLE walink_entry; DROP TABLE walink_holder; DROP TABLE walink_lease; DROP TABLE walink_refusal;
		UPDATE walink_version SET version=1, compat=1`)
	if upgraded, want := columns(t, open(t, old)), columns(t, open(t, fresh)); upgraded != want || !strings.Contains(want, "walink_entry value BYTEA") {
		t.Errorf("an upgraded database has the columns\n%s\nand a new one\n%s", upgraded, want)
	}
}

// columns returns the columns of walink's tables, and those of their indexes.
func columns(t *testing.T, st *sqlite.Store) (list string) {
	t.Helper()
	err := sqlite.Writer(st).QueryRowContext(t.Context(), `
		SELECT group_concat(concat_ws(' ', tbl, name, type, "notnull", dflt_value, pk), char(10)) FROM (
			SELECT s.name AS tbl, x.* FROM sqlite_schema s JOIN pragma_table_xinfo(s.name) x
			WHERE s.name LIKE 'walink_%' ORDER BY s.name, x.cid
		)`).Scan(&list)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// The programs that go on with the old tables cannot renew their leases any more, and
// have the time to give their sessions up.
func TestLeasesOfOlderProgramsStayInForce(t *testing.T) {
	t.Parallel()
	columns := ", until BIGINT NOT NULL, mark TEXT NOT NULL, doubt BIGINT NOT NULL"
	for _, version := range []string{"3", "4"} {
		path := filepath.Join(t.TempDir(), "walink.db")
		if version == "4" {
			columns += ", renewed BIGINT NOT NULL DEFAULT 0"
		}
		execSQL(t, open(t, path), `
			DROP TABLE walink_entry; DROP TABLE walink_holder; DROP TABLE walink_lease;
			CREATE TABLE walink_lease (session TEXT NOT NULL PRIMARY KEY, holder TEXT NOT NULL, token BIGINT NOT NULL, since BIGINT NOT NULL`+columns+`);
			INSERT INTO walink_lease (session, holder, token, since, until, mark, doubt) VALUES
				('default', 'one', 7, 1000, 1e15, '', 0), ('', 'one', 6, 1000, 1e15, '', 0), ('over', 'one', 8, 1000, 2000, '', 0), ('released', 'one', 9, 1000, -1, '', 0);
			UPDATE walink_version SET version=`+version+`, compat=1`)
		st := open(t, path)
		want := store.Lease{
			Session: "default", Holder: "one", HolderID: "of default", Token: 7, Since: time.UnixMilli(1000).UTC(), Until: time.UnixMilli(1e15).UTC(),
		}
		if held := busy(t, st); held != want {
			t.Errorf("version %s: %+v is in force, want %+v", version, held, want)
		}
		for _, session := range []string{"over", "released"} {
			taken, _, err := st.TakeLeases(t.Context(), []string{session}, store.Holder{ID: "another " + session}, ttl)
			if err != nil || len(taken) != 1 || taken[0].Token <= 9 {
				t.Errorf("version %s: TakeLeases of the session %q: %+v, %v", version, session, taken, err)
			}
		}
		if err := st.ReleaseLease(t.Context(), want); err != nil {
			t.Error(err)
		}
		take(t, st, "two")
	}
}
