package bench_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/walink/walink/internal/fleetload"
)

// fleetDatabases are those that need no server. bench/stores/fleetload is a program for
// PostgreSQL, too, and for more sessions.
var fleetDatabases = map[string]fleetload.Database{"sqlite": fleetload.SQLite(), "memory": fleetload.Memory()}

// BenchmarkFleet resumes 200 stored sessions, with walink's fleet and with plain whatsmeow
// clients. Each client has its own process.
func BenchmarkFleet(b *testing.B) {
	const n = 200
	for _, kind := range []string{"sqlite", "memory"} {
		b.Run(fmt.Sprintf("db=%s/n=%d", kind, n), func(b *testing.B) {
			job := fleetload.Job{Kind: kind, Place: filepath.Join(b.TempDir(), "fleet.db"), N: n, Idle: time.Second}
			measure := func(client fleetload.Client) fleetload.Sample {
				job.Client = client
				s, err := job.Measure(self, nil)
				if err != nil {
					b.Fatal(err)
				}
				return s
			}
			if fleetDatabases[kind].Plain != nil {
				measure(fleetload.Nobody) // prepares the database
			}
			for b.Loop() {
				plain, walink := measure(fleetload.Whatsmeow), measure(fleetload.Walink)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(walink.Resume.Seconds(), "walink-s")
				b.ReportMetric(plain.Resume.Seconds(), "whatsmeow-s")
				b.ReportMetric(walink.Resume.Seconds()/plain.Resume.Seconds(), "ratio-s")
				b.ReportMetric(walink.Heap/plain.Heap, "ratio-heap")
				b.ReportMetric(walink.Goroutines-plain.Goroutines, "more-goroutines/session")
			}
		})
	}
}

// fleetJob is the process that BenchmarkFleet starts.
func fleetJob(spec string) error {
	var job fleetload.Job
	if err := json.Unmarshal([]byte(spec), &job); err != nil {
		return err
	}
	return job.Run(context.Background(), fleetDatabases[job.Kind])
}
