package service_test

import (
	"bytes"
	"context"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/audittest"
	"agentpassport.dev/operator/internal/audit/index"
	"agentpassport.dev/operator/internal/audit/service"
	"agentpassport.dev/operator/internal/audit/tlog"
	"agentpassport.dev/operator/internal/audit/wire"
)

var size = flag.Int("records", 100_000, "how many records the benchmark of exports has, five a mission")

// readOnly is a log that takes no records.
type readOnly struct{ *audittest.Laid }

func (readOnly) Append(context.Context, ...audit.Record) ([]audit.Entry, error) {
	return nil, tlog.ErrClosed
}
func (readOnly) Epoch() uint64    { return 1 }
func (readOnly) Heads() tlog.Keys { return nil }

// BenchmarkExport reads everything over HTTP, in each format, and says what memory that takes in the one
// process that writes and reads.
func BenchmarkExport(b *testing.B) {
	tree := readOnly{audittest.Lay(b, filepath.Join(b.TempDir(), "log"), *size/5)}
	x, err := index.Open(b.Context(), filepath.Join(b.TempDir(), "index.db"), tree,
		index.Options{Origin: audittest.Origin, Epoch: 1, Clock: clock.RealClock{}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = x.Close() }()
	server := httptest.NewServer(service.New(service.Options{
		Tree: tree, Index: x, Access: everybody, Clock: clock.RealClock{}, Log: logr.Discard(), Failed: func(error) {},
		Metrics: service.NewMetrics(prometheus.NewRegistry(), func() float64 { return 0 }, func() float64 { return 0 }),
	}))
	defer server.Close()
	for _, format := range []string{"json", "ndjson", "csv"} {
		b.Run(format, func(b *testing.B) {
			var rows, length int64
			var peak uint64
			chunk := make([]byte, 1<<20)
			for b.Loop() {
				request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, server.URL+wire.RecordsPath+"?format="+format, http.NoBody)
				if err != nil {
					b.Fatal(err)
				}
				request.Header.Set("Test-User", "auditor")
				response, err := http.DefaultClient.Do(request)
				if err != nil {
					b.Fatal(err)
				}
				before := rows
				for err == nil {
					var n int
					if n, err = io.ReadFull(response.Body, chunk); n == len(chunk) && length>>26 != (length+int64(n))>>26 {
						peak = max(peak, heap())
					}
					length += int64(n)
					rows += int64(bytes.Count(chunk[:n], []byte{'\n'}))
				}
				_ = response.Body.Close()
				// The header of CSV, and the beginning of JSON, are lines of their own; an aborted stream is an error.
				if got := rows - before; got < int64(*size) || got > int64(*size)+1 {
					b.Fatalf("%d rows: %v", got, err)
				}
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(peak)/(1<<20), "heap-MiB")
		})
	}
}

func heap() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
