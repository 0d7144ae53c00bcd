package lifecycle

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/review"
	"agentpassport.dev/operator/internal/scope"
)

// Judge gives the status of a finished passport's own Checkout with its verdict. The status holds all
// that the verdict rests on: it can be read when passport and checkpoints are gone. The agent is nil
// where it is gone; another of its name has no say. Observed is what gateways saw; nil where none was up.
func Judge(
	passport *v1alpha1.Passport, checkout *v1alpha1.Checkout, agent *v1alpha1.AgentPassport, observed *v1alpha1.ObservedCalls,
	thresholds review.Thresholds, now time.Time,
) v1alpha1.CheckoutStatus {
	if agent != nil && agent.UID != passport.Status.Issued.AgentUID {
		agent = nil
	}
	mission := missionOf(passport, checkout)
	mission.Observed = observed
	var accountability v1alpha1.Accountability
	if agent != nil {
		mission.Baseline, accountability = agent.Status.Baseline, agent.Spec.Accountability
	}
	verdict, flags := review.Judge(mission, accountability.Accept, thresholds)

	status := *checkout.Status.DeepCopy()
	status.ObservedGeneration = checkout.Generation
	status.PassportUID, status.JTI, status.SessionID = passport.UID, passport.Status.JTI, passport.Status.SessionID
	status.Verdict, status.Flags, status.FlagSummary = verdict, flags, review.Summary(flags)
	status.Mission = record(passport, checkout, mission)
	status.JudgedTime = second(now)
	if review.Escalates(flags, accountability) {
		status.Escalation = v1alpha1.EscalateBlock
		SetCondition(&status.Conditions, checkout.Generation, v1alpha1.ConditionReady, metav1.ConditionUnknown,
			v1alpha1.ReasonBlockingAgent, fmt.Sprintf("the flags block agent %s by AgentBlock %s", checkout.Spec.AgentRef.Name, flagsBlock(checkout)), now)
	} else {
		setJudged(&status, checkout, now)
	}
	if verdict == v1alpha1.VerdictClean {
		status.DecidedTime = second(now)
		SetCondition(&status.Conditions, checkout.Generation, v1alpha1.ConditionAccepted, metav1.ConditionTrue,
			v1alpha1.ReasonClean, "the detectors found nothing that needs a person", now)
	} else {
		SetCondition(&status.Conditions, checkout.Generation, v1alpha1.ConditionAccepted, metav1.ConditionUnknown,
			v1alpha1.ReasonAwaitingReview, awaiting(checkout, &status), now)
	}
	return status
}

func setJudged(status *v1alpha1.CheckoutStatus, checkout *v1alpha1.Checkout, now time.Time) {
	SetCondition(&status.Conditions, checkout.Generation, v1alpha1.ConditionReady, metav1.ConditionTrue,
		v1alpha1.ReasonJudged, fmt.Sprintf("the verdict on passport %s is %s", checkout.Spec.PassportRef.Name, status.Verdict), now)
}

// awaiting says to a reviewer what to decide, and how.
func awaiting(checkout *v1alpha1.Checkout, status *v1alpha1.CheckoutStatus) string {
	agent, blocked, approved, refused := checkout.Spec.AgentRef.Name, "", "", `to block agent `+checkout.Spec.AgentRef.Name
	if status.Escalation == v1alpha1.EscalateBlock {
		blocked = fmt.Sprintf("; agent %s is blocked by AgentBlock %s", agent, flagsBlock(checkout))
		approved, refused = ` ("Approved" lifts the block)`, "to keep it blocked"
	}
	return fmt.Sprintf("%s for %s%s; a reviewer decides: kubectl patch checkouts.agentpassport.dev %s -n %s --type=merge"+
		` -p '{"spec":{"review":{"decision":"Approved","notes":"..."}}}'%s, or "Blocked" %s`,
		status.Verdict, status.FlagSummary, blocked, checkout.Name, checkout.Namespace, approved, refused)
}

// missionOf gathers what the detectors ask.
func missionOf(passport *v1alpha1.Passport, checkout *v1alpha1.Checkout) review.Mission {
	status := &passport.Status
	mission := review.Mission{
		Mode:               status.Issued.Mode,
		Intent:             passport.Spec.Intent,
		Granted:            scope.Names(status.Issued.Services),
		Phase:              status.Phase,
		Issue:              status.IssueTime.Time,
		End:                status.EndTime.Time,
		Interval:           seconds(status.Issued.CheckpointIntervalSeconds),
		LongestGap:         time.Duration(status.LongestGapSeconds) * time.Second,
		CheckpointActions:  status.Actions,
		CheckpointServices: status.ServicesUsed,
		Signals:            review.Judgeable(status.Signals),
		Report: review.Report{
			Source:   checkout.Spec.Source,
			At:       checkout.CreationTimestamp.Time,
			Services: checkout.Spec.ServicesUsed,
			Actions:  checkout.Spec.ActionsCount,
		},
	}
	if status.Checkpoints != nil {
		mission.Checkpoints = *status.Checkpoints
	}
	return mission
}

// record writes down what a mission is judged by.
func record(passport *v1alpha1.Passport, checkout *v1alpha1.Checkout, mission review.Mission) *v1alpha1.MissionRecord {
	status := passport.Status.DeepCopy()
	made := &v1alpha1.MissionRecord{
		AgentUID:                  status.Issued.AgentUID,
		Mode:                      status.Issued.Mode,
		Intent:                    passport.Spec.Intent.DeepCopy(),
		GrantedServices:           mission.Granted,
		Phase:                     status.Phase,
		IssueTime:                 status.IssueTime,
		EndTime:                   status.EndTime,
		DurationSeconds:           int64(mission.Duration() / time.Second),
		CheckpointIntervalSeconds: status.Issued.CheckpointIntervalSeconds,
		LongestGapSeconds:         status.LongestGapSeconds,
		Checkpoints:               mission.Checkpoints,
		CheckpointActions:         mission.CheckpointActions,
		Actions:                   mission.Actions(),
		ServicesUsed:              mission.Services(),
		Signals:                   mission.Signals,
		Observed:                  mission.Observed.DeepCopy(),
		RequestedBy:               passport.Spec.RequestedBy.DeepCopy(),
		Submitters:                addSubmitter(status.Submitters, reporter(checkout)),
		TTLSecondsAfterFinished:   passport.Spec.TTLSecondsAfterFinished,
	}
	if end := status.Explanation(); end != nil {
		made.Reason, made.Message = end.Reason, end.Message
	}
	if baseline := mission.Baseline; baseline != nil {
		made.Baseline = &v1alpha1.BaselineSnapshot{
			Missions: baseline.Missions, Actions: baseline.Actions, DurationSeconds: baseline.DurationSeconds,
		}
	}
	return made
}

// reporter is who reported a checkout; the operator, which checks out for others, is nobody.
func reporter(checkout *v1alpha1.Checkout) *v1alpha1.Actor {
	if checkout.Spec.Source == v1alpha1.SourceOperator {
		return nil
	}
	return checkout.Spec.SubmittedBy
}

func second(t time.Time) *metav1.Time { return &metav1.Time{Time: t.Truncate(time.Second)} }
