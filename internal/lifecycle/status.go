package lifecycle

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
)

// maxConditionMessage is the longest message that a condition of ours has, in characters.
const maxConditionMessage = 1024

// setReady sets the Ready condition.
func setReady(
	status *v1alpha1.PassportStatus, generation int64, value metav1.ConditionStatus, reason v1alpha1.Reason, message string, now time.Time,
) {
	SetCondition(&status.Conditions, generation, v1alpha1.ConditionReady, value, reason, message, now)
}

// SetDelivered sets TokenDelivered: True for reason Delivered, False for any other.
func SetDelivered(status *v1alpha1.PassportStatus, generation int64, reason v1alpha1.Reason, message string, now time.Time) {
	value := metav1.ConditionFalse
	if reason == v1alpha1.ReasonDelivered {
		value = metav1.ConditionTrue
	}
	SetCondition(&status.Conditions, generation, v1alpha1.ConditionTokenDelivered, value, reason, message, now)
}

// SetPolicyWarning says what the packs of the namespace warned of at the issue.
func SetPolicyWarning(status *v1alpha1.PassportStatus, generation int64, warning string, now time.Time) {
	SetCondition(&status.Conditions, generation, v1alpha1.ConditionPolicyWarning, metav1.ConditionTrue, v1alpha1.ReasonPolicyWarned, warning, now)
}

// SetCondition sets one condition; its transition time moves only with its status.
func SetCondition(
	conditions *[]metav1.Condition, generation int64, kind v1alpha1.ConditionType, value metav1.ConditionStatus,
	reason v1alpha1.Reason, message string, now time.Time,
) {
	if runes := []rune(message); len(runes) > maxConditionMessage {
		message = string(runes[:maxConditionMessage-1]) + "…"
	}
	setWhole(conditions, generation, kind, value, reason, message, now)
}

// setWhole sets a condition whose message is not cut: a command has to be whole.
func setWhole(
	conditions *[]metav1.Condition, generation int64, kind v1alpha1.ConditionType, value metav1.ConditionStatus,
	reason v1alpha1.Reason, message string, now time.Time,
) {
	meta.SetStatusCondition(conditions, metav1.Condition{
		Type:               string(kind),
		Status:             value,
		ObservedGeneration: generation,
		LastTransitionTime: metav1.NewTime(now.Truncate(time.Second)),
		Reason:             string(reason),
		Message:            message,
	})
}

// finish makes the phase terminal. Nothing writes the status after it but the marks on checkpoints.
func finish(
	status *v1alpha1.PassportStatus, generation int64, phase v1alpha1.Phase, reason v1alpha1.Reason, message string, end time.Time,
) {
	end = end.Truncate(time.Second)
	status.ObservedGeneration = generation
	status.Phase = phase
	status.EndTime = &metav1.Time{Time: end}
	status.CheckpointBy = nil
	meta.RemoveStatusCondition(&status.Conditions, string(v1alpha1.ConditionTokenDelivered))
	if succeeded(status) {
		// Ready False would read as "in progress" for ever, and Ready True as a live passport.
		meta.RemoveStatusCondition(&status.Conditions, string(v1alpha1.ConditionReady))
		SetCondition(&status.Conditions, generation, v1alpha1.ConditionSucceeded, metav1.ConditionTrue, reason, message, end)
		return
	}
	setReady(status, generation, metav1.ConditionFalse, reason, message, end)
	SetCondition(&status.Conditions, generation, v1alpha1.ConditionStalled, metav1.ConditionTrue, reason, message, end)
}

// succeeded says that a mission has ended as it was meant to. In mode Standard there is no checkout: it ends by its
// time.
func succeeded(status *v1alpha1.PassportStatus) bool {
	switch status.Phase {
	case v1alpha1.PhaseCheckedOut:
		return true
	case v1alpha1.PhaseExpired:
		return status.Issued != nil && status.Issued.Mode == v1alpha1.ModeStandard
	default:
		return false
	}
}

// setIssued has Ready say until when the passport is good.
func setIssued(status *v1alpha1.PassportStatus, passport *v1alpha1.Passport) {
	message := fmt.Sprintf("issued to %s, good until %s", passport.Spec.AgentRef.Name, stamp(status.ExpirationTime.Time))
	setReady(status, passport.Generation, metav1.ConditionTrue, v1alpha1.ReasonIssued, message, status.IssueTime.Time)
}

// setCheckpointBy derives checkpointBy from the leash.
func setCheckpointBy(status *v1alpha1.PassportStatus) {
	status.CheckpointBy = nil
	sign := lastSign(status)
	if due, ok := checkpointDue(*status.Issued, status.ExpirationTime.Time, sign); ok {
		status.CheckpointBy = &metav1.Time{Time: checkpointBy(sign, due)}
	}
}

// lastSign is when the agent last showed that it is alive: its last checkpoint, or its issue.
func lastSign(status *v1alpha1.PassportStatus) time.Time {
	if last := status.LastCheckpointTime; last != nil && last.After(status.IssueTime.Time) {
		return last.Time
	}
	return status.IssueTime.Time
}

// stamp writes a time for people and machines.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
