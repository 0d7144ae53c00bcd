package lifecycle

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/review"
)

// Refusal is why a Checkout does not count.
type Refusal struct {
	// Reason of its Ready condition.
	Reason v1alpha1.Reason
	// Message for people.
	Message string
}

// Refuse says why a Checkout does not count for a Passport; nil where it may. The Passport is nil
// where a live read found none.
func Refuse(passport *v1alpha1.Passport, checkout *v1alpha1.Checkout) *Refusal {
	if passport == nil {
		return &Refusal{
			v1alpha1.ReasonPassportNotFound,
			fmt.Sprintf("there is no Passport %s in namespace %s", checkout.Spec.PassportRef.Name, checkout.Namespace),
		}
	}
	if refusal := foreignCheckout(passport, checkout); refusal != nil {
		return refusal
	}
	if its := passport.Status.Checkout; its != nil && its.UID != checkout.UID {
		return &Refusal{v1alpha1.ReasonAlreadyCheckedOut, fmt.Sprintf("Checkout %s of passport %s came first", its.Name, passport.Name)}
	}
	return nil
}

// foreignCheckout says why a checkout cannot belong to the passport, whenever it was made.
func foreignCheckout(passport *v1alpha1.Passport, checkout *v1alpha1.Checkout) *Refusal {
	switch {
	case checkout.CreationTimestamp.Before(&passport.CreationTimestamp), judgedForAnother(passport, checkout):
		return &Refusal{
			v1alpha1.ReasonPassportNotFound,
			fmt.Sprintf("Passport %s is younger than this checkout, which was for another of that name", passport.Name),
		}
	case checkout.Spec.Source == v1alpha1.SourceOperator && checkout.Name != operatorCheckoutName(passport):
		return &Refusal{
			v1alpha1.ReasonPassportNotFound,
			fmt.Sprintf("this checkout was for another Passport of the name %s, which is gone", passport.Name),
		}
	case checkout.Spec.AgentRef.Name != passport.Spec.AgentRef.Name:
		return &Refusal{
			v1alpha1.ReasonNotYours,
			fmt.Sprintf("Passport %s belongs to agent %s, not to %s", passport.Name, passport.Spec.AgentRef.Name, checkout.Spec.AgentRef.Name),
		}
	case passport.Status.Phase == v1alpha1.PhaseRejected:
		return &Refusal{
			v1alpha1.ReasonPassportEnded,
			fmt.Sprintf("passport %s was never issued, so there is nothing to check out of: create another Passport", passport.Name),
		}
	case passport.Status.Issued != nil && passport.Status.Issued.Mode == v1alpha1.ModeStandard:
		return &Refusal{
			v1alpha1.ReasonCheckoutNotAvailable,
			fmt.Sprintf("Passport %s is in mode Standard, which has no checkout; it ends at %s", passport.Name, stamp(passport.Status.ExpirationTime.Time)),
		}
	default:
		return nil
	}
}

// judgedForAnother says whether a checkout was for an earlier Passport of this name, which may have been
// made in the same second.
func judgedForAnother(passport *v1alpha1.Passport, checkout *v1alpha1.Checkout) bool {
	return checkout.Status.PassportUID != "" && checkout.Status.PassportUID != passport.UID
}

// Refused is the status of a Checkout that does not count.
func Refused(passport *v1alpha1.Passport, checkout *v1alpha1.Checkout, refusal Refusal, now time.Time) v1alpha1.CheckoutStatus {
	status := *checkout.Status.DeepCopy()
	status.ObservedGeneration = checkout.Generation
	if passport != nil {
		status.PassportUID = passport.UID
	}
	set := func(condition v1alpha1.ConditionType, value metav1.ConditionStatus) {
		SetCondition(&status.Conditions, checkout.Generation, condition, value, refusal.Reason, refusal.Message, now)
	}
	set(v1alpha1.ConditionReady, metav1.ConditionFalse)
	set(v1alpha1.ConditionAccepted, metav1.ConditionFalse)
	set(v1alpha1.ConditionStalled, metav1.ConditionTrue)
	return status
}

// WasRefused says whether a Checkout is marked as one that does not count.
func WasRefused(checkout *v1alpha1.Checkout) bool {
	return meta.IsStatusConditionTrue(checkout.Status.Conditions, string(v1alpha1.ConditionStalled))
}

// firstCheckout is the earliest checkout of the passport that counts, nil where there is none.
func (s Situation) firstCheckout() *v1alpha1.Checkout {
	var first *v1alpha1.Checkout
	for i := range s.Checkouts {
		checkout := &s.Checkouts[i]
		if WasRefused(checkout) || foreignCheckout(s.Passport, checkout) != nil {
			continue
		}
		if first == nil || older(checkout, first) < 0 {
			first = checkout
		}
	}
	return first
}

// checkedOut is the end that a checkout brings; nil without one.
func checkedOut(passport *v1alpha1.Passport, checkout *v1alpha1.Checkout) *ending {
	if checkout == nil {
		return nil
	}
	message := fmt.Sprintf("checkout %s: %s%s", checkout.Name, checkout.Spec.Outcome, signedBy(checkout.Spec.SubmittedBy))
	return &ending{
		at: sinceIssue(passport, checkout.CreationTimestamp.Time), phase: v1alpha1.PhaseCheckedOut,
		reason: v1alpha1.ReasonCheckedOut, message: message,
	}
}

// onMission says whether a passport is a mission that somebody has to check out of.
func onMission(status *v1alpha1.PassportStatus) bool {
	return status.Issued != nil && status.Issued.Mode != v1alpha1.ModeStandard
}

// checkOut sees to it that a mission that is over has its one Checkout: the earliest that there is,
// or, in time, one of the operator's own.
func (o *Outcome) checkOut(s Situation) {
	if o.Status.Checkout != nil || !onMission(&o.Status) {
		return
	}
	first, due := s.firstCheckout(), checkoutDue(s)
	switch {
	case first == nil && s.Now.Before(due):
		o.Wake = due
	case s.ListedAt.IsZero():
		o.Confirm = true
	case first == nil:
		o.Checkout = operatorCheckout(s.Passport)
	default:
		o.claim(s, first)
	}
}

// claim makes a Checkout the passport's own. It is the first that a live LIST showed.
func (o *Outcome) claim(s Situation, checkout *v1alpha1.Checkout) {
	if checkout == nil || o.Status.Checkout != nil || !onMission(&o.Status) {
		return
	}
	o.Status.Checkout = &v1alpha1.CheckoutReference{Name: checkout.Name, UID: checkout.UID}
	abandoned := s.Passport.Status.EndTime
	if checkout.Spec.Source != v1alpha1.SourceOperator || o.Status.Phase != v1alpha1.PhaseExpired || abandoned == nil {
		return
	}
	if wait := seconds(s.Thresholds.AbandonedAfterSeconds); !checkout.CreationTimestamp.Time.Before(abandoned.Add(wait)) {
		o.find(s, s.accepted(review.Abandoned(abandoned.Time, wait)))
	}
}

// checkoutDue is when the operator checks out for an agent that did not: when the agent had its time
// after an expiry; zero, at once, after a revocation or when the Passport is being deleted.
func checkoutDue(s Situation) time.Time {
	if s.Passport.Status.Phase != v1alpha1.PhaseExpired || s.Passport.DeletionTimestamp != nil {
		return time.Time{}
	}
	return s.Passport.Status.EndTime.Add(seconds(s.Thresholds.AbandonedAfterSeconds))
}

// operatorCheckoutName derives from the Passport's UID, so that a repeat makes no second Checkout, and
// one that an operator with an old cache made ends no later Passport of the same name.
func operatorCheckoutName(passport *v1alpha1.Passport) string {
	return v1alpha1.OperatorCheckoutPrefix + passport.Name + "-" + derived(passport.UID, "checkout")
}

// operatorCheckout is the operator's own Checkout of a mission.
func operatorCheckout(passport *v1alpha1.Passport) *v1alpha1.Checkout {
	return &v1alpha1.Checkout{
		ObjectMeta: metav1.ObjectMeta{Namespace: passport.Namespace, Name: operatorCheckoutName(passport)},
		Spec: v1alpha1.CheckoutSpec{
			PassportRef: v1alpha1.PassportReference{Name: passport.Name},
			AgentRef:    passport.Spec.AgentRef,
			Source:      v1alpha1.SourceOperator,
			Outcome:     v1alpha1.OutcomeAborted,
			Summary:     fmt.Sprintf("The mission ended without a checkout: %s.", passport.Status.Phase),
		},
	}
}

// addSubmitter adds a username to a list of them, in order, as long as there is room.
func addSubmitter(submitters []string, by *v1alpha1.Actor) []string {
	const limit = 32
	if by == nil || len(submitters) >= limit {
		return submitters
	}
	at, known := slices.BinarySearch(submitters, by.Username)
	if known {
		return submitters
	}
	return slices.Insert(slices.Clone(submitters), at, by.Username)
}
