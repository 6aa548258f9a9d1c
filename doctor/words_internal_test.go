package doctor

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/queue"
)

func TestCleansWhatOthersSay(t *testing.T) {
	t.Parallel()
	const home = "/home/alice"
	d := newPatient(walink.Settings{Phone: "+55 11 98765-4321", Proxy: "http://proxy:tops3cret@127.0.0.1:1"}, "", nil)
	d.home, d.path = home, home+"/whatsapp-service-production-data/55-11-98765-4321/walink.db"
	d.getenv = func(name string) string {
		return map[string]string{"HTTPS_PROXY": "envuser:envpassword@10.0.0.1:3128"}[name]
	}
	d.secrets = d.knownSecrets()
	malformed := newPatient(walink.Settings{Proxy: "http://cleo:s3%zzcret@[::1"}, "", nil)
	malformed.secrets = malformed.knownSecrets()
	if got := malformed.clean("cleo has s3%zzcret"); got != "[redacted] has [redacted]" {
		t.Errorf("of a malformed URL: %q", got)
	}
	stat := &fs.PathError{Op: "open", Path: "/a/very/long/directory/of/somebody/else/settings.json", Err: fs.ErrNotExist}
	for text, want := range map[string]string{
		"login proxy with tops3cret refused":         "login [redacted] with [redacted] refused",
		"login envuser with envpassword refused":     "login [redacted] with [redacted] refused",
		"proxyconnect tcp: proxyfied":                "proxyconnect tcp: proxyfied",
		"55 11 98765-4321":                           "[redacted]",
		"call (11) 98765-4321.":                      "call ([redacted].",
		"+49.1512.3456789 and 030 1234567":           "[redacted] and [redacted]",
		"lookup x on 10.255.255.53:53":               "lookup x on 10.255.255.53:53",
		"current time 2026-11-25T15:03:57Z is after": "current time 2026-11-25T15:03:57Z is after",
		"at 2026-11-25 15:03:57":                     "at 2026-11-25 15:03:57",
		"Password = hunter2 dbname=x":                "Password = [redacted] dbname=x",
		"pwd='my s3cret' host=db":                    "pwd=[redacted] host=db",
		`token:"abc def" rest`:                       "token:[redacted] rest",
		"postgres://u:p@ss@db/x":                     "postgres://[redacted]@db/x",
		"stat " + d.path + "-wal: gone":              "stat ~/whatsapp-service-production-data/[redacted]/walink.db-wal: gone",
		`the directory "` + home + `/whatsapp-service-production-data/55-11-98765-4321"`: `the directory "~/whatsapp-service-production-data/[redacted]"`,
		home + "/other":                        "~/other",
		stat.Error():                           "open /a/very/long/directory/of/somebody/else/settings.json: file does not exist",
		"key aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ=": "key [redacted]",
	} {
		if got := foreignText(d, errors.Join(errors.New(text))); got != want && text != stat.Error() {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	if got := foreignText(d, stat); got != "open "+stat.Path+": file does not exist" {
		t.Errorf("the path is lost: %q", got)
	}
	d.path = `C:\Users\bob\whatsapp-sessions-of-my-program\walink.db`
	if got := d.clean(`check "C:\\Users\\bob\\whatsapp-sessions-of-my-program\\walink.db": x`); got != `check "`+d.path+`": x` {
		t.Errorf("a quoted path becomes %s", got)
	}
	remedy := hint.New(errors.New("x"), "Call +55 11 98765-4321.")
	if _, got := d.foreign(walink.ErrStore, remedy, ""); got != "Call [redacted]." {
		t.Errorf("the remedy is %q", got)
	}
}

func foreignText(d *doctor, err error) string {
	text, _ := d.foreign(walink.ErrStore, err, "")
	return text
}

func TestSpeaksOfDurations(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "less than a second", time.Second: "1 second", 90 * time.Second: "1 minute 30 seconds", time.Hour: "1 hour",
		time.Hour + time.Second: "1 hour 1 second", 15 * time.Minute: "15 minutes", 48*time.Hour + time.Minute + time.Second: "2 days 1 minute",
	} {
		if got := spoken(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestWaitsALittleLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		late := func(by time.Duration) func(context.Context) (int, error) {
			return func(ctx context.Context) (int, error) {
				<-ctx.Done()
				<-time.After(by)
				return 7, nil
			}
		}
		began := time.Now()
		if got, err := within(t.Context(), late(stepGrace/2)); got != 7 || err != nil {
			t.Errorf("a step that is late by half the grace: %d, %v", got, err)
		}
		if _, err := within(t.Context(), late(time.Hour)); !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "no answer within 10 seconds") {
			t.Errorf("a step that does not end: %v", err)
		}
		if took := time.Since(began); took != 2*stepLimit+stepGrace*3/2 {
			t.Errorf("took %s", took)
		}
		if _, err := within(t.Context(), func(context.Context) (int, error) { panic("ouch") }); err == nil || err.Error() != "it panicked: ouch" {
			t.Errorf("a step that panics: %v", err)
		}
		<-time.After(time.Hour) // until the late step has ended
	})
}

// TestFollows has a connection on which each stage takes nearly as long as it may.
func TestFollows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box, silence := queue.New[machine.Input](), time.NewTimer(stepLimit)
		const nearly = stepLimit - time.Second
		time.AfterFunc(nearly, func() { silence.Reset(stepLimit) }) // the websocket is open
		time.AfterFunc(2*nearly, func() { box.Put(machine.Opened{Epoch: 1}) })
		time.AfterFunc(3*nearly, func() { box.Put(machine.Refs{Epoch: 1, Payloads: []string{"a", "b"}}) })
		if c := follow(t.Context(), box, silence); !c.spoke || c.refs != 2 || c.err != nil {
			t.Errorf("followed to %+v", c)
		}
	})
}

func TestProbe(t *testing.T) {
	t.Parallel()
	var closing []bool
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := &probe{now: func() time.Time { now = now.Add(time.Second); return now }, base: roundTrip(func(req *http.Request) (*http.Response, error) {
		closing = append(closing, req.Close)
		return &http.Response{StatusCode: 418, Body: http.NoBody, Header: http.Header{"Date": {now.Format(http.TimeFormat)}}}, nil
	})}
	for _, header := range []http.Header{{}, {"Upgrade": {"websocket"}}} {
		resp, err := p.RoundTrip(&http.Request{Header: header})
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != 418 {
			t.Errorf("%d, %v", resp.StatusCode, err)
		}
	}
	if len(closing) != 2 || !closing[0] || closing[1] {
		t.Errorf("the connections are closed: %v, want that of the page alone", closing)
	}
	if met := p.note(nil); met.ahead() != 500*time.Millisecond || met.status != 418 { // halfway between the request and its answer
		t.Errorf("the clock is ahead by %v, and the status %d", met.ahead(), met.status)
	}
	p.base = roundTrip(func(*http.Request) (*http.Response, error) { panic("ouch") })
	resp, err := p.RoundTrip(&http.Request{Header: http.Header{}})
	if err == nil {
		err = resp.Body.Close()
	}
	if err == nil || err.Error() != "the transport panicked: ouch" {
		t.Errorf("a transport that panics: %v", err)
	}
}

// roundTrip is a function as a transport.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
