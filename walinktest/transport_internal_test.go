package walinktest

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
)

func TestCloseWaitsForNoLatency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := NewServer(t)
		srv.pipe = newPipeListener()
		srv.serve(slowListener{srv.pipe, time.Hour, srv.pipe.closed})
		by := &http.Client{Transport: &http.Transport{DialContext: srv.pipe.dial, DisableKeepAlives: true}}
		ws, _, err := websocket.Dial(t.Context(), "ws://web.whatsapp.com/ws/chat", &websocket.DialOptions{HTTPClient: by}) //nolint:bodyclose // Dial takes it
		if err != nil {
			t.Fatal(err)
		}
		if err := ws.Write(t.Context(), websocket.MessageBinary, []byte("WA")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		began := time.Now()
		srv.Close()
		if took := time.Since(began); took != 0 {
			t.Errorf("Close took %s", took)
		}
		_ = ws.CloseNow()
	})
}
