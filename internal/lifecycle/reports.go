package lifecycle

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/review"
)

// ReportGrace is for how long a block that a gateway's report brought, and that a crash left without
// its signal, waits for the gateway to say it again. Then it ends the passport by itself.
const ReportGrace = time.Minute

// maxObservers is how many gateways a passport remembers.
const maxObservers = 64

// Report is a signal as a gateway reports it.
type Report struct {
	// Gateway that reports.
	Gateway string
	// Sequence numbers what one gateway reports on one passport, in order, from 1. A repeat has the same.
	Sequence int64
	// Type of the signal.
	Type string
	// Service that it is about; empty where it is about none.
	Service v1alpha1.ServiceName
	// Message says what was seen.
	Message string
	// First and Last are when it was seen, by the API server's clock.
	First, Last time.Time
	// Count is how often it was seen, 1 at least.
	Count int32
}

// TakenIn says whether a report is in a status already.
func TakenIn(status *v1alpha1.PassportStatus, gateway string, sequence int64) bool {
	for _, observer := range status.Observers {
		if observer.Gateway == gateway {
			return sequence <= observer.Sequence
		}
	}
	return false
}

// sighting is what a report says, as it holds for the passport.
type sighting struct {
	review.Finding
	last  time.Time
	count int32
}

// news are the reports that are not taken in yet, each once, in the order of what they saw.
func (s Situation) news() []Report {
	var fresh []Report
	for _, report := range s.Reports {
		if !TakenIn(&s.Passport.Status, report.Gateway, report.Sequence) {
			fresh = append(fresh, report)
		}
	}
	order := func(a, b Report) int {
		return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.Gateway, b.Gateway), cmp.Compare(a.Sequence, b.Sequence))
	}
	slices.SortFunc(fresh, order)
	return slices.CompactFunc(fresh, func(a, b Report) bool { return order(a, b) == 0 })
}

// sightings are what new reports say, under the agent's standing exceptions. What gateways do not raise,
// and what a passport has once and has already, is left out.
func (s Situation) sightings(reports []Report) []sighting {
	var seen []sighting
	issued := s.Passport.Status.Issued
	for _, report := range reports {
		finding, known := review.Reported(report.Type, report.Service, report.Message, issued.Mode, s.within(report.First))
		if !known || review.Once(report.Type) && (signal(&s.Passport.Status, report.Type) != nil || has(seen, report.Type)) {
			continue
		}
		seen = append(seen, sighting{Finding: s.accepted(finding), last: s.within(report.Last), count: max(report.Count, 1)})
	}
	return seen
}

func has(seen []sighting, kind string) bool {
	return slices.ContainsFunc(seen, func(one sighting) bool { return one.Type == kind })
}

// within is a time that a gateway tells, brought between the issue and now.
func (s Situation) within(at time.Time) time.Time {
	if at.After(s.Now) {
		at = s.Now
	}
	return sinceIssue(s.Passport, at)
}

// revokedByReport is the earliest end that reports bring, nil where they bring none.
func (s Situation) revokedByReport(seen []sighting) *ending {
	var end *ending
	for _, one := range seen {
		if one.Revokes {
			end = earlierEnd(end, revokedBySignal(s.Passport, one.Finding))
		}
	}
	return end
}

// blockedByReport is the end by a block that a report made before a crash, nil where there is none.
func (s Situation) blockedByReport(seen []sighting) *ending {
	var end *ending
	for _, one := range seen {
		end = earlierEnd(end, ownBlock(s, one.Type))
	}
	return end
}

// takeIn raises what reports say, and notes how far each gateway's are in.
func (o *Outcome) takeIn(s Situation, reports []Report, seen []sighting) {
	for _, one := range seen {
		o.raise(s, one)
	}
	for _, report := range reports {
		o.observe(report.Gateway, report.Sequence)
	}
}

// observe notes a gateway's sequence number, in the order of names. Where there is no room, the gateway
// that was silent for longest goes: sequence numbers rise with time.
func (o *Outcome) observe(gateway string, sequence int64) {
	observers := &o.Status.Observers
	at, known := slices.BinarySearchFunc(*observers, gateway, func(one v1alpha1.ObserverSequence, name string) int {
		return cmp.Compare(one.Gateway, name)
	})
	if known {
		(*observers)[at].Sequence = max((*observers)[at].Sequence, sequence)
		return
	}
	*observers = slices.Insert(*observers, at, v1alpha1.ObserverSequence{Gateway: gateway, Sequence: sequence})
	if len(*observers) <= maxObservers {
		return
	}
	oldest := slices.MinFunc(*observers, func(a, b v1alpha1.ObserverSequence) int { return cmp.Compare(a.Sequence, b.Sequence) })
	*observers = slices.DeleteFunc(*observers, func(one v1alpha1.ObserverSequence) bool { return one.Gateway == oldest.Gateway })
}

// raise writes a sighting into the signals, tells of it, and blocks the agent where its accountability
// says so.
func (o *Outcome) raise(s Situation, seen sighting) {
	first, last := metav1.NewTime(seen.At.Truncate(time.Second)), metav1.NewTime(seen.last.Truncate(time.Second))
	i := slices.IndexFunc(o.Status.Signals, func(signal v1alpha1.Signal) bool { return signal.Type == seen.Type })
	if i < 0 {
		o.Status.Signals = append(o.Status.Signals, v1alpha1.Signal{Type: seen.Type, FirstTime: first})
		i = len(o.Status.Signals) - 1
	}
	signal := &o.Status.Signals[i]
	signal.Severity = review.Worse(seen.Severity, signal.Severity)
	signal.Count = more(signal.Count, seen.count)
	if first.Before(&signal.FirstTime) {
		signal.FirstTime = first
	}
	if !last.Before(&signal.LastTime) {
		signal.Message, signal.LastTime = seen.Message, last
	}
	o.tell(News{Kind: NewsSignal, Reason: seen.Type, Message: fmt.Sprintf("%s: %s", seen.Severity, seen.Message)})
	if agent := s.agent(); agent != nil && review.Blocks(seen.Severity, agent.Spec.Accountability) {
		o.Blocks = append(o.Blocks, blockFor(s.Passport, seen.Type, seen.Message))
	}
}

// more adds counts, up to as many as there is room for.
func more(a, b int32) int32 {
	const most = 1<<31 - 1
	if a > most-b {
		return most
	}
	return a + b
}

// watchAhead has the passport looked at when a block that a report brought has waited for long enough.
func (o *Outcome) watchAhead(s Situation) {
	for _, block := range Blocking(s.Blocks, s.Passport.Spec.AgentRef.Name) {
		patient := block.CreationTimestamp.Add(ReportGrace)
		if !isAhead(&o.Status, s.Passport, &block) || !patient.After(s.Now) {
			continue
		}
		if o.Wake.IsZero() || patient.Before(o.Wake) {
			o.Wake = patient
		}
	}
}
