package redis_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/walink/walink/store/kv"
	"github.com/walink/walink/store/kv/kvtest"
	"github.com/walink/walink/store/kv/redis"
	"github.com/walink/walink/store/storetest"
)

// inScripts are the commands of the scripts, and permissions are those that the
// package's documentation lists for a user.
var (
	inScripts = []string{
		"del", "get", "hdel", "hget", "hmget", "hset", "incr", "llen", "lrange", "pexpire", "rpush",
		"set", "time", "type", "unlink", "zadd", "zrange", "zrank", "zrem", "zscore",
	}
	permissions = append([]string{"ping", "info", "config|get", "eval", "evalsha"}, inScripts...)
)

// user makes a user of the server and returns the URL with it.
func (s *server) user(t *testing.T, name string, rules ...string) string {
	t.Helper()
	s.cli(t, append([]string{"acl", "setuser", name, "on", ">hunter2"}, rules...)...)
	return (&url.URL{Scheme: "unix", User: url.UserPassword(name, "hunter2"), Path: s.Socket}).String()
}

// holds is all that the server holds under a prefix, but the lock, which ends by
// itself, and the queue for it.
func (s *server) holds(t *testing.T, prefix string) string {
	t.Helper()
	slot := "{" + prefix + "}:"
	return strings.Join([]string{
		s.cli(t, "get", slot+"version"),
		s.cli(t, "hgetall", slot+"values"),
		s.cli(t, "zrange", slot+"index", "0", "-1", "withscores"),
		s.cli(t, "exists", slot+"trial"),
	}, "\n")
}

// TestMissingPermission opens a server as a user who lacks a permission, and
// checks one that is already open.
func TestMissingPermission(t *testing.T) {
	t.Parallel()
	s := start(t)
	type test struct {
		rule   string
		names  []string // named in the error
		remedy string   // how it begins
	}
	tests := []test{
		{"-@scripting", []string{"eval"}, "Let the user run scripts"},
		{"-eval", []string{"eval"}, "Let the user run scripts"},
		{"-evalsha", []string{"evalsha"}, "Let the user run scripts"},
		{"-ping", []string{"ping"}, "Let the user run scripts"},
		{"-@read", []string{"hget", "zrange"}, "Let the user call "},
		{"-@write", []string{"hdel", "del", "zadd"}, "Let the user call "},
		{"-@sortedset", []string{"zadd", "zrem"}, "Let the user call "},
	}
	for _, name := range inScripts {
		tests = append(tests, test{"-" + name, []string{name}, "Let the user call " + name + " also in scripts"})
	}
	for i, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			t.Parallel()
			name, prefix := fmt.Sprintf("weak%d", i), s.prefix()
			address := s.user(t, name, "~*", "+@all")
			db, err := redis.Open(t.Context(), address, prefix)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			storetest.Link(t, kv.New(db), "one", storetest.JID("5511987654321", 1))
			before := s.holds(t, prefix)
			s.cli(t, "acl", "setuser", name, test.rule)
			_, opening := redis.Open(t.Context(), address, prefix)
			for what, err := range map[string]error{"Open": opening, "Check": db.Check(t.Context())} {
				if err == nil {
					t.Errorf("%s succeeded", what)
					continue
				}
				if got := remedyOf(err); !strings.HasPrefix(got, test.remedy) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%s: %v, with the remedy %q", what, err, got)
				}
				for _, want := range test.names {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%s: %v, and nothing of %s", what, err, want)
					}
				}
			}
			if after := s.holds(t, prefix); after != before {
				t.Errorf("it held\n%s\nand now holds\n%s", before, after)
			}
		})
	}
}

// TestPermissionThatEnds takes a permission away from a user whose store is
// open: a transaction is stored as a whole or not at all.
func TestPermissionThatEnds(t *testing.T) {
	t.Parallel()
	s := start(t)
	const many = 1500 // more than one step
	small := func(tx kv.Tx) error {
		return errors.Join(tx.Delete([]byte("a0001")), tx.Set([]byte("b"), []byte("new")), tx.Set([]byte("a0002"), []byte("new")))
	}
	large := func(tx kv.Tx) error {
		var errs []error
		for i := range many {
			errs = append(errs, tx.Set(fmt.Appendf(nil, "b%04d", i), []byte("new")), tx.Delete(fmt.Appendf(nil, "a%04d", i)))
		}
		return errors.Join(errs...)
	}
	for i, denied := range inScripts {
		t.Run(denied, func(t *testing.T) {
			t.Parallel()
			name, prefix := fmt.Sprintf("weak%d", i), s.prefix()
			db, err := redis.Open(t.Context(), s.user(t, name, "~*", "+@all"), prefix)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
			fill := func(tx kv.Tx) error {
				for i := range many {
					if err := tx.Set(fmt.Appendf(nil, "a%04d", i), []byte("old")); err != nil {
						return err
					}
				}
				return nil
			}
			if err := db.Txn(t.Context(), true, fill); err != nil {
				t.Fatal(err)
			}
			data := func() string {
				_, data, _ := strings.Cut(s.holds(t, prefix), "\n") // without the version
				return data
			}
			refused := 0
			for what, fn := range map[string]func(kv.Tx) error{"small": small, "large": large} {
				before := data()
				s.cli(t, "acl", "setuser", name, "-"+denied)
				err := db.Txn(t.Context(), true, fn)
				s.cli(t, "acl", "setuser", name, "+"+denied)
				if after := data(); (after == before) != (err != nil) {
					t.Errorf("%s: Txn: %v, and data has changed: %t", what, err, after != before)
				}
				if err != nil {
					refused++
					if got := remedyOf(err); !strings.HasPrefix(got, "Let the user run scripts") {
						t.Errorf("%s: Txn: %v, with the remedy %q", what, err, got)
					}
				}
				s.cli(t, "del", "{"+prefix+"}:lock") // as when its time is up
				if err := db.Txn(t.Context(), true, fill); err != nil {
					t.Errorf("Txn with the permission: %v", err)
				}
			}
			switch denied {
			case "hget", "hmget", "pexpire", "zrank", "zscore", "llen", "lrange", "rpush", "unlink": // not of every commit
			default:
				if refused != 2 {
					t.Errorf("%d transactions were refused, want both", refused)
				}
			}
		})
	}
}

// TestPermissionsAreEnough uses a server as a user with exactly the permissions
// in the package's documentation.
func TestPermissionsAreEnough(t *testing.T) {
	t.Parallel()
	s := start(t)
	rules := []string{"~{test?*}:*", "-@all"}
	for _, name := range permissions {
		rules = append(rules, "+"+name)
	}
	address := s.user(t, "walink", rules...)
	kvtest.Run(t, func(t *testing.T) kv.DB {
		t.Helper()
		db, err := redis.Open(t.Context(), address, s.prefix())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Now(t.Context()); err != nil {
			t.Errorf("Now: %v", err)
		}
		return db
	})
}
