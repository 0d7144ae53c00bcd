package lifecycle

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/review"
)

// ending is one way in which a passport ended.
type ending struct {
	at      time.Time
	phase   v1alpha1.Phase
	reason  v1alpha1.Reason
	message string
	// behind says that what was made in the same second came first, as the finding did that brought it.
	behind bool
}

// revoked gives the earliest revocation of an Active passport, nil where there is none. In the same
// second the order is the one below. A revocation happens no earlier than the issue. Checkpoints that
// wait may bring a finding whose block is here already.
func revoked(s Situation, waiting bool) *ending {
	var first *ending
	consider := func(at time.Time, reason v1alpha1.Reason, format string, args ...any) {
		at = sinceIssue(s.Passport, at)
		if first == nil || at.Before(first.at) {
			first = &ending{at: at, phase: v1alpha1.PhaseRevoked, reason: reason, message: fmt.Sprintf(format, args...)}
		}
	}
	passport := s.Passport
	if deleted := passport.DeletionTimestamp; deleted != nil {
		consider(deleted.Time, v1alpha1.ReasonPassportDeleted, "the Passport was deleted")
	}
	if active := slices.DeleteFunc(Blocking(s.Blocks, passport.Spec.AgentRef.Name), aheadOf(s, waiting)); len(active) > 0 {
		first = earlierEnd(first, blockedBy(passport, active[0]))
	}
	if revocation := passport.Spec.Revocation; revocation != nil {
		consider(s.Now, v1alpha1.ReasonRevokedByRequest, "%s%s", revocation.Reason, signedBy(revocation.By))
	}
	switch agent := s.Agent; {
	case agent == nil || agent.UID != passport.Status.Issued.AgentUID:
		consider(s.Now, v1alpha1.ReasonAgentDeleted, "AgentPassport %s, which it was issued under, was deleted", passport.Spec.AgentRef.Name)
	case agent.Spec.Suspend:
		consider(s.Now, v1alpha1.ReasonAgentSuspended, "agent %s is suspended", agent.Name)
	}
	return first
}

// blockedBy is the end that a block brings.
func blockedBy(passport *v1alpha1.Passport, block v1alpha1.AgentBlock) *ending {
	return &ending{
		at: sinceIssue(passport, block.CreationTimestamp.Time), phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonAgentBlocked,
		message: fmt.Sprintf("AgentBlock %s: %s", block.Name, block.Spec.Reason),
	}
}

// ownBlock is the end by a block that a finding of this type on this very passport made before a
// crash; nil where there is none. It bites from when it was made.
func ownBlock(s Situation, finding string) *ending {
	for _, block := range Blocking(s.Blocks, s.Passport.Spec.AgentRef.Name) {
		if block.Name == blockName(s.Passport.Spec.AgentRef.Name, s.Passport.UID, finding) {
			end := blockedBy(s.Passport, block)
			end.behind = true
			return end
		}
	}
	return nil
}

// earlierEnd gives the earlier of two ends. In the same second a revocation goes before a checkout, and
// that before an expiry; of two of a kind, the first given. Either may be nil.
func earlierEnd(a, b *ending) *ending {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	rank := map[v1alpha1.Phase]int{v1alpha1.PhaseRevoked: 1, v1alpha1.PhaseCheckedOut: 2, v1alpha1.PhaseExpired: 3}
	if cmp.Or(b.at.Compare(a.at), cmp.Compare(rank[b.phase], rank[a.phase])) < 0 {
		return b
	}
	return a
}

// noLaterThan is the earlier of this end, brought to the expiry where it is after it, and another.
// What a gateway sees of a passport that is about to expire ends it all the same.
func (e *ending) noLaterThan(expiry time.Time, other *ending) *ending {
	if e == nil || !e.at.After(expiry) {
		return other
	}
	clamped := *e
	clamped.at = expiry
	return earlierEnd(&clamped, other)
}

// excludes says whether a report that was made at a time came too late for this end. What an agent
// reports in the second in which it checks out counts.
func (e *ending) excludes(at time.Time) bool {
	if e == nil {
		return false
	}
	if e.phase == v1alpha1.PhaseCheckedOut || e.behind {
		return at.After(e.at)
	}
	return !at.Before(e.at)
}

// aheadOf picks out a block that a finding on this very passport made, and that a crash left without
// the finding: the finding comes first, and is found again, as long as there is somebody to find it: a
// checkpoint that waits, or a gateway that has its time to repeat a report.
func aheadOf(s Situation, waiting bool) func(v1alpha1.AgentBlock) bool {
	name, passport := s.Passport.Spec.AgentRef.Name, s.Passport
	return func(block v1alpha1.AgentBlock) bool {
		if !isAhead(&passport.Status, passport, &block) {
			return false
		}
		patient := s.Now.Before(block.CreationTimestamp.Add(ReportGrace))
		switch {
		case slices.ContainsFunc(review.ByGateways(), func(kind string) bool { return block.Name == blockName(name, passport.UID, kind) }):
			return patient
		case block.Name == blockName(name, passport.UID, review.CredentialOutsideScope):
			return patient || waiting
		default:
			return true
		}
	}
}

// isAhead says whether a block is one that a finding on this very passport made, and the finding is not
// in its status. A silence is not, once another checkpoint was made after it: its block is its proof.
func isAhead(status *v1alpha1.PassportStatus, passport *v1alpha1.Passport, block *v1alpha1.AgentBlock) bool {
	name := passport.Spec.AgentRef.Name
	if block.Spec.Cause == nil || block.Spec.Cause.UID != passport.UID || block.Name == blockName(name, passport.UID, review.CheckpointSilence) {
		return false
	}
	return !slices.ContainsFunc(status.Signals, func(signal v1alpha1.Signal) bool {
		return blockName(name, passport.UID, signal.Type) == block.Name
	})
}

func signedBy(actor *v1alpha1.Actor) string {
	if actor == nil {
		return ""
	}
	if actor.Via != "" {
		return fmt.Sprintf(" (by %s, via %s)", actor.Username, actor.Via)
	}
	return fmt.Sprintf(" (by %s)", actor.Username)
}

// sinceIssue is the second of an end: nothing ends before it was issued, whatever a clock says.
func sinceIssue(passport *v1alpha1.Passport, at time.Time) time.Time {
	at = at.Truncate(time.Second)
	if issue := passport.Status.IssueTime.Time; at.Before(issue) {
		return issue
	}
	return at
}

// revokedBySignal is the end that a finding brings.
func revokedBySignal(passport *v1alpha1.Passport, finding review.Finding) *ending {
	return &ending{
		at:      sinceIssue(passport, finding.At),
		phase:   v1alpha1.PhaseRevoked,
		reason:  v1alpha1.ReasonSignalRaised,
		message: fmt.Sprintf("%s: %s", finding.Type, finding.Message),
	}
}

// expired is the end of a passport that ran out of time.
func expired(status *v1alpha1.PassportStatus) *ending {
	expiry := status.ExpirationTime.Time
	end := &ending{at: expiry, phase: v1alpha1.PhaseExpired}
	switch {
	case !expiry.Before(status.Issued.Deadline.Time):
		end.reason, end.message = v1alpha1.ReasonDeadlineReached, fmt.Sprintf("the mission's limit was reached at %s", stamp(expiry))
	case status.Issued.Mode == v1alpha1.ModeEnforced:
		end.reason, end.message = v1alpha1.ReasonCheckpointSilence, fmt.Sprintf("no checkpoint was made by %s", stamp(expiry))
	default:
		end.reason, end.message = v1alpha1.ReasonTTLElapsed, fmt.Sprintf("its %d s were over at %s", status.Issued.TTLSeconds, stamp(expiry))
	}
	return end
}
