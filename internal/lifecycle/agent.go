package lifecycle

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
)

// maxBlockedBy is how many blocks an AgentPassport's status names.
const maxBlockedBy = 10

// Agent gives the status of an AgentPassport, but for its count of live passports: blocking are the
// blocks in force for it, reading is what is known of its document, nil where it has none.
//
// Ready is True also where the agent is blocked or suspended, with that as its reason: a person's
// decision about one agent must not fail the rollout that it was applied with.
func Agent(
	agent *v1alpha1.AgentPassport, blocking []v1alpha1.AgentBlock, reading *Reading, now time.Time,
) v1alpha1.AgentPassportStatus {
	status := *agent.Status.DeepCopy()
	status.ObservedGeneration = agent.Generation
	status.BlockedBy = nil
	for _, block := range blocking {
		status.BlockedBy = append(status.BlockedBy, block.Name)
	}
	slices.Sort(status.BlockedBy)
	status.BlockedBy = status.BlockedBy[:min(len(status.BlockedBy), maxBlockedBy)]

	set := func(kind v1alpha1.ConditionType, value metav1.ConditionStatus, reason v1alpha1.Reason, message string) {
		SetCondition(&status.Conditions, agent.Generation, kind, value, reason, message, now)
	}
	switch {
	case agent.Spec.Suspend:
		message := "spec.suspend is true: no new passports, and the live ones are revoked"
		set(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSuspended, message)
		set(v1alpha1.ConditionBlocked, metav1.ConditionTrue, v1alpha1.ReasonSuspended, message)
	case len(blocking) > 0:
		message := fmt.Sprintf("AgentBlock %s: %s", blocking[0].Name, blocking[0].Spec.Reason)
		if len(blocking) > 1 {
			message = fmt.Sprintf("%s; and %d more", message, len(blocking)-1)
		}
		set(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonBlocked, message)
		set(v1alpha1.ConditionBlocked, metav1.ConditionTrue, v1alpha1.ReasonBlocked, message)
	default:
		set(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonRegistered, "the agent can get passports")
		set(v1alpha1.ConditionBlocked, metav1.ConditionFalse, v1alpha1.ReasonNotBlocked, "neither blocked nor suspended")
	}
	if agent.Spec.Document == nil {
		set(v1alpha1.ConditionDocumented, metav1.ConditionFalse, v1alpha1.ReasonNoDocument,
			"spec.document is empty: nothing says what the agent can do; paste its Agent Passport document in")
	} else {
		set(v1alpha1.ConditionDocumented, metav1.ConditionTrue, v1alpha1.ReasonDocumentPresent,
			fmt.Sprintf("%s %s by %s", agent.Spec.Document.Agent.Name, agent.Spec.Document.Agent.Version, agent.Spec.Document.Agent.Vendor))
	}
	setReading(&status.Conditions, &status.DocumentProof, &status.DocumentDigest, agent.Generation, reading, now)
	return status
}
