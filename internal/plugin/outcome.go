package plugin

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
)

// outcome is what became of a passport or of a mission, so far.
type outcome struct {
	// code that wait ends with; exitNeverCame while nothing is decided.
	code int
	// text is one line for a person: what happened, to what, and what to do.
	text string
}

// undecided says that it may yet become something else.
func (o outcome) undecided() bool { return o.code == exitNeverCame }

// issueOutcome is whether a passport was issued.
func issueOutcome(p *v1alpha1.Passport) outcome {
	this := "passport " + p.Name + " in namespace " + p.Namespace
	reason, message := whyOf(p)
	switch p.Status.Phase {
	case v1alpha1.PhaseActive:
		return outcome{exitGood, fmt.Sprintf("%s is Active as %s, and expires at %s", this, p.Status.JTI, moment(p.Status.ExpirationTime))}
	case v1alpha1.PhaseRejected:
		return outcome{exitBad, fmt.Sprintf("%s was never issued (%s: %s): mend that, and create another", this, reason, message)}
	case v1alpha1.PhaseExpired, v1alpha1.PhaseRevoked, v1alpha1.PhaseCheckedOut:
		return outcome{exitBad, fmt.Sprintf("%s is over: %s (%s: %s)", this, p.Status.Phase, reason, message)}
	default:
		if reason == "" {
			return outcome{exitNeverCame, this + " was not seen by the operator yet. Does it run? kubectl passport status"}
		}
		return outcome{exitNeverCame, fmt.Sprintf("%s is Pending (%s: %s)", this, reason, message)}
	}
}

// missionOutcome is how a mission came out, as far as its Passport shows: it is final where no Checkout will come.
func missionOutcome(p *v1alpha1.Passport) outcome {
	this := "passport " + p.Name + " in namespace " + p.Namespace
	reason, message := whyOf(p)
	switch {
	case p.Status.Phase == v1alpha1.PhaseRejected:
		return outcome{exitBad, fmt.Sprintf("%s was never issued (%s: %s): mend that, and create another", this, reason, message)}
	case p.Status.Issued != nil && p.Status.Issued.Mode == v1alpha1.ModeStandard:
		return outcome{exitBad, this + " is in mode Standard, which has no checkout and no verdict: a mission with a gate needs Enforced or Logged"}
	default:
		phase := string(p.Status.Phase)
		if phase == "" {
			phase = "not seen by the operator yet"
		}
		return outcome{exitNeverCame, fmt.Sprintf("%s is %s%s, and nobody checked out. See: kubectl passport describe %s -n %s",
			this, phase, inBrackets(reason, message), p.Name, p.Namespace)}
	}
}

// checkoutOutcome is what became of a Checkout.
func checkoutOutcome(c *v1alpha1.Checkout) outcome {
	this := fmt.Sprintf("checkout %s (%s) of passport %s in namespace %s", c.Name, c.Spec.Outcome, c.Spec.PassportRef.Name, c.Namespace)
	if stalled := meta.FindStatusCondition(c.Status.Conditions, string(v1alpha1.ConditionStalled)); stalled != nil && stalled.Status == metav1.ConditionTrue {
		return outcome{exitBad, fmt.Sprintf("%s does not count (%s): %s", this, stalled.Reason, stalled.Message)}
	}
	found := "verdict " + string(c.Status.Verdict)
	if types := flagTypes(c.Status.Flags); types != "" {
		found += ", flags: " + types
	}
	accepted := meta.FindStatusCondition(c.Status.Conditions, string(v1alpha1.ConditionAccepted))
	switch {
	case accepted != nil && accepted.Status == metav1.ConditionTrue:
		return outcome{exitGood, fmt.Sprintf("accepted: %s: %s: %s", this, found, accepted.Message)}
	case accepted != nil && accepted.Status == metav1.ConditionFalse:
		return outcome{exitBad, fmt.Sprintf("not accepted: %s: %s: %s", this, found, accepted.Message)}
	case c.Status.Verdict == "":
		return outcome{exitNeverCame, fmt.Sprintf("%s has no verdict: it comes when the mission is over. See: kubectl passport describe %s -n %s",
			this, c.Spec.PassportRef.Name, c.Namespace)}
	case c.Spec.Review != nil:
		return outcome{exitNeverCame, fmt.Sprintf("%s: %s: a reviewer decided %s, and the operator has not carried it out yet", this, found, c.Spec.Review.Decision)}
	default:
		return outcome{exitAwaitsReview, fmt.Sprintf("awaiting review: %[1]s: %[2]s. Read it: kubectl passport review show %[3]s -n %[4]s. "+
			"Then somebody who had no part in it decides: kubectl passport review approve %[3]s -n %[4]s, or block", this, found, c.Name, c.Namespace)}
	}
}

// checkpointOutcome is whether a Checkpoint counts.
func checkpointOutcome(c *v1alpha1.Checkpoint) outcome {
	this := fmt.Sprintf("checkpoint %s of passport %s in namespace %s", c.Name, c.Spec.PassportRef.Name, c.Namespace)
	ready := meta.FindStatusCondition(c.Status.Conditions, string(v1alpha1.ConditionReady))
	switch {
	case ready == nil:
		return outcome{exitNeverCame, this + " is not counted yet; if it was made in time, it will be"}
	case ready.Status == metav1.ConditionTrue:
		return outcome{exitGood, fmt.Sprintf("%s is accepted: the passport expires at %s", this, moment(c.Status.ExpirationTime))}
	default:
		return outcome{exitBad, fmt.Sprintf("%s does not count (%s): %s", this, ready.Reason, ready.Message)}
	}
}

// awaitsReview says whether a person has to decide on a Checkout.
func awaitsReview(c *v1alpha1.Checkout) bool { return checkoutOutcome(c).code == exitAwaitsReview }

// whyOf says why a passport is in its phase: a reason, and a message.
func whyOf(p *v1alpha1.Passport) (reason, message string) {
	if why := p.Status.Explanation(); why != nil {
		return why.Reason, why.Message
	}
	return "", ""
}

// readyOf is the reason of the Ready condition and its message.
func readyOf(conditions []metav1.Condition) (reason, message string) {
	if ready := meta.FindStatusCondition(conditions, string(v1alpha1.ConditionReady)); ready != nil {
		return ready.Reason, ready.Message
	}
	return "", ""
}

func inBrackets(reason, message string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ": " + message + ")"
}

// flagTypes lists the types of flags, each once, in their order.
func flagTypes(flags []v1alpha1.Flag) string {
	var types []string
	for _, flag := range flags {
		if !slices.Contains(types, flag.Type) {
			types = append(types, flag.Type)
		}
	}
	return strings.Join(types, ", ")
}
