package faults_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink"
	"github.com/walink/walink/internal/rig"
	"github.com/walink/walink/walinktest"
)

const (
	day       = 24 * time.Hour
	glance    = 45 * time.Second // how often a month is looked at
	mayBeLate = 90 * time.Second // how long a session may be offline before an event says so
)

// A Supervise lives with random faults: those of the server, of the network, of the Store
// and of the program itself. Whatever happens, Supervise says within 90 s that it is offline,
// makes no connection storm, requests few codes while nobody is there, and is linked
// again once the faults are over and somebody is there.
//
// WALINK_MONTHS is a number of months to live through; WALINK_SEED repeats one.
func TestSuperviseLivesWithRandomFaults(t *testing.T) {
	t.Parallel()
	if slow {
		t.Skip("exsync.Event of go.mau.fi/util has a data race when a connection ends during whatsmeow's first requests.")
	}
	lives, length := 3, day
	if text := os.Getenv("WALINK_MONTHS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		lives, length = n, 30*day
	}
	first, isSet := seed(t)
	if isSet {
		lives = 1
	}
	for i := range uint64(lives) {
		t.Run(fmt.Sprint("seed ", first+i), func(t *testing.T) {
			t.Parallel()
			rig.Bubble(t, func(t *testing.T) { newMonth(t, first+i).live(length) })
		})
	}
}

// month is one life of a Supervise.
type month struct {
	*rig.Rig
	t      *testing.T
	random *rand.Rand
	store  *faultyStore
	server *walinktest.Server

	ended bool      // Supervise has ended; the program starts it again after a while
	dark  time.Time // since when the session is offline and the status says that it is linked
	past  []moment  // of the last 15 minutes
	alone moment    // the removal since which nobody has been there; zero if somebody has
	quiet moment    // since when there was no login, no person and no new start of the program
	turns int       // how often WhatsApp has turned the login down since then
	done  []string  // what was done, for the report
}

// moment is what the server has counted at a time.
type moment struct {
	at                         time.Time
	logins, connections, codes int
}

func newMonth(t *testing.T, seed uint64) *month {
	t.Helper()
	m := &month{t: t, random: rand.New(rand.NewPCG(seed, 0))}
	m.store = &faultyStore{fullStore: rig.MemoryStore(t)}
	settings := walink.Settings{Phone: rig.Number}
	if m.chance(2) {
		settings.LinkingMode = []walink.LinkingMode{walink.ModePairing, walink.ModeBoth}[m.random.IntN(2)]
		settings.QRFallback = settings.LinkingMode == walink.ModePairing && m.chance(2)
	}
	m.Rig = rig.New(t, settings, rig.WithStore(m.store))
	m.server = m.Server
	return m
}

// chance is true once in n times.
func (m *month) chance(n int) bool { return m.random.IntN(n) == 0 }

func (m *month) live(length time.Duration) {
	m.Supervise(m.t.Context())
	m.linkAgain()
	for end := time.Now().Add(length); time.Now().Before(end) && !m.t.Failed(); {
		m.watch(glance)
		if m.ended && m.chance(40) {
			m.note("the program starts again")
			m.start()
		}
		if m.chance(60) {
			m.act()
		}
	}
	m.heal()
	m.linkAgain()
	m.CheckUsable()
	if m.t.Failed() {
		for _, line := range m.done {
			m.t.Log(line)
		}
	}
}

func (m *month) start() {
	m.Supervise(m.t.Context())
	m.ended, m.alone, m.quiet, m.turns = false, moment{}, m.now(), 0
}

// watch reads events for a while, and checks what must always hold.
func (m *month) watch(d time.Duration) {
	for end := time.Now().Add(d); ; {
		if m.ended {
			time.Sleep(time.Until(end))
			return
		}
		event, ok := m.NextBefore(end)
		if !ok {
			break
		}
		m.see(event)
	}
	m.check()
}

func (m *month) see(event walink.Event) {
	m.note(fmt.Sprint("  ", event))
	switch e := event.(type) {
	case walink.Failed:
		m.ended = true
	case walink.Linked:
		m.alone = moment{}
	case walink.Retrying:
		if e.Err.Op == "log in" && (e.Err.Reason == walink.ErrServer || e.Err.Reason == walink.ErrForbidden) {
			m.turns++
		}
	case walink.Disconnected:
		if e.Err.Reason == walink.ErrLoggedOut {
			m.alone = m.now()
		}
	default:
	}
}

func (m *month) now() moment {
	stats := m.server.Stats()
	return moment{time.Now(), stats.Logins, stats.Connections, stats.CodeRequests}
}

func (m *month) check() {
	now, status, client := m.now(), m.Linker.Status(), m.Linker.Client()
	online := client != nil && client.IsConnected() && client.IsLoggedIn()
	switch {
	case status.State != walink.StateLinked || online:
		m.dark = time.Time{}
	case m.dark.IsZero():
		m.dark = now.at
	case now.at.Sub(m.dark) > mayBeLate:
		m.t.Errorf("the session has been offline for %v, and the status is %s", now.at.Sub(m.dark), status.State)
	}
	m.past = append(m.past, now)
	for now.at.Sub(m.past[0].at) > 15*time.Minute {
		m.past = m.past[1:]
	}
	if logins := now.logins - m.past[0].logins; logins > 60 {
		m.t.Errorf("%d logins in 15 minutes", logins)
	}
	if made := now.connections - m.past[0].connections; made > 120 {
		m.t.Errorf("%d connections in 15 minutes", made)
	}
	if now.logins != m.quiet.logins {
		m.quiet, m.turns = now, 0
	}
	made, hours := now.connections-m.quiet.connections, now.at.Sub(m.quiet.at).Hours()
	if float64(made) > 120+90*hours { // the network may be back at any time: a try each minute, or a little earlier
		m.t.Errorf("%d connections in %.1f hours without a login and without a person", made, hours)
	}
	if float64(m.turns) > 60+4*hours {
		m.t.Errorf("%d logins that WhatsApp refused in %.1f hours", m.turns, hours)
	}
	if m.alone.at.IsZero() || now.at.Sub(m.alone.at) > day {
		return
	}
	if codes := now.codes - m.alone.codes; codes > 10 {
		m.t.Errorf("%d code requests with nobody there, in %v", codes, now.at.Sub(m.alone.at))
	}
	if made := now.connections - m.alone.connections; made > 80 {
		m.t.Errorf("%d connections with nobody there, in %v", made, now.at.Sub(m.alone.at))
	}
}

// act has something happen.
func (m *month) act() {
	client, devices := m.Linker.Client(), m.Phone.LinkedDevices()
	switch what := m.random.IntN(12); {
	case what < 4:
		stage, action, name := m.trouble()
		if m.chance(2) {
			m.server.Script(stage, action.Always())
			name += " for ever"
		} else {
			m.server.Script(stage, action.Times(1+m.random.IntN(3)))
		}
		m.note(fmt.Sprintf("at %s: %s", stage, name))
	case what < 6:
		m.note("the faults are over")
		m.heal()
	case what == 6:
		m.note("the server restarts")
		m.server.Restart()
	case what == 7 && len(devices) > 0:
		m.note("the phone removes the device")
		m.Phone.Remove(devices[0].JID)
	case what == 8 && client != nil && m.chance(2):
		m.note("the program calls Disconnect")
		synctest.Wait() // a frame that arrives meanwhile would block a goroutine of whatsmeow for ever
		client.Disconnect()
	case what == 8 && client != nil && m.chance(4):
		m.note("the program calls Logout")
		ctx := m.t.Context()
		go func() { _ = client.Logout(ctx) }()
	case what == 9:
		calls := []storeCall{callTake, callRenew, callDevice, callCode, callSave, callIdentity, callKeys, callDelete, callForget}
		call, err := calls[m.random.IntN(len(calls))], errDiskFull
		if m.chance(2) {
			err = nil // it hangs
		}
		m.note(fmt.Sprintf("the store cannot %s: %v", call, err))
		fail(call, err)(m.store)
	case what == 10:
		version := wastore.GetWAVersion()
		version[2] += uint32(m.random.IntN(100_000))
		m.note("the server wants a newer version")
		m.server.RequireVersion(version)
		m.server.SetRevision(version[2] - uint32(m.random.IntN(2)))
	case what == 11:
		m.note("somebody is there")
		m.alone, m.quiet, m.turns = moment{}, m.now(), 0
		m.Linker.Attend()
		status := m.Linker.Status()
		if status.PairingCode != nil {
			m.Take(m.t.Context(), *status.PairingCode)
		} else if status.QRCode != nil {
			m.Take(m.t.Context(), *status.QRCode)
		}
	}
}

// trouble returns an action that a stage takes.
func (m *month) trouble() (walinktest.Stage, walinktest.Action, string) {
	stage := everyStage[m.random.IntN(len(everyStage))]
	actions := []struct {
		name   string
		action walinktest.Action
	}{
		{"drop", walinktest.Drop()},
	}
	add := func(name string, action walinktest.Action) {
		actions = append(actions, struct {
			name   string
			action walinktest.Action
		}{name, action})
	}
	refusals := []int{400, 403, 429, 500, 503}
	failures := []int{400, 401, 402, 403, 405, 406, 409, 413, 414, 429, 500, 501, 503}
	if stage != walinktest.StageUpgrade && stage != walinktest.StageHandshake {
		// whatsmeow holds a mutex until a connection is open. The time of a bubble stands
		// still while somebody waits for a mutex.
		add("silence", walinktest.Silence())
		add("late", walinktest.Delay(3*time.Second))
	}
	switch stage {
	case walinktest.StageVersion, walinktest.StageUpgrade:
		code := refusals[m.random.IntN(len(refusals))]
		add(fmt.Sprint("refuse ", code), walinktest.Refuse(code))
	case walinktest.StageCompanionHello, walinktest.StageAfterLogin, walinktest.StageCompanionFinish:
		code := refusals[m.random.IntN(len(refusals))]
		add(fmt.Sprint("refuse ", code), walinktest.Refuse(code))
		add("stream error", walinktest.StreamError(failures[m.random.IntN(len(failures))], ""))
		add("twice", walinktest.Twice())
	case walinktest.StageLogin, walinktest.StagePairDevice:
		code := failures[m.random.IntN(len(failures))]
		add(fmt.Sprint("failure ", code), walinktest.Failure(code))
		add(fmt.Sprint("stream error ", code), walinktest.StreamError(code, ""))
		add("replaced", walinktest.StreamError(0, "replaced"))
		add("twice", walinktest.Twice())
	case walinktest.StagePairSuccess:
		add("bad HMAC", walinktest.BadHMAC())
		add("bad signature", walinktest.BadSignature())
		add("withdrawn", walinktest.RefreshQR())
	case walinktest.StageHandshake:
		add("expired", walinktest.ExpiredCertificate())
		add("malformed", walinktest.Malformed())
	default:
	}
	chosen := actions[m.random.IntN(len(actions))]
	return stage, chosen.action, chosen.name
}

// heal takes every fault away.
func (m *month) heal() {
	for _, stage := range everyStage {
		m.server.Script(stage)
	}
	m.server.RequireVersion(wastore.WAVersionContainer{})
	m.server.SetRevision(wastore.GetWAVersion()[2])
	m.store.heal()
}

// linkAgain has somebody be there until the session is linked.
func (m *month) linkAgain() {
	m.alone, m.quiet, m.turns = moment{}, m.now(), 0
	for range 30 {
		if m.ended {
			m.start()
		}
		m.Linker.Attend()
		for end := time.Now().Add(10 * time.Minute); time.Now().Before(end) && !m.ended; {
			if client := m.Linker.Client(); client != nil && client.IsLoggedIn() && m.Linker.Status().State == walink.StateLinked {
				return
			}
			event, ok := m.NextBefore(time.Now().Add(10 * time.Second))
			if ok {
				m.see(event)
				m.Take(m.t.Context(), event)
			}
		}
	}
	m.t.Errorf("with somebody there and without faults the session is not linked: %+v", m.Linker.Status())
}

func (m *month) note(text string) {
	m.done = append(m.done, time.Now().Format("02 15:04:05 ")+text)
	if len(m.done) > 300 {
		m.done = m.done[100:]
	}
}
