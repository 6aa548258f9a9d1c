package wire

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/util/keys"

	"github.com/walink/walink/walinktest"
)

// pipe is the transport of one websocket over net.Pipe.
type pipe struct{ conn net.Conn }

func (p pipe) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusSwitchingProtocols, Request: req, Body: p.conn}, nil
}

func always() bool { return true }

// opened returns a transport and its connection, whose other end is the pipe's.
func opened(t *testing.T) (*transport, *wsConn, net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	tr := &transport{base: pipe{near}, held: always, linked: always, pace: &Pace{}, closed: func() {}}
	resp, err := tr.RoundTrip(&http.Request{}) //nolint:bodyclose // it is the connection
	if err != nil {
		t.Fatal(err)
	}
	c := resp.Body.(*wsConn) //nolint:errcheck // that is what RoundTrip is for
	close(c.written)
	close(c.opened)
	return tr, c, far
}

func read(c io.Reader) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 100))
		done <- err
	}()
	return done
}

func pending(t *testing.T, done <-chan error, why string) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-done:
		t.Errorf("the reader gets %v %s", err, why)
	default:
	}
}

func TestEndIsHeldBackUntilTheSocketIsOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		tr := &transport{base: pipe{near}, held: always, linked: always, pace: &Pace{}, closed: func() {}}
		tr.begin()
		resp, err := tr.RoundTrip(&http.Request{}) //nolint:bodyclose // it is the connection
		if err != nil {
			t.Fatal(err)
		}
		c := resp.Body.(*wsConn) //nolint:errcheck // that is what RoundTrip is for
		close(c.written)
		c.read = true // the server's hello
		_ = far.Close()
		done := read(resp.Body)
		pending(t, done, "before ConnectContext has returned")
		tr.opened()
		if err := <-done; err == nil {
			t.Error("no end")
		}
	})
}

// killed is a connection that is killed while it is written to. The write is in time.
type killed struct {
	net.Conn
	kill  func()
	ended chan struct{}
}

func (k *killed) Read(p []byte) (int, error) {
	n, err := k.Conn.Read(p)
	close(k.ended)
	return n, err
}

func (k *killed) Write(p []byte) (int, error) {
	k.kill()
	<-k.ended
	for range 1000 {
		runtime.Gosched() // to the reader
	}
	return len(p), nil
}

// Otherwise whatsmeow waits 20 s for a server's hello that nobody sends.
func TestHandshakeEndsIfTheConnectionIsKilledWhileTheHelloIsWritten(t *testing.T) {
	t.Parallel()
	near, _ := net.Pipe()
	conn := &killed{Conn: near, ended: make(chan struct{})}
	tr := &transport{base: pipe{conn}, held: always, linked: always, pace: &Pace{}, closed: func() {}}
	tr.begin()
	resp, err := tr.RoundTrip(&http.Request{}) //nolint:bodyclose // it is the connection
	if err != nil {
		t.Fatal(err)
	}
	c := resp.Body.(*wsConn) //nolint:errcheck // that is what RoundTrip is for
	conn.kill = c.kill
	done := read(c)
	if _, err := c.Write([]byte("\x82\x80\x00\x00\x00\x00")); err != nil {
		t.Fatal(err)
	}
	c.signal(c.opened)
	if err := <-done; err != nil {
		t.Errorf("the reader gets %v, and no frame that ends the handshake", err)
	}
}

func TestMutedConnectionEndsWithTheCloseFrame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, c, far := opened(t)
		c.read = true
		done := read(c)
		synctest.Wait()
		c.drain(time.Second)
		if _, err := far.Write([]byte("late")); err != nil {
			t.Fatal(err)
		}
		pending(t, done, "of a muted connection")
		go func() { _, _ = io.Copy(io.Discard, far) }()
		if _, err := c.Write([]byte("\x88\x82\x00\x00\x00\x00\x03\xe8")); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != io.EOF { //nolint:errorlint // as io.Reader has it
			t.Errorf("the reader gets %v", err)
		}
		c.kill()
	})
}

func TestDrainWaitsForATeardownThatHasBegun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr, c, far := opened(t)
		c.read = true
		_ = far.Close()
		if err := <-read(c); err == nil {
			t.Error("no end")
		}
		if tr.whileUp(func() {}) {
			t.Error("up after the end")
		}
		start := time.Now()
		time.AfterFunc(10*time.Second, tr.tornDown)
		c.drain(time.Minute)
		if waited := time.Since(start); waited != 10*time.Second {
			t.Errorf("waited %v", waited)
		}
	})
}

// The bytes of a long frame are masked, so that a piece may begin with any byte.
func TestPieceOfALongFrameIsNoCloseFrame(t *testing.T) {
	t.Parallel()
	var wire bytes.Buffer
	c := &wsConn{rwc: struct {
		io.Writer
		io.ReadCloser
	}{&wire, http.NoBody}, held: always, closing: make(chan struct{}), written: make(chan struct{})}
	frame := append([]byte{0x82, 0x80 | 126, 0x13, 0x88, 1, 2, 3, 4}, bytes.Repeat([]byte{wsFinal | wsClose}, 5000)...)
	for _, piece := range [][]byte{frame[:4096], frame[4096:], {0x82, 0x81, 1, 2, 3, 4, 9}} {
		if _, err := c.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if c.hasEnded() {
		t.Error("taken for a close frame")
	}
	if _, err := c.Write([]byte{wsFinal | wsClose, 0x80, 1, 2, 3, 4}); err != nil || !c.hasEnded() {
		t.Errorf("a close frame is not seen (%v)", err)
	}
}

// drain depends on what whatsmeow logs when it has torn down a connection.
func TestWhatsmeowLogsTheEndOfATeardown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := walinktest.NewServer(t)
		by, tr := track(srv.HTTPClient(), always, always, &Pace{}, func() {})
		ignore := func(*waBinary.Node) {}
		identity := keys.NewKeyPair()
		client := whatsmeow.NewClient(&wastore.Device{
			NoiseKey: keys.NewKeyPair(), IdentityKey: identity, SignedPreKey: identity.CreateSignedPreKey(1), AdvSecretKey: make([]byte, 32),
		}, &logger{sink: &sink{ctx: t.Context(), log: slog.New(slog.DiscardHandler), received: ignore, sending: ignore, opened: tr.opened, gone: tr.tornDown}})
		client.SetPreLoginHTTPClient(by)
		tr.begin()
		if err := client.Connect(); err != nil {
			t.Fatal(err)
		}
		tr.opened()
		synctest.Wait()
		srv.Restart()
		synctest.Wait()
		start := time.Now()
		c, _ := tr.block()
		if c.drain(time.Minute); time.Since(start) != 0 {
			t.Errorf("whatsmeow said nothing for %v", time.Since(start))
		}
		client.Disconnect()
	})
}
