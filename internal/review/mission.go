package review

import (
	"slices"
	"time"

	"agentpassport.dev/operator/api/v1alpha1"
)

// Mission is what is known of a mission when it is judged.
type Mission struct {
	// Mode of accountability that the passport was issued under.
	Mode v1alpha1.AccountabilityMode
	// Intent that the mission declared.
	Intent *v1alpha1.Intent
	// Granted are the services that the passport carried.
	Granted []v1alpha1.ServiceName
	// Phase that the passport ended in.
	Phase v1alpha1.Phase
	// Issue is when the passport was issued.
	Issue time.Time
	// End is when the passport ended.
	End time.Time
	// Interval between checkpoints.
	Interval time.Duration
	// LongestGap is the longest time without a sign of life.
	LongestGap time.Duration
	// Checkpoints that were accepted.
	Checkpoints int32
	// CheckpointActions is the sum of what the checkpoints reported.
	CheckpointActions int64
	// CheckpointServices are the services that the checkpoints reported.
	CheckpointServices []v1alpha1.ServiceName
	// Signals that were raised.
	Signals []v1alpha1.Signal
	// Report is what the Checkout says.
	Report Report
	// Baseline of the agent; nil before its first mission.
	Baseline *v1alpha1.Baseline
	// Observed is what the gateways saw; nil where none was up.
	Observed *v1alpha1.ObservedCalls
}

// Report is what a Checkout says of a mission. The operator's own Checkout says nothing.
type Report struct {
	// Source is who checked out.
	Source v1alpha1.CheckoutSource
	// At is when the Checkout was made, by the API server's clock.
	At time.Time
	// Services that the whole mission used.
	Services []v1alpha1.ServiceName
	// Actions that the whole mission took; nil where the report does not say.
	Actions *int64
}

// Duration from the issue to the end.
func (m Mission) Duration() time.Duration {
	return m.End.Sub(m.Issue)
}

// Actions is the mission's total: the greater of the report's and the checkpoints'.
func (m Mission) Actions() int64 {
	if m.Report.Actions == nil {
		return m.CheckpointActions
	}
	return max(*m.Report.Actions, m.CheckpointActions)
}

// Services that checkpoints or report name, in order of names, each once.
func (m Mission) Services() []v1alpha1.ServiceName {
	return sorted(m.CheckpointServices, m.Report.Services)
}

// Used are the services that somebody names: checkpoints, report, or a gateway that let calls to them
// through. In order of names, each once.
func (m Mission) Used() []v1alpha1.ServiceName {
	return sorted(m.Services(), m.seen())
}

// seen are the services that gateways let calls through to.
func (m Mission) seen() []v1alpha1.ServiceName {
	if m.Observed == nil {
		return nil
	}
	var seen []v1alpha1.ServiceName
	for _, service := range m.Observed.Services {
		if service.Calls > 0 {
			seen = append(seen, service.Service)
		}
	}
	return seen
}

// byAgent says whether the agent checked out, and the report is its own.
func (m Mission) byAgent() bool {
	return m.Report.Source != v1alpha1.SourceOperator
}

// declared are the services that the intent names.
func (m Mission) declared() []v1alpha1.ServiceName {
	if m.Intent == nil {
		return nil
	}
	return m.Intent.Services
}

func sorted(lists ...[]v1alpha1.ServiceName) []v1alpha1.ServiceName {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}
