package bench

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"agentpassport.dev/operator/internal/audit/audittest"
	"agentpassport.dev/operator/internal/audit/client"
	"agentpassport.dev/operator/test/auditlog"
)

var appendFor = flag.Duration("append-for", 10*time.Second, "how long each number of writers appends to the audit log")

// BenchmarkAppend appends records to the audit log's own binary, over HTTPS and with the manager's client and
// token, one record a request, and says how long a writer waits until its record is durable.
func BenchmarkAppend(b *testing.B) {
	w := newWorld(b.Context(), b)
	log, err := os.Create(filepath.Join(b.TempDir(), "auditlog.log"))
	check(b, err)
	b.Cleanup(func() { check(b, log.Close()) })
	binary, err := auditlog.Build(b.Context(), root, b.TempDir())
	check(b, err)
	trail, err := auditlog.Start(b.Context(), binary, b.TempDir(), w.server, log)
	check(b, err)
	b.Cleanup(func() { trail.Kill() })
	to, err := client.New(trail.ClientOptions())
	check(b, err)
	mission := 0
	for _, writers := range []int{1, 32, 256} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			for b.Loop() {
				waits := make([][]time.Duration, writers)
				before, began := spent(), time.Now()
				var all sync.WaitGroup
				for writer := range writers {
					first := mission + writer*1_000_000
					all.Go(func() {
						for n := 0; time.Since(began) < *appendFor; n++ {
							asked := time.Now()
							if _, err := to.Append(b.Context(), audittest.Record(first+n/5, n%5)); err != nil {
								b.Error(err)
								return
							}
							waits[writer] = append(waits[writer], time.Since(asked))
						}
					})
				}
				all.Wait()
				took := time.Since(began)
				mission += writers * 1_000_000
				if b.Failed() {
					b.FailNow()
				}
				sorted := slices.Sorted(slices.Values(slices.Concat(waits...)))
				say("%3d writers: ms of CPU for each record: %s", writers, spent().each(len(sorted), before))
				b.ReportMetric(float64(len(sorted))/took.Seconds(), "records/s")
				b.ReportMetric(float64(sorted[len(sorted)/2].Microseconds())/1000, "p50-ms")
				b.ReportMetric(float64(sorted[len(sorted)*99/100].Microseconds())/1000, "p99-ms")
			}
		})
	}
}
