package steps

import (
	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/lifecycle"
)

// maxMessages is how many flags of a record have their message too: a record has to fit into one entry of
// the log.
const maxMessages = 32

// Checkout is the records of a checkout that was judged: the end of its mission with the verdict, and a
// person's decision once there is one.
func Checkout(checkout *v1alpha1.Checkout, operator string) []audit.Record {
	if !lifecycle.Judged(checkout) {
		return nil
	}
	ended := ofCheckout(checkout, audit.PassportCheckout)
	ended.Time = checkout.CreationTimestamp.UTC()
	ended.Actor = actorOf(checkout.Spec.SubmittedBy)
	if checkout.Spec.Source == v1alpha1.SourceOperator {
		ended.Actor = audit.Actor{Username: operator}
	}
	ended.Outcome = map[v1alpha1.Verdict]audit.Outcome{
		v1alpha1.VerdictClean: audit.Success, v1alpha1.VerdictFlagged: audit.Pending, v1alpha1.VerdictBlocked: audit.Blocked,
	}[checkout.Status.Verdict]
	ended.Facts = &audit.Facts{
		Verdict: string(checkout.Status.Verdict), Flags: flags(checkout.Status.Flags),
		Reported: string(checkout.Spec.Outcome), Summary: audit.Redact(checkout.Spec.Summary),
	}
	if mission := checkout.Status.Mission; mission != nil {
		ended.Facts.Services, ended.Facts.ServicesUsed = texts(mission.GrantedServices), texts(mission.ServicesUsed)
		ended.Facts.Actions, ended.Facts.Checkpoints = mission.Actions, int64(mission.Checkpoints)
	}
	records := []audit.Record{ended}
	if review := checkout.Spec.Review; review != nil && checkout.Status.DecidedTime != nil {
		decided := ofCheckout(checkout, audit.PassportReviewDecide)
		decided.Time = checkout.Status.DecidedTime.UTC()
		decided.Actor = actorOf(review.Reviewer)
		if review.Decision == v1alpha1.DecisionBlocked {
			decided.Outcome = audit.Blocked
		}
		decided.Facts = &audit.Facts{
			Verdict: string(checkout.Status.Verdict), Decision: string(review.Decision), Notes: audit.Redact(review.Notes),
		}
		records = append(records, decided)
	}
	return records
}

func ofCheckout(checkout *v1alpha1.Checkout, action audit.Action) audit.Record {
	record := record("Checkout", checkout, action, "", checkout.CreationTimestamp.Time)
	record.PassportJTI, record.SessionID = checkout.Status.JTI, checkout.Status.SessionID
	record.Agent = &audit.Agent{Name: checkout.Spec.AgentRef.Name}
	if mission := checkout.Status.Mission; mission != nil {
		record.Agent.UID = string(mission.AgentUID)
	}
	return record
}

func flags(found []v1alpha1.Flag) []audit.Flag {
	flags := make([]audit.Flag, 0, len(found))
	for i, flag := range found {
		kept := audit.Flag{Type: flag.Type, Severity: string(flag.Severity)}
		if i < maxMessages {
			kept.Message = audit.Redact(flag.Message)
		}
		flags = append(flags, kept)
	}
	return flags
}
