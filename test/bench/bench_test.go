// Package bench measures how fast the operator issues passports, against the ceiling of the API server
// that it runs on: a plain client that makes the same three writes for each passport. Both are measured
// in turns in one run, on API servers with the same CRDs and policies. It measures what the audit log costs
// too: issuing with it and without, and appends to it. Of the gateway it measures issues over HTTP, and how soon a
// revocation counts.
//
//	make bench
//	go test -run='^$' -bench=Issue -benchtime=1x ./test/bench -args -passports=1000 -rounds=3 -workers=64
//	go test -run='^$' -bench=Trail -benchtime=1x ./test/bench -args -passports=300 -rounds=7
//	go test -run='^$' -bench=Append -benchtime=1x ./test/bench -args -append-for=10s
//	go test -run='^$' -bench=GatewayIssue -benchtime=1x ./test/bench -args -passports=300 -rounds=3
//	go test -run='^$' -bench=Revoke -benchtime=1x ./test/bench -args -revocations=200
//	go test -run='^$' -bench=Checks -benchtime=1x ./test/bench -args -checks=1000 -rounds=3
package bench

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
)

var (
	passports = flag.Int("passports", 1000, "how many passports a round issues")
	rounds    = flag.Int("rounds", 3, "how often each measurement is made; the median ratio counts")
	workers   = flag.Int("workers", 64, "the manager's --passport-workers")
	calmRate  = flag.Int("calm-rate", 20, "passports a second in the round that measures latency without a queue")
)

// atOnce is how many passports the clients work on at once.
var atOnce = []int{32, 64, 128}

// BenchmarkIssue reports the operator's issue rate, the ceiling, and their ratio.
func BenchmarkIssue(b *testing.B) {
	logf.SetLogger(logr.Discard())
	ctx, cancel := context.WithTimeout(b.Context(), 25*time.Minute)
	defer cancel()
	operated, plain := newOperated(ctx, b), newPlain(ctx, b)
	operated.round(ctx, b, 100, spread(100, 16)) // connections, caches, and the API server's own warm-up
	plain.template = operated.example(ctx, b)
	plain.round(ctx, b, 100, spread(100, 16))

	for b.Loop() {
		var ceiling, operator measurement
		var ratios []float64
		for round := range *rounds {
			var ceilingNow, operatorNow measurement
			for _, n := range atOnce {
				here := plain.round(ctx, b, *passports, spread(*passports, n))
				say("round %d, %3d at once: plain client  %s", round+1, n, here)
				ceilingNow = ceilingNow.better(here)
				here = operated.round(ctx, b, *passports, spread(*passports, n))
				say("round %d, %3d at once: operator      %s", round+1, n, here)
				operatorNow = operatorNow.better(here)
			}
			ratios = append(ratios, operatorNow.rate/ceilingNow.rate)
			ceiling, operator = ceiling.better(ceilingNow), operator.better(operatorNow)
		}
		requests := operated.requests(ctx, b, func() { operated.round(ctx, b, *passports, spread(*passports, 64)) })
		calm := operated.round(ctx, b, 10**calmRate, paced(10**calmRate, *calmRate))
		// Of the rounds' own: each compares what was measured within the same minute.
		slices.Sort(ratios)
		ratio := ratios[len(ratios)/2]

		say("\nceiling   %s", ceiling)
		say("operator  %s  (--passport-workers=%d)", operator, *workers)
		say("ratio     %.2f (rounds: %.2f); %.2f by CPU time", ratio, ratios, ceiling.cost.total()/operator.cost.total())
		say("calm      %s", calm)
		say("\nms of CPU for each passport:\n  ceiling   %s\n  operator  %s", ceiling.cost, operator.cost)
		say("\nrequests for each passport, by the API server's metrics:\n%s", requests.table(*passports))
		b.ReportMetric(ceiling.rate, "ceiling/s")
		b.ReportMetric(operator.rate, "issued/s")
		b.ReportMetric(ratio, "ratio")
		b.ReportMetric(float64(calm.p50.Milliseconds()), "p50-ms")
		b.ReportMetric(float64(calm.p99.Milliseconds()), "p99-ms")
		if writes := requests.each(*passports); writes["POST secrets"] > 1.001 || writes["PUT passports/status"] > 1.001 {
			b.Errorf("more than two writes of the operator's for a passport: %v", writes)
		}
	}
}

// measurement is what one round found.
type measurement struct {
	// rate is passports a second, from the first request until the last passport was Active.
	rate float64
	// p50 and p99 are from a Passport's creation, asked for, until a watch said that it is Active; over HTTP,
	// until the answer was there.
	p50, p99 time.Duration
	// cost of one passport.
	cost cost
}

func (m measurement) better(other measurement) measurement {
	if other.rate > m.rate {
		return other
	}
	return m
}

// String implements fmt.Stringer.
func (m measurement) String() string {
	return fmt.Sprintf("%4.0f passports/s; asked to issued: p50 %4d ms, p99 %4d ms; %4.1f ms of CPU each",
		m.rate, m.p50.Milliseconds(), m.p99.Milliseconds(), m.cost.total()*1000)
}

func say(format string, args ...any) {
	_, _ = fmt.Fprintln(os.Stdout, strings.TrimRight(fmt.Sprintf(format, args...), "\n"))
}
