package bench

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/internal/audit/audittest"
	"agentpassport.dev/operator/internal/audit/wire"
)

// BenchmarkTrail reports what the audit log costs those who ask for passports: the operator's issue rate
// with the real log against that with a log that costs nothing, and how long one passport takes where
// nobody else asks. Both are measured in turns, on one API server.
func BenchmarkTrail(b *testing.B) {
	logf.SetLogger(logr.Discard())
	ctx, cancel := context.WithTimeout(b.Context(), 25*time.Minute)
	defer cancel()
	o := newOperated(ctx, b)
	logs := []*side{{name: "with the log", flags: o.trail.ManagerFlags()}, {name: "without", flags: freeLog(b)}}

	for b.Loop() {
		var ratios []float64
		for round := range *rounds {
			// Whoever comes first finds the smaller cluster: they take turns in that too.
			order := slices.Clone(logs)
			if round%2 == 1 {
				slices.Reverse(order)
			}
			for _, here := range order {
				o.restart(ctx, b, here.flags)
				var best measurement
				for _, n := range atOnce {
					now := o.round(ctx, b, *passports, spread(*passports, n))
					say("round %d, %3d at once: %-12s  %s", round+1, n, here.name, now)
					best = best.better(now)
				}
				alone := o.alone(ctx, b, *passports/3)
				say("round %d, one at a time: %-12s %s", round+1, here.name, alone)
				here.best, here.alone = append(here.best, best), append(here.alone, alone)
			}
			ratios = append(ratios, logs[0].best[round].rate/logs[1].best[round].rate)
		}
		with, without := logs[0], logs[1]
		ratio := median(ratios)
		byCPU := without.cost() / with.cost()
		say("\nratio with the log to without: %.3f (rounds: %.3f); %.3f by CPU time", ratio, ratios, byCPU)
		for _, here := range logs {
			say("%-12s  %4.0f passports/s; one at a time p50 %.1f ms, p99 %.1f ms", here.name,
				here.rate(), here.aloneAt(p50), here.aloneAt(p99))
			say("  ms of CPU for each: %s\n  one at a time:      %s", here.best[len(here.best)-1].cost, here.alone[len(here.alone)-1].cost)
		}
		b.ReportMetric(with.rate(), "with/s")
		b.ReportMetric(without.rate(), "without/s")
		b.ReportMetric(ratio, "ratio")
		b.ReportMetric(byCPU, "cpu-ratio")
		b.ReportMetric(with.aloneAt(p50), "with-p50-ms")
		b.ReportMetric(with.aloneAt(p99), "with-p99-ms")
		b.ReportMetric(without.aloneAt(p50), "without-p50-ms")
		b.ReportMetric(without.aloneAt(p99), "without-p99-ms")
	}
}

// side is one of the two logs, and what was measured with it, by round.
type side struct {
	name        string
	flags       []string
	best, alone []measurement
}

func (s *side) rate() float64 {
	return median(each(s.best, func(m measurement) float64 { return m.rate }))
}

// cost is the CPU time of a passport in seconds, of all programs.
func (s *side) cost() float64 {
	return median(each(s.best, func(m measurement) float64 { return m.cost.total() }))
}

// aloneAt is in milliseconds.
func (s *side) aloneAt(quantile func(measurement) time.Duration) float64 {
	return median(each(s.alone, func(m measurement) float64 { return float64(quantile(m).Microseconds()) / 1000 }))
}

func p50(m measurement) time.Duration { return m.p50 }
func p99(m measurement) time.Duration { return m.p99 }

func each(of []measurement, number func(measurement) float64) []float64 {
	var numbers []float64
	for _, m := range of {
		numbers = append(numbers, number(m))
	}
	return numbers
}

func median(of []float64) float64 {
	return slices.Sorted(slices.Values(of))[len(of)/2]
}

// freeLog is the baseline "without the log", and nothing else: it speaks the protocol, so that the manager
// is the same, and answers at once with the records as they came. It links, keeps and checks nothing.
func freeLog(b *testing.B) (managerFlags []string) {
	b.Helper()
	authority := audittest.NewAuthority(b)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Records []json.RawMessage `json:"records"`
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || r.URL.Path != wire.RecordsPath {
			http.Error(w, "not an append", http.StatusBadRequest)
			return
		}
		type entry struct {
			Epoch  uint64          `json:"epoch"`
			Index  uint64          `json:"index"`
			Record json.RawMessage `json:"record"`
		}
		var said struct {
			Entries []entry `json:"entries"`
		}
		for _, record := range asked.Records {
			said.Entries = append(said.Entries, entry{Epoch: 1, Record: record})
		}
		_ = json.NewEncoder(w).Encode(said)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{authority.Pair(b, "free-log")}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	b.Cleanup(server.Close)
	file := filepath.Join(b.TempDir(), "ca.crt")
	check(b, os.WriteFile(file, authority.PEM, 0o600))
	return []string{"--audit-log-url=" + server.URL, "--audit-log-ca-file=" + file}
}
