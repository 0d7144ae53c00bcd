package lifecycle

import (
	"cmp"
	"slices"

	"agentpassport.dev/operator/api/v1alpha1"
)

// model is a mission by the book, in seconds after noon, its issue. It sees everything at once.
type model struct {
	mode                 v1alpha1.AccountabilityMode
	ttl, interval, limit int

	reports []modelReport
	ends    []modelEnd
}

// modelReport is a checkpoint that reached the API server.
type modelReport struct {
	at      int
	uid     string
	actions int64
	// outside says that it names a service that is neither granted nor in the intent.
	outside bool
	// void says that it is another agent's, or one of too many.
	void bool
}

// modelEnd is a revocation from outside of the mission.
type modelEnd struct {
	at     int
	reason v1alpha1.Reason
}

// result is what becomes of a mission.
type result struct {
	Phase       v1alpha1.Phase
	Reason      v1alpha1.Reason
	End, Expiry int
	Checkpoints int
	Actions     int64
	Last        int
	Outside     int
	Counted     []string
}

// precedence is the order of revocations within one second.
var precedence = []v1alpha1.Reason{
	v1alpha1.ReasonPassportDeleted, v1alpha1.ReasonAgentBlocked, v1alpha1.ReasonRevokedByRequest, v1alpha1.ReasonAgentDeleted,
	v1alpha1.ReasonAgentSuspended,
}

// never is the last checkpoint of a mission that made none.
const never = -1 << 30

// at tells how the mission stands at now.
func (m model) at(now float64) result {
	life := m.ttl
	if m.mode == v1alpha1.ModeEnforced {
		life = min(m.ttl, m.interval)
	}
	r := result{Phase: v1alpha1.PhaseActive, Reason: v1alpha1.ReasonIssued, Expiry: min(life, m.limit), Last: never}
	end := m.firstEnd()
	slices.SortFunc(m.reports, func(a, b modelReport) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.uid, b.uid)) })
	for _, report := range m.reports {
		if report.void || m.mode == v1alpha1.ModeStandard {
			continue
		}
		if report.at > r.Expiry || (end != nil && report.at >= end.at) {
			break
		}
		r.Checkpoints++
		r.Actions += report.actions
		r.Last = report.at
		r.Counted = append(r.Counted, report.uid)
		if m.mode == v1alpha1.ModeEnforced {
			r.Expiry = max(r.Expiry, min(report.at+m.interval, m.limit))
		}
		if report.outside {
			r.Outside++
			if m.mode == v1alpha1.ModeEnforced {
				end = &modelEnd{at: max(report.at, 0), reason: v1alpha1.ReasonSignalRaised}
			}
		}
	}
	switch {
	case end != nil && end.at <= r.Expiry:
		r.Phase, r.Reason, r.End = v1alpha1.PhaseRevoked, end.reason, end.at
	case now < float64(r.Expiry)+5:
	case r.Expiry == m.limit:
		r.Phase, r.Reason, r.End = v1alpha1.PhaseExpired, v1alpha1.ReasonDeadlineReached, r.Expiry
	case m.mode == v1alpha1.ModeEnforced:
		r.Phase, r.Reason, r.End = v1alpha1.PhaseExpired, v1alpha1.ReasonCheckpointSilence, r.Expiry
	default:
		r.Phase, r.Reason, r.End = v1alpha1.PhaseExpired, v1alpha1.ReasonTTLElapsed, r.Expiry
	}
	return r
}

// firstEnd is the earliest revocation; none is earlier than the issue.
func (m model) firstEnd() *modelEnd {
	var first *modelEnd
	for _, end := range m.ends {
		end.at = max(end.at, 0)
		if first == nil || end.at < first.at ||
			(end.at == first.at && slices.Index(precedence, end.reason) < slices.Index(precedence, first.reason)) {
			first = &end
		}
	}
	return first
}
