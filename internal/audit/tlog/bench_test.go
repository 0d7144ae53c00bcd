package tlog_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"agentpassport.dev/operator/internal/audit/tlog"
)

// BenchmarkAppend appends a record at a time from some writers at once, and says how long one waits.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 32, 256} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			signer, key := keys(b)
			to := open(b, b.TempDir(), signer, key)
			each := (b.N + writers - 1) / writers
			waits := make([][]time.Duration, writers)
			b.ResetTimer()
			var all sync.WaitGroup
			for writer := range writers {
				all.Go(func() {
					for n := range each {
						began := time.Now()
						if _, err := to.Append(context.Background(), record(fmt.Sprint(writer, "-", n/5), n%5)); err != nil {
							b.Error(err)
							return
						}
						waits[writer] = append(waits[writer], time.Since(began))
					}
				})
			}
			all.Wait()
			b.StopTimer()
			sorted := slices.Sorted(slices.Values(slices.Concat(waits...)))
			b.ReportMetric(float64(len(sorted))/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(sorted[len(sorted)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(sorted[len(sorted)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

// BenchmarkVerifyFolder verifies ten thousand records.
func BenchmarkVerifyFolder(b *testing.B) {
	path := b.TempDir()
	signer, key := keys(b)
	fill(b, open(b, path, signer, key), 2000)
	b.ResetTimer()
	for b.Loop() {
		if head, err := tlog.VerifyFolder(context.Background(), path, key); err != nil || head.Size != 10000 {
			b.Fatal(head.Size, err)
		}
	}
	b.ReportMetric(10000*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
