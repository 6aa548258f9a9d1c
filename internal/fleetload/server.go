// Package fleetload measures a fleet next to plain whatsmeow clients: both log the same
// stored sessions in, at the same fake WhatsApp in a separate process.
package fleetload

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"

	"go.mau.fi/whatsmeow/proto/waAdv"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"

	"github.com/walink/walink/store"
	"github.com/walink/walink/walinktest"
)

// uploaded is how many one-time keys a prepared device has. A new device makes more than 800,
// which costs most of the time of linking and nothing later.
const uploaded = 30

// Remote is the fake WhatsApp in its own process.
type Remote struct {
	Address string   // where clients connect
	RootKey [32]byte // signs the server's certificates
	Control string   // the URL of the phones

	stdin io.Closer // open for as long as the server runs
}

// linked is a device that the server is to know.
type linked struct {
	JID, LID        types.JID
	Noise, Identity [32]byte
	Signed          keys.PreKey // without the private part
}

// Serve is the process of the server. It ends with its standard input, and so with the
// process that started it.
func Serve() error {
	srv, err := walinktest.Start()
	if err != nil {
		return err
	}
	defer srv.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /devices", func(w http.ResponseWriter, r *http.Request) {
		var d linked
		err := json.NewDecoder(r.Body).Decode(&d)
		if err == nil {
			phone := srv.NewPhone("+" + d.JID.User)
			d.LID = phone.LID()
			d.LID.Device = d.JID.Device
			err = phone.Restore(r.Context(), &wastore.Device{
				ID: &d.JID, LID: d.LID, NoiseKey: &keys.KeyPair{Pub: &d.Noise}, IdentityKey: &keys.KeyPair{Pub: &d.Identity},
				SignedPreKey: &d.Signed, PreKeys: preKeys{},
			})
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(d)
	})
	mux.HandleFunc("POST /phones", func(w http.ResponseWriter, r *http.Request) {
		phone := srv.NewPhone(r.FormValue("number"))
		answer, code := phone.ScanQR, r.FormValue("qr")
		if code == "" {
			answer, code = phone.EnterCode, r.FormValue("code")
		}
		if err := answer(r.Context(), code); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
		}
	})
	control := httptest.NewUnstartedServer(mux)
	control.Config.SetKeepAlivesEnabled(false) // no goroutine is left at the other end
	control.Start()
	defer control.Close()
	address, err := srv.Listen("127.0.0.1:0", 0)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(Remote{Address: address, RootKey: srv.RootKey(), Control: control.URL}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// preKeys says that all one-time keys are uploaded.
type preKeys struct{ wastore.PreKeyStore }

func (preKeys) UploadedPreKeyCount(context.Context) (int, error) { return uploaded, nil }

// Start starts the process of the server: the command has to call [Serve].
func Start(cmd *exec.Cmd) (*Remote, error) {
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	cmd.Stderr = os.Stderr
	if err := cmp.Or(inErr, outErr, cmd.Start()); err != nil {
		return nil, err
	}
	r := &Remote{stdin: in}
	return r, json.NewDecoder(out).Decode(r)
}

// Close ends the server.
func (r *Remote) Close() error { return r.stdin.Close() }

// Client returns the client for whatsmeow.
func (r *Remote) Client() *http.Client { return walinktest.RemoteClient(r.Address, r.RootKey) }

// name returns the name of a session, and number the account of its device.
func name(i int) string   { return fmt.Sprintf("session %05d", i) }
func number(i int) string { return fmt.Sprint(5511900000000 + int64(i)) }

// prepareAll stores n linked devices, without linking them, and has the server know them.
func prepareAll(ctx context.Context, st store.Store, r *Remote, n int) error {
	for i := range n {
		if err := prepare(ctx, st, r, i); err != nil {
			return fmt.Errorf("session %d: %w", i, err)
		}
	}
	return nil
}

func prepare(ctx context.Context, st store.Store, r *Remote, i int) error {
	device, err := st.Device(ctx, name(i))
	if err != nil {
		return err
	}
	device.ID = &types.JID{User: number(i), Device: 1, Server: types.DefaultUserServer}
	device.Account = &waAdv.ADVSignedDeviceIdentity{
		Details: []byte{1}, AccountSignature: make([]byte, 64), AccountSignatureKey: make([]byte, 32), DeviceSignature: make([]byte, 64),
	}
	if err := r.know(ctx, device); err != nil {
		return err
	}
	if err := device.Save(ctx); err != nil {
		return err
	}
	list, err := device.PreKeys.GetOrGenPreKeys(ctx, uploaded)
	if err != nil {
		return err
	}
	return device.PreKeys.MarkPreKeysAsUploaded(ctx, list[len(list)-1].KeyID)
}

// knowAll has the server know devices that are stored.
func (r *Remote) knowAll(ctx context.Context, devices func(context.Context) ([]*wastore.Device, error)) error {
	list, err := devices(ctx)
	for _, device := range list {
		if err == nil {
			err = r.know(ctx, device)
		}
	}
	return err
}

// know has the server know a device, which gets its LID.
func (r *Remote) know(ctx context.Context, device *wastore.Device) error {
	d := linked{JID: *device.ID, Noise: *device.NoiseKey.Pub, Identity: *device.IdentityKey.Pub, Signed: *device.SignedPreKey}
	d.Signed.Priv = nil
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	answer, err := r.post(ctx, "/devices", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	err = json.Unmarshal(answer, &d)
	device.LID = d.LID
	return err
}

// Answer has a new phone with a number take a code: what says whether it is a "qr" or a
// pairing "code".
func (r *Remote) Answer(ctx context.Context, number, what, code string) error {
	_, err := r.post(ctx, "/phones", "application/x-www-form-urlencoded", strings.NewReader(url.Values{"number": {number}, what: {code}}.Encode()))
	return err
}

func (r *Remote) post(ctx context.Context, path, kind string, body io.Reader) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Control+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the server says: %s", answer)
	}
	return answer, err
}
