package fleetload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/walink/walink"
	"github.com/walink/walink/fleet"
	"github.com/walink/walink/store"
)

// opening is how many sessions connect at once, for both clients.
const opening = 32

// Sample is what a process with all its sessions costs.
type Sample struct {
	Resume     time.Duration // from the first connection to the last login
	Heap       float64       // bytes of the heap for each session, after a collection
	Goroutines float64       // for each session
	RSS        float64       // bytes of the process; 0 where /proc does not say
	Idle       float64       // seconds of CPU for each second in which nothing happens; 0 where /proc does not say
}

// fleet logs the sessions of st in with a fleet.
func (j Job) fleet(ctx context.Context, st store.Store) (Sample, error) {
	return j.measure(func(linked func()) error {
		f, err := fleet.New(st, fleet.Settings{
			Defaults: walink.Settings{HTTPClient: j.Remote.Client()}, Opening: opening,
			OnUpdate: func(u fleet.Update) {
				if u.Event != nil && u.Event.Kind() == walink.KindLinked {
					linked()
				}
			},
		})
		if err != nil {
			return err
		}
		go func() {
			if err := f.Run(ctx); err != nil {
				fmt.Fprintln(os.Stderr, "run:", err)
			}
		}()
		return nil
	})
}

// plain logs devices in with plain whatsmeow clients, as its documentation says.
func (j Job) plain(ctx context.Context, devices func(context.Context) ([]*wastore.Device, error)) (Sample, error) {
	var clients []*whatsmeow.Client
	defer runtime.KeepAlive(&clients)
	return j.measure(func(linked func()) error {
		list, err := devices(ctx)
		if err != nil {
			return err
		}
		to := j.Remote.Client()
		turns := make(chan struct{}, opening)
		for _, device := range list {
			client := whatsmeow.NewClient(device, nil)
			client.SetPreLoginHTTPClient(to)
			client.SetWebsocketHTTPClient(to)
			opened := sync.OnceFunc(func() {
				<-turns
				linked()
			})
			client.AddEventHandler(func(event any) {
				if _, ok := event.(*events.Connected); ok {
					opened()
				}
			})
			clients = append(clients, client)
			turns <- struct{}{}
			go func() {
				if err := client.ConnectContext(ctx); err != nil {
					fmt.Fprintln(os.Stderr, "connect:", err)
				}
			}()
		}
		return nil
	})
}

// patience is how long n sessions may take to log in.
const patience = 20 * time.Minute

// measure measures what start begins. start has linked called once for each session.
func (j Job) measure(start func(linked func()) error) (s Sample, err error) {
	n := j.N
	before, goroutines := heap(), runtime.NumGoroutine()
	all := make(chan struct{}, n)
	began := time.Now()
	if err := start(func() { all <- struct{}{} }); err != nil {
		return s, err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for i := range n {
		select {
		case <-all:
		case <-timer.C:
			return s, fmt.Errorf("%d of %d sessions have logged in after %v", i, n, patience)
		}
	}
	s.Resume = time.Since(began)
	<-time.After(5 * time.Second) // what follows a login
	count := float64(n)
	pprof.StopCPUProfile()
	s.Heap = float64(heap()-before) / count
	s.Goroutines = float64(runtime.NumGoroutine()-goroutines) / count
	s.RSS = rss()
	if err := errors.Join(j.profile("heap", pprof.WriteHeapProfile), j.profile("idle", pprof.StartCPUProfile)); err != nil {
		return s, err
	}
	used := cpu()
	_, _ = fmt.Fprintln(os.Stdout, idleLine)
	<-time.After(j.Idle)
	s.Idle = (cpu() - used) / j.Idle.Seconds()
	pprof.StopCPUProfile()
	return s, nil
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc) //nolint:gosec // less than 2^63
}

// rss returns the memory of the process in bytes.
func rss() float64 { return field("/proc/self/statm", 1) * float64(os.Getpagesize()) }

// cpu returns the CPU time of the process in seconds: user and system, in hundredths.
func cpu() float64 { return (field("/proc/self/stat", 13) + field("/proc/self/stat", 14)) / 100 }

// field returns a number of a file in /proc, or 0.
func field(path string, i int) float64 {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	if end := bytes.LastIndexByte(data, ')'); end >= 0 { // the name of the program may have spaces
		data, i = data[end+1:], i-2
	}
	fields := bytes.Fields(data)
	if i >= len(fields) {
		return 0
	}
	value, err := strconv.ParseFloat(string(fields[i]), 64)
	if err != nil {
		return 0
	}
	return value
}
