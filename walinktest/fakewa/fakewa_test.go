package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/walinktest"
)

const number = "5511987654321"

// envMain makes the test program the command itself.
const envMain = "FAKEWA_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(envMain) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// fake is a running command.
type fake struct {
	line
	tb   testing.TB
	stop context.CancelFunc
	done chan error // what run returned
}

// start runs the command until the test ends, which has to be clean.
func start(tb testing.TB) *fake {
	tb.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(tb.Context()))
	f := &fake{tb: tb, stop: stop, done: make(chan error, 1)}
	out, in := io.Pipe()
	go func() {
		f.done <- run(ctx, "127.0.0.1:0", "127.0.0.1:0", 0, in)
		_ = in.Close()
	}()
	tb.Cleanup(func() {
		stop()
		if err := <-f.done; err != nil {
			tb.Errorf("the command ended with %v", err)
		}
	})
	f.line = announced(tb, out)
	return f
}

// announced reads what the command prints.
func announced(tb testing.TB, out io.Reader) (announced line) {
	tb.Helper()
	reader := bufio.NewReader(out)
	if first, err := reader.ReadString('\n'); first != "ready\n" {
		tb.Fatalf("the command printed %q: %v", first, err)
	}
	if err := json.NewDecoder(reader).Decode(&announced); err != nil {
		tb.Fatal(err)
	}
	return announced
}

// answered has the fields of all answers.
type answered struct {
	line
	walinktest.Stats
	Devices             []walinktest.Device
	Messages            []message
	ID                  string
	Number, JID, LID    string
	Reason, Error, Said string
	Code                string
	Assertion           json.RawMessage

	header http.Header
}

// call calls the control interface, and checks the status.
func (f *fake) call(method, path, body string, status int) (a answered) {
	f.tb.Helper()
	request, err := http.NewRequestWithContext(context.WithoutCancel(f.tb.Context()), method, f.Control+path, strings.NewReader(body))
	if err != nil {
		f.tb.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		f.tb.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	if err != nil || response.StatusCode != status || response.Header.Get("Content-Type") != "application/json" {
		f.tb.Fatalf("%s %s: %s %s, want status %d, err %v", method, path, response.Status, text, status, err)
	}
	a.header = response.Header
	return a
}

// link starts a Link by a program that knows nothing but the line.
func (f *fake) link(settings walink.Settings) <-chan walink.Event {
	f.tb.Helper()
	_, events := f.linker(settings)
	return events
}

// linker is link, and also returns the Linker.
func (f *fake) linker(settings walink.Settings) (*walink.Linker, <-chan walink.Event) {
	f.tb.Helper()
	client, err := walinktest.FakewaClient(f.tb.Context(), f.Control)
	if err != nil {
		f.tb.Fatal(err)
	}
	settings.HTTPClient = client
	linker, err := walink.New(rig.MemoryStore(f.tb), settings)
	if err != nil {
		f.tb.Fatal(err)
	}
	f.tb.Cleanup(func() { _ = linker.Close() })
	events, err := linker.Link(f.tb.Context())
	if err != nil {
		f.tb.Fatal(err)
	}
	return linker, events
}

// await returns the next event of type E.
func await[E walink.Event](tb testing.TB, events <-chan walink.Event) (wanted E) {
	tb.Helper()
	for event := range events {
		if wanted, ok := event.(E); ok {
			return wanted
		}
		if failed, ok := event.(walink.Failed); ok {
			tb.Fatalf("no %s: %v", wanted.Kind(), failed.Err)
		}
	}
	tb.Fatalf("no %s", wanted.Kind())
	return wanted
}

// quoted returns a JSON object with one field.
func quoted(field, value string) string {
	text, _ := json.Marshal(map[string]string{field: value})
	return string(text)
}

func TestLinksByCodeAfterAWrongOne(t *testing.T) {
	t.Parallel()
	f := start(t)
	made := f.call("POST", "/phones", `{"number": "+55 (11) 98765-4321", "business": "Corner shop"}`, 201)
	if made.Number != number || made.JID != number+"@s.whatsapp.net" || !strings.HasSuffix(made.LID, "@lid") {
		t.Errorf("made %+v", made)
	}
	events := f.link(walink.Settings{Phone: "+" + number, LinkingMode: walink.ModePairing})
	code := await[walink.PairingCode](t, events).Code
	refused := f.call("POST", "/phones/"+number+"/code", quoted("code", "ABCD-EFGH"), 409)
	if refused.Reason != "refused" || refused.Said != walinktest.ErrWrongCode.Error() {
		t.Errorf("the phone refused with %+v", refused)
	}
	linked := f.call("POST", "/phones/"+number+"/code", quoted("code", code), 200)
	account := await[walink.Linked](t, events).Account
	listed := f.call("GET", "/phones/"+number+"/devices", "", 200)
	if len(linked.Devices) != 1 || len(listed.Devices) != 1 || listed.Devices[0].JID != account.JID || account.BusinessName != "Corner shop" {
		t.Errorf("linked %+v, listed %+v, account %+v", linked.Devices, listed.Devices, account)
	}
	stats := f.call("GET", "/stats", "", 200).Stats
	if stats.CodeRequests != 1 || stats.Logins != 1 || stats.Connections < 2 || stats.LastVersion.IsZero() {
		t.Errorf("stats %+v", stats)
	}
}

func TestLinksByQRAndRemovesDevices(t *testing.T) {
	t.Parallel()
	f := start(t)
	path := "/phones/" + number + "/" // of a phone that nobody has made
	for range 3 {
		events := f.link(walink.Settings{})
		f.call("POST", path+"qr", quoted("payload", await[walink.QRCode](t, events).Payload), 200)
		await[walink.Linked](t, events)
	}
	listed := f.call("GET", path+"devices", "", 200).Devices
	if len(listed) != 3 || !listed[0].Online || listed[0].LinkedAt.IsZero() || listed[0].OS == "" {
		t.Fatalf("listed %+v", listed)
	}
	second := "devices?device=" + listed[1].JID.String()
	if removed := f.call("DELETE", path+second, "", 200).Devices; len(removed) != 1 || removed[0].JID != listed[1].JID {
		t.Errorf("removed %+v", removed)
	}
	if again := f.call("DELETE", path+second, "", 404); again.Reason != "unknown_device" {
		t.Errorf("removed again: %+v", again)
	}
	if removed := f.call("DELETE", path+"devices", "", 200).Devices; len(removed) != 2 {
		t.Errorf("removed %+v", removed)
	}
	if left := f.call("GET", path+"devices", "", 200).Devices; left == nil || len(left) != 0 {
		t.Errorf("left %+v", left)
	}
}

func TestLinksWithAPasskey(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.call("POST", "/phones", `{"number": "`+number+`", "passkey": true, "codeCheck": true}`, 201)
	path := "/phones/" + number
	if none := f.call("GET", path+"/passkey?wait=1ms", "", 404); none.Reason != "nothing_to_compare" {
		t.Errorf("before a link: %+v", none)
	}
	if none := f.call("POST", path+"/passkey/confirm", "", 404); none.Reason != "nothing_to_compare" {
		t.Errorf("before a link: %+v", none)
	}
	if refused := f.call("POST", path+"/passkey", `{"challenge": {"challenge": "AAAA", "rpId": "example.com"}}`, 409); refused.Reason != "refused" {
		t.Errorf("another site's challenge: %+v", refused)
	}
	linker, events := f.linker(walink.Settings{ComparePasskeyCode: true})
	go f.call("POST", path+"/qr", quoted("payload", await[walink.QRCode](t, events).Payload), 200)
	challenge := await[walink.PasskeyRequired](t, events).Challenge
	answer := f.call("POST", path+"/passkey", `{"challenge": `+string(challenge)+`}`, 200)
	if err := linker.AnswerPasskey(t.Context(), answer.Assertion); err != nil {
		t.Fatal(err)
	}
	shown := await[walink.PasskeyConfirmation](t, events).Code
	if code := f.call("GET", path+"/passkey?wait=5s", "", 200).Code; code != shown {
		t.Errorf("the phone shows %q, the program %q", code, shown)
	}
	f.call("POST", path+"/passkey/confirm?wait=5s", "", 200)
	if err := linker.ConfirmPasskey(t.Context()); err != nil {
		t.Fatal(err)
	}
	await[walink.Linked](t, events)
}

func TestNewPhoneIsANewInstallation(t *testing.T) {
	t.Parallel()
	f := start(t)
	events := f.link(walink.Settings{})
	f.call("POST", "/phones/"+number+"/qr", quoted("payload", await[walink.QRCode](t, events).Payload), 200)
	await[walink.Linked](t, events)
	f.call("POST", "/phones", quoted("number", number), 201)
	if left := f.call("GET", "/phones/"+number+"/devices", "", 200).Devices; len(left) != 0 {
		t.Errorf("left %+v", left)
	}
}

func TestScriptedRefusal(t *testing.T) {
	t.Parallel()
	f := start(t)
	payload := quoted("payload", await[walink.QRCode](t, f.link(walink.Settings{})).Payload)
	f.call("POST", "/script", `{"stage": "pair_success", "action": "refuse", "code": 500, "times": 2}`, 200)
	for range 2 {
		if said := f.call("POST", "/phones/"+number+"/qr", payload, 409).Said; said != walinktest.ErrLinkFailed.Error() {
			t.Errorf("the phone said %q", said)
		}
	}
	f.call("POST", "/phones/"+number+"/qr", payload, 200)
}

func TestScriptTimes(t *testing.T) {
	t.Parallel()
	f := start(t)
	// want asks for the page with the client's revision, count times.
	want := func(count, status int) {
		t.Helper()
		for range count {
			response, err := http.Get("http://" + f.Address)
			if err != nil {
				t.Fatal(err)
			}
			if _ = response.Body.Close(); response.StatusCode != status {
				t.Errorf("status %d, want %d", response.StatusCode, status)
			}
		}
	}
	f.call("POST", "/script", `{"stage": "version", "action": "refuse", "code": 503, "after": "200ms"}`, 200)
	f.call("POST", "/script", `{"stage": "version", "action": "refuse", "code": 404, "times": 2}`, 200)
	f.call("POST", "/script", `{"stage": "version", "action": "delay", "after": "200ms"}`, 200)
	f.call("POST", "/script", `{"stage": "version", "action": "rate_limit", "backoff": "1h", "times": -1}`, 200)
	began := time.Now()
	want(1, 503)
	want(2, 404)
	want(1, 200)
	if took := time.Since(began); took < 400*time.Millisecond {
		t.Errorf("two delays took %v", took)
	}
	want(3, 429)
	f.call("POST", "/script", `{"stage": "version"}`, 200)
	want(1, 200)
}

func TestRestartDropsConnections(t *testing.T) {
	t.Parallel()
	f := start(t)
	events := f.link(walink.Settings{})
	payload := await[walink.QRCode](t, events).Payload
	f.call("POST", "/restart", "", 200)
	if said := f.call("POST", "/phones/"+number+"/qr", quoted("payload", payload), 409).Said; said != walinktest.ErrStaleQR.Error() {
		t.Errorf("the phone said %q", said)
	}
	again := await[walink.QRCode](t, events).Payload
	f.call("POST", "/phones/"+number+"/qr", quoted("payload", again), 200)
	await[walink.Linked](t, events)
}

func TestEndsWhileAPhoneWaits(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.call("POST", "/phones", `{"number": "`+number+`", "passkey": true}`, 201)
	events := f.link(walink.Settings{})
	payload := quoted("payload", await[walink.QRCode](t, events).Payload)
	answer := make(chan answered)
	go func() {
		defer close(answer)
		answer <- f.call("POST", "/phones/"+number+"/qr", payload, 503)
	}()
	await[walink.PasskeyRequired](t, events) // the phone waits for the assertion
	f.stop()
	if a := <-answer; a.Reason != "stopped" {
		t.Errorf("the answer is %+v", a)
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	f := start(t)
	if self := f.call("GET", "/", "", 200).line; self != f.line {
		t.Errorf("GET / says %+v, want %+v", self, f.line)
	}
	for _, test := range []struct {
		method, path, body string
		status             int
		reason, text       string // text is a part of the error
	}{
		{"POST", "/phones", ``, 400, "bad_request", "EOF"},
		{"POST", "/phones", `{`, 400, "bad_request", "EOF"},
		{"POST", "/phones", `[]`, 400, "bad_request", "array"},
		{"POST", "/phones", `null`, 400, "bad_request", "7 to 15 digits"},
		{"POST", "/phones", `{"number": "+5511987654321"} {}`, 400, "bad_request", "goes on"},
		{"POST", "/phones", `{"number": "+5511987654321"}}`, 400, "bad_request", "goes on"},
		{"POST", "/phones", `{"number": "+5511987654321", "platform": "iphone"}`, 400, "bad_request", `unknown field "platform"`},
		{"POST", "/phones", `{"number": 5511987654321}`, 400, "bad_request", "number"},
		{"POST", "/phones", `{"number": "+5511987654321", "business": true}`, 400, "bad_request", "Business"},
		{"POST", "/phones", `{"number": "call me"}`, 400, "bad_request", "7 to 15 digits"},
		{"POST", "/phones", `{"number": "+5511987654321", "pushName": 1}`, 400, "bad_request", "PushName"},
		{"POST", "/phones", `{"number": "+5511987654321", "hosted": "yes"}`, 400, "bad_request", "Hosted"},
		{"POST", "/phones", strings.Repeat(" ", bodyLimit+1), 413, "too_large", "65536"},
		{"POST", "/phones/5511987654321/code", `{}`, 400, "bad_request", `"code"`},
		{"POST", "/phones/5511987654321/code", `{"code": "x", "payload": "x"}`, 400, "bad_request", `"code"`},
		{"POST", "/phones/5511987654321/qr", `{"code": "x"}`, 400, "bad_request", `"payload"`},
		{"POST", "/phones/0/code", `{"code": "ABCD-EFGH"}`, 400, "bad_request", "7 to 15 digits"},
		{"POST", "/phones/5511987654321/history", `{"chats": []}`, 400, "bad_request", "chats"},
		{"POST", "/phones/5511987654321/history", `{"conversations": [{}]}`, 400, "bad_request", "ID"},
		{"POST", "/phones/5511987654321/passkey", `{}`, 409, "refused", "passkey"},
		{"POST", "/phones/5511987654321/passkey", `[]`, 400, "bad_request", "array"},
		{"GET", "/phones/5511987654321/passkey?wait=soon", ``, 400, "bad_request", "wait"},
		{"GET", "/phones/5511987654321/passkey?wait=1h", ``, 400, "bad_request", "10m"},
		{"GET", "/phones/me/devices", ``, 400, "bad_request", "7 to 15 digits"},
		{"DELETE", "/phones/5511987654321/devices?device=5511987654321:1@s.whatsapp.net", ``, 404, "unknown_device", "jid"},
		{"POST", "/script", `{}`, 400, "bad_request", `"companion_hello"`},
		{"POST", "/script", `{"stage": "lunch", "action": "drop"}`, 400, "bad_request", `no stage "lunch"`},
		{"POST", "/script", `{"stage": "login", "action": "sulk"}`, 400, "bad_request", `"expired_certificate"`},
		{"POST", "/script", `{"stage": "login", "action": "refuse"}`, 400, "bad_request", `needs "code"`},
		{"POST", "/script", `{"stage": "login", "action": "refuse", "code": 5}`, 400, "bad_request", "three digits"},
		{"POST", "/script", `{"stage": "login", "action": "rate_limit", "code": 429, "backoff": "1h"}`, 400, "bad_request", `takes no "code"`},
		{"POST", "/script", `{"stage": "login", "action": "rate_limit"}`, 400, "bad_request", `needs "backoff"`},
		{"POST", "/script", `{"stage": "login", "action": "delay"}`, 400, "bad_request", `needs "after"`},
		{"POST", "/script", `{"stage": "login", "action": "drop", "after": 5}`, 400, "bad_request", "duration"},
		{"POST", "/script", `{"stage": "login", "action": "drop", "after": "-5s"}`, 400, "bad_request", "negative"},
		{"POST", "/script", `{"stage": "login", "action": "drop", "times": -2}`, 400, "bad_request", "negative"},
		{"POST", "/script", `{"stage": "login", "action": "send", "nodes": [{"attrs": {"a": "b"}}]}`, 400, "bad_request", "tag"},
		{"POST", "/script", `{"stage": "login", "action": "send", "nodes": [{"tag": "ib", "attrs": {"a": ["b"]}}]}`, 400, "bad_request", "string"},
		{"POST", "/script", `{"stage": "login", "action": "send", "nodes": [{"tag": "ib", "text": "x"}]}`, 400, "bad_request", "unknown"},
		{"POST", "/script", `{"stage": "login", "action": "send", "nodes": [{"tag": "ib", "content": [{"tag": "x", "attrs": {"a": 1.5}}]}]}`, 400, "bad_request", "string"},
		{"POST", "/script", `{"stage": "login", "action": "send", "nodes": [{"tag": "ib", "content": "!"}]}`, 400, "bad_request", "base64"},
		{"POST", "/script", `{"stage": "login", "times": 2}`, 400, "bad_request", `takes no "times"`},
		{"GET", "/phones", ``, 405, "method_not_allowed", "POST"},
		{"POST", "/", `{}`, 405, "method_not_allowed", "GET"},
		{"PUT", "/phones/5511987654321/devices", `{}`, 405, "method_not_allowed", "GET, DELETE"},
		{"GET", "/phones/5511987654321", ``, 404, "not_found", "no such path"},
		{"POST", "/phones/5511987654321/messages", `{"to": "5521912345678"}`, 400, "bad_request", "text"},
		{"POST", "/phones/5511987654321/messages", `{"text": "hello"}`, 400, "bad_request", "7 to 15 digits"},
		{"POST", "/phones/5511987654321/messages", `{"to": "1:x@lid", "text": "hello"}`, 400, "bad_request", "jid of a group"},
		{"POST", "/phones/me/messages", `{"to": "5521912345678", "text": "hello"}`, 400, "bad_request", "7 to 15 digits"},
		{"GET", "/phones/5511987654321/messages?wait=-1s", ``, 400, "bad_request", "wait"},
		{"POST", "/groups", `{"name": "All", "phones": []}`, 400, "bad_request", "needs a name and phones"},
		{"POST", "/groups", `{"phones": ["5511987654321"]}`, 400, "bad_request", "needs a name and phones"},
		{"POST", "/groups", `{"name": "All", "phones": ["me"]}`, 400, "bad_request", "7 to 15 digits"},
		{"POST", "/groups", `{"name": "All", "phones": ["5511987654321", "+5511987654321"]}`, 400, "bad_request", "once"},
	} {
		a := f.call(test.method, test.path, test.body, test.status)
		if a.Reason != test.reason || !strings.Contains(a.Error, test.text) {
			t.Errorf("%s %s %.80s: %q %q, want %q %q", test.method, test.path, test.body, a.Reason, a.Error, test.reason, test.text)
		}
		if allow := a.header.Get("Allow"); test.status == 405 && allow != test.text {
			t.Errorf("%s %s: Allow %q", test.method, test.path, allow)
		}
	}
	if stats := f.call("GET", "/stats", "", 200).Stats; stats != (walinktest.Stats{}) {
		t.Errorf("stats %+v", stats)
	}
	for _, wrong := range []string{"http://127.0.0.1:1", f.Control + "/stats", f.Control + "/lunch", "%"} {
		if _, err := walinktest.FakewaClient(t.Context(), wrong); err == nil {
			t.Errorf("there is a fakewa at %s", wrong)
		}
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	f := start(t)
	control := strings.TrimPrefix(f.Control, "http://")
	for _, addresses := range [][2]string{{f.Address, "127.0.0.1:0"}, {"127.0.0.1:0", control}} {
		if err := run(t.Context(), addresses[0], addresses[1], 0, io.Discard); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("a second command at %q: %v", addresses, err)
		}
	}
}

// TestProcess runs the command as a process, which ends with status 0 after SIGTERM.
func TestProcess(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no SIGTERM")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-addr", "127.0.0.1:0", "-control", "127.0.0.1:0")
	cmd.Env, cmd.Stderr = append(os.Environ(), envMain+"=1"), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f := &fake{tb: t, line: announced(t, out)}
	if self := f.call("GET", "/", "", 200).line; self != f.line {
		t.Errorf("GET / says %+v, want %+v", self, f.line)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the process ended with %v", err)
	}
}
