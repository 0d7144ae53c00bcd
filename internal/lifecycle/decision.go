package lifecycle

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/review"
)

// Consequence is what follows from a verdict or from a review: the block to make, the blocks to
// lift, and, once both are done, the status to store. A repeat asks for the same.
type Consequence struct {
	// Block to make first; nil where there is none.
	Block *v1alpha1.AgentBlock
	// Lift names the blocks to lift then, where they are there and in force.
	Lift []string
	// Lifting is written on them.
	Lifting v1alpha1.BlockLift
	// Status of the Checkout once that is done.
	Status v1alpha1.CheckoutStatus
}

// Judged says whether a Checkout has its verdict.
func Judged(checkout *v1alpha1.Checkout) bool { return checkout.Status.Verdict != "" }

// Decided says whether a mission is accepted or blocked for good.
func Decided(checkout *v1alpha1.Checkout) bool { return checkout.Status.DecidedTime != nil }

// Pursue says what is still to be done about a Checkout that is judged; nil where there is nothing.
// First the flags block the agent, where its accountability says so; then a review is carried out, in
// the reviewer's name, by the operator, whose username is given.
func Pursue(checkout *v1alpha1.Checkout, operator string, now time.Time) *Consequence {
	switch {
	case !meta.IsStatusConditionTrue(checkout.Status.Conditions, string(v1alpha1.ConditionReady)):
		return escalate(checkout, now)
	case checkout.Spec.Review != nil && !Decided(checkout):
		return decide(checkout, operator, now)
	default:
		return nil
	}
}

// The findings on a Checkout that its blocks are named by.
const (
	blockByFlags  = "flags"
	blockByReview = "review"
)

// escalate blocks the agent for the flags of its mission.
func escalate(checkout *v1alpha1.Checkout, now time.Time) *Consequence {
	consequence := &Consequence{Status: *checkout.Status.DeepCopy()}
	setJudged(&consequence.Status, checkout, now)
	if checkout.Status.Escalation == v1alpha1.EscalateBlock {
		block := blockForCheckout(checkout, blockByFlags, fmt.Sprintf("the verdict on passport %s is %s: %s",
			checkout.Spec.PassportRef.Name, checkout.Status.Verdict, worst(checkout.Status.Flags)))
		consequence.Block = &block
	}
	return consequence
}

// worst is the message of the first flag that may block an agent.
func worst(flags []v1alpha1.Flag) string {
	for _, flag := range flags {
		if review.MayBlock(flag) {
			return flag.Message
		}
	}
	return ""
}

// decide carries out a review. An agent that is blocked by it has one block in force for this
// mission, the reviewer's; one that is approved has none.
func decide(checkout *v1alpha1.Checkout, operator string, now time.Time) *Consequence {
	made := checkout.Spec.Review
	consequence := &Consequence{Status: *checkout.Status.DeepCopy(), Lift: ownBlocks(checkout)}
	status := &consequence.Status
	status.ObservedGeneration = checkout.Generation
	status.DecidedTime = second(now)
	because := ""
	if made.Notes != "" {
		because = ": " + made.Notes
	}
	reviewer := onBehalfOf(made.Reviewer, operator)
	if made.Decision == v1alpha1.DecisionApproved {
		consequence.Lifting = v1alpha1.BlockLift{By: reviewer, Reason: clipReason(fmt.Sprintf("checkout %s was approved%s", checkout.Name, because))}
		SetCondition(&status.Conditions, checkout.Generation, v1alpha1.ConditionAccepted, metav1.ConditionTrue,
			v1alpha1.ReasonApproved, fmt.Sprintf("approved%s%s", signedBy(made.Reviewer), because), now)
		return consequence
	}
	block := blockForCheckout(checkout, blockByReview, fmt.Sprintf("review of checkout %s%s", checkout.Name, because))
	block.Spec.By = reviewer
	consequence.Block = &block
	consequence.Lifting = v1alpha1.BlockLift{By: reviewer, Reason: clipReason(fmt.Sprintf("AgentBlock %s of the review of checkout %s took its place", block.Name, checkout.Name))}
	SetCondition(&status.Conditions, checkout.Generation, v1alpha1.ConditionAccepted, metav1.ConditionFalse,
		v1alpha1.ReasonBlocked, fmt.Sprintf("blocked%s%s; until AgentBlock %s is lifted, agent %s gets no passport",
			signedBy(made.Reviewer), because, block.Name, checkout.Spec.AgentRef.Name), now)
	return consequence
}

// ownBlocks names the blocks that the findings of this mission may have made: its signals, and the
// flags on its Checkout.
func ownBlocks(checkout *v1alpha1.Checkout) []string {
	agent := checkout.Spec.AgentRef.Name
	var names []string
	for _, signal := range checkout.Status.Mission.Signals {
		names = append(names, blockName(agent, checkout.Status.PassportUID, signal.Type))
	}
	if checkout.Status.Escalation == v1alpha1.EscalateBlock {
		names = append(names, flagsBlock(checkout))
	}
	return names
}

// flagsBlock names the block that the flags on a checkout make.
func flagsBlock(checkout *v1alpha1.Checkout) string {
	return blockName(checkout.Spec.AgentRef.Name, checkout.UID, blockByFlags)
}

func blockForCheckout(checkout *v1alpha1.Checkout, finding, reason string) v1alpha1.AgentBlock {
	cause := v1alpha1.BlockCause{Kind: "Checkout", Name: checkout.Name, UID: checkout.UID}
	return newBlock(checkout.Namespace, checkout.Spec.AgentRef.Name, finding, cause, reason)
}

// onBehalfOf is an actor as the operator names them.
func onBehalfOf(by *v1alpha1.Actor, operator string) *v1alpha1.Actor {
	if by == nil {
		return nil
	}
	return &v1alpha1.Actor{Username: by.Username, Via: operator}
}

// KeepUntil is until when a mission is kept that is over and decided: its time to live after the
// later of both.
func KeepUntil(end time.Time, decided *metav1.Time, ttlSeconds *int32) time.Time {
	if decided != nil && decided.After(end) {
		end = decided.Time
	}
	if ttlSeconds == nil {
		return end.Add(24 * time.Hour)
	}
	return end.Add(seconds(*ttlSeconds))
}

// Feeds says whether a mission still has to enter the baseline of an agent, which is nil where it is
// gone.
func Feeds(checkout *v1alpha1.Checkout, agent *v1alpha1.AgentPassport) bool {
	return agent != nil && agent.DeletionTimestamp == nil && checkout.Status.BaselineTime == nil && checkout.Status.Mission != nil &&
		checkout.Status.Mission.AgentUID == agent.UID &&
		meta.IsStatusConditionTrue(checkout.Status.Conditions, string(v1alpha1.ConditionAccepted))
}

func clipReason(reason string) string {
	const limit = 500
	runes := []rune(reason)
	return string(runes[:min(len(runes), limit)])
}
