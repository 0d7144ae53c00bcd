package index_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/audittest"
	"agentpassport.dev/operator/internal/audit/index"
)

var size = flag.Int("records", 100_000, "how many records the benchmarks of the index have, five a mission")

// full is a log of that many records with its index, made once for all benchmarks.
type full struct {
	tree *audittest.Laid
	x    *index.Index
	// built is how long the index took to be made from the log.
	built time.Duration
	path  string
}

var shared = struct {
	sync.Mutex
	*full
}{}

func big(b *testing.B) *full {
	b.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.full != nil {
		return shared.full
	}
	folder, err := os.MkdirTemp("", "audit-index-bench-")
	if err != nil {
		b.Fatal(err)
	}
	cleanUp = append(cleanUp, func() { _ = os.RemoveAll(folder) })
	keeper := &keep{TB: b}
	f := &full{tree: audittest.Lay(b, filepath.Join(folder, "log"), *size/5), path: filepath.Join(folder, "index.db")}
	began := time.Now()
	f.x, _ = running(keeper, f.path, f.tree)
	wait(b, f.x, f.tree.Head().Size)
	f.built = time.Since(began)
	shared.full = f
	return f
}

// keep leaves things open until the last benchmark has ended.
type keep struct{ testing.TB }

func (k *keep) Cleanup(f func()) { cleanUp = append(cleanUp, f) }

var cleanUp []func()

func TestMain(m *testing.M) {
	code := m.Run()
	for _, f := range slices.Backward(cleanUp) {
		f()
	}
	os.Exit(code)
}

// BenchmarkQuery asks for one passport, as an auditor does, and for what is rare in a namespace.
func BenchmarkQuery(b *testing.B) {
	f := big(b)
	end := f.tree.Head().Size
	missions := int(end / 5)
	for name, query := range map[string]func(n int) (index.Query, int){
		"jti": func(n int) (index.Query, int) {
			return index.Query{JTI: audittest.JTI(n * 7919 % missions), End: end}, 5
		},
		"jti+namespace+outcome": func(n int) (index.Query, int) {
			return index.Query{JTI: audittest.JTI(n * 7919 % missions), Namespace: "support", Outcome: audit.Success, End: end}, -1
		},
		"minute": func(n int) (index.Query, int) {
			from := time.Date(2026, 8, 1, 12, 0, n*7919%missions, 0, time.UTC)
			return index.Query{From: from, To: from.Add(time.Minute), End: end}, -1
		},
	} {
		b.Run(name, func(b *testing.B) {
			var waits []time.Duration
			for n := 0; b.Loop(); n++ {
				q, want := query(n)
				began := time.Now()
				got := rows(b, f.x, q)
				waits = append(waits, time.Since(began))
				if want >= 0 && len(got) != want {
					b.Fatalf("%d rows, not %d", len(got), want)
				}
			}
			slices.Sort(waits)
			b.ReportMetric(float64(waits[len(waits)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(waits[len(waits)-1].Microseconds())/1000, "max-ms")
		})
	}
}

// BenchmarkRows reads everything, and a half by one field, and says what memory that takes.
func BenchmarkRows(b *testing.B) {
	f := big(b)
	end := f.tree.Head().Size
	for name, q := range map[string]index.Query{
		"all": {End: end}, "namespace": {Namespace: "support", End: end},
	} {
		b.Run(name, func(b *testing.B) {
			var n uint64
			peak := heap()
			for b.Loop() {
				for _, err := range f.x.Rows(context.Background(), q) {
					if err != nil {
						b.Fatal(err)
					}
					n++
					if n%50_000 == 0 {
						peak = max(peak, heap())
					}
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(peak)/(1<<20), "heap-MiB")
		})
	}
}

func heap() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// BenchmarkBuild says how long the index takes to be made from the log, to be opened, and its size.
func BenchmarkBuild(b *testing.B) {
	f := big(b)
	stat, err := os.Stat(f.path)
	if err != nil {
		b.Fatal(err)
	}
	copied := filepath.Join(b.TempDir(), "index.db")
	raw, err := os.ReadFile(f.path)
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(copied, raw, 0o600); err != nil {
		b.Fatal(err)
	}
	var opening time.Duration
	for b.Loop() {
		began := time.Now()
		x, err := index.Open(context.Background(), copied, f.tree, options(b))
		opening = time.Since(began)
		if err != nil || x.Size() != f.tree.Head().Size {
			b.Fatal(err, fmt.Sprint(x.Size(), " entries were kept"))
		}
		if err := x.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(f.built.Seconds(), "build-s")
	b.ReportMetric(opening.Seconds(), "open-s")
	b.ReportMetric(float64(stat.Size())/float64(f.tree.Head().Size), "bytes/record")
}
