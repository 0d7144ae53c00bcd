package trail

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/gateway/decision"
)

const (
	// maxSources is how many sources are told apart in a minute; further ones are one together.
	maxSources = 256
	// otherSources stands for these.
	otherSources = "other sources"
	// forgery is the type of the signal.
	forgery = "token_forgery"
)

// forged is what one source showed in one minute.
type forged struct {
	source string
	minute time.Time
	count  int64
}

// Forgeries sums forged tokens by source and minute: whoever can reach a gateway must not fill the log.
// Its methods may be called by any goroutine.
type Forgeries struct {
	mu   sync.Mutex
	sums []forged
}

// Note counts a token that a source showed at a time.
func (f *Forgeries) Note(source string, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	minute := at.UTC().Truncate(time.Minute)
	source = text(source, maxSource)
	distinct := 0
	for i := range f.sums {
		if !f.sums[i].minute.Equal(minute) {
			continue
		}
		distinct++
		if f.sums[i].source == source || f.sums[i].source == otherSources {
			f.sums[i].count++
			return
		}
		if distinct == maxSources-1 {
			source = otherSources
		}
	}
	f.sums = append(f.sums, forged{source: source, minute: minute, count: 1})
}

// take gives the sums of the minutes that are over by a time, in their order, and forgets them.
func (f *Forgeries) take(now time.Time) []forged {
	f.mu.Lock()
	defer f.mu.Unlock()
	over := func(sum forged) bool { return !sum.minute.Add(time.Minute).After(now) }
	var taken []forged
	for _, sum := range f.sums {
		if over(sum) {
			taken = append(taken, sum)
		}
	}
	f.sums = slices.DeleteFunc(f.sums, over)
	slices.SortStableFunc(taken, func(a, b forged) int {
		if byTime := a.minute.Compare(b.minute); byTime != 0 {
			return byTime
		}
		return strings.Compare(a.source, b.source)
	})
	return taken
}

// forgeryRecord is the record of a sum, the one of the gateway with this number. It is of no agent and of no
// passport: nobody can be held to account for a token that nobody signed.
func (g *Gateway) forgeryRecord(sum forged, sequence uint64) audit.Record {
	step := strings.Join([]string{
		string(audit.SignalRaise), forgery, sum.source, sum.minute.Format("2006-01-02T15:04Z"), g.numbered(sequence),
	}, "/")
	return audit.Record{
		ID: audit.ID(g.uid(), step), Time: sum.minute, Layer: audit.Proxy, Action: audit.SignalRaise, Step: step,
		Outcome: audit.Blocked, ErrorCode: string(decision.CodeTokenForged), Namespace: g.Namespace,
		Object: audit.Object{Kind: "Gateway", Name: g.Name, UID: g.uid()},
		Actor:  audit.Actor{Username: g.Username},
		Facts: &audit.Facts{
			Flags: []audit.Flag{{
				Type: forgery, Severity: string(v1alpha1.SeverityCritical),
				Message: fmt.Sprintf("%d tokens from %s named this issuer and were not signed by it", sum.count, sum.source),
			}},
			Actions: sum.count,
			Reason:  "source " + sum.source,
		},
	}
}
