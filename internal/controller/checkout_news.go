package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
)

// tellOfCheckout makes an Event, metrics and a line of log of what became of a checkout. It is called
// after the state that it tells of is stored.
func tellOfCheckout(ctx context.Context, recorder events.EventRecorder, before v1alpha1.CheckoutStatus, checkout *v1alpha1.Checkout) {
	kind := corev1.EventTypeWarning
	var reason, action, message string
	status := &checkout.Status
	accepted := meta.FindStatusCondition(status.Conditions, string(v1alpha1.ConditionAccepted))
	switch {
	case lifecycle.WasRefused(checkout):
		ready := meta.FindStatusCondition(status.Conditions, string(v1alpha1.ConditionReady))
		reason, action, message = ready.Reason, "Refuse", "does not count: "+ready.Message
		checkoutsRefused.WithLabelValues(ready.Reason).Inc()
	case before.Verdict == "":
		reason, action = "Verdict"+string(status.Verdict), "Judge"
		message = fmt.Sprintf("mission %s of agent %s: %s", checkout.Spec.PassportRef.Name, checkout.Spec.AgentRef.Name, worstOf(checkout))
		if status.Verdict == v1alpha1.VerdictClean {
			kind = corev1.EventTypeNormal
		}
		checkoutsJudged.WithLabelValues(string(status.Verdict)).Inc()
		for _, flag := range status.Flags {
			flagsRaised.WithLabelValues(flag.Type, string(flag.Severity)).Inc()
		}
	case before.DecidedTime == nil && status.DecidedTime != nil:
		reason, action, message = accepted.Reason, "Review", accepted.Message
		if accepted.Reason == string(v1alpha1.ReasonApproved) {
			kind = corev1.EventTypeNormal
		}
		reviewsDecided.WithLabelValues(accepted.Reason).Inc()
	default:
		return
	}
	recorder.Eventf(checkout, nil, kind, reason, action, "%s", note(message))
	log.FromContext(ctx).Info(action, "reason", reason, "jti", status.JTI, "passport", checkout.Spec.PassportRef.Name,
		"agent", checkout.Spec.AgentRef.Name, "message", message)
}

// worstOf is what a reader of a verdict wants to know first.
func worstOf(checkout *v1alpha1.Checkout) string {
	status := &checkout.Status
	if status.Verdict == v1alpha1.VerdictClean {
		return "the detectors found nothing that needs a person"
	}
	if len(status.Flags) == 1 {
		return status.Flags[0].Message + "; it awaits a review"
	}
	return fmt.Sprintf("%s; and %d more flags; it awaits a review", status.Flags[0].Message, len(status.Flags)-1)
}
