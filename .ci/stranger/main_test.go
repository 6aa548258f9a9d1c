package main

import (
	"errors"
	"io"
	"regexp"
	"testing"
	"testing/synctest"

	"github.com/walink/walink"
	"github.com/walink/walink/store/sqlite"
	"github.com/walink/walink/walinktest"
)

// typist is a person who reads what the program prints and types the code into the phone.
type typist struct {
	enter func(code string)
}

func (p typist) Write(text []byte) (int, error) {
	if code := regexp.MustCompile(`[A-Z0-9]{4}-[A-Z0-9]{4}`).Find(text); code != nil {
		p.enter(string(code))
	}
	return len(text), nil
}

func TestLinkAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		phone := srv.NewPhone("+5511987654321")
		st, err := sqlite.Open(t.Context(), ":memory:")
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		settings := walink.Settings{
			Phone:             "+55 11 98765-4321",
			PreferPairingCode: true,
			HTTPClient:        srv.HTTPClient(),
		}
		entered := 0
		person := typist{enter: func(code string) {
			entered++
			if err := phone.EnterCode(t.Context(), code); err != nil {
				t.Errorf("the phone says %v", err)
			}
		}}
		for range 2 {
			client, done, err := link(t.Context(), person, st, settings)
			if err != nil {
				t.Fatal(err)
			}
			if !client.IsLoggedIn() {
				t.Error("the client is not logged in")
			}
			if err := done(); err != nil {
				t.Error(err)
			}
		}
		if entered != 1 {
			t.Errorf("a code was entered %d times, want once: the second link is a resume", entered)
		}
	})
}

func TestNumberWithoutCountryCode(t *testing.T) {
	st, err := sqlite.Open(t.Context(), ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	_, _, err = link(t.Context(), io.Discard, st, walink.Settings{Phone: "98765", PreferPairingCode: true})
	if !errors.Is(err, walink.ErrInvalidSettings) || !errors.Is(err, walink.ErrInvalidPhone) {
		t.Errorf("error %v, want ErrInvalidPhone inside ErrInvalidSettings", err)
	}
}
