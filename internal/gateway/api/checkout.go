package api

import (
	"context"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

// checkoutRequest is what the whole mission did.
type checkoutRequest struct {
	ServicesUsed []string `json:"services_used"`
	ActionsCount *int64   `json:"actions_count"`
	Summary      string   `json:"summary"`
	Outcome      string   `json:"outcome"`
}

// outcomes are how a mission went, as this API writes it.
var outcomes = map[string]v1alpha1.MissionOutcome{
	"": v1alpha1.OutcomeSucceeded, "succeeded": v1alpha1.OutcomeSucceeded,
	"failed": v1alpha1.OutcomeFailed, "aborted": v1alpha1.OutcomeAborted,
}

// checkoutAnswer is what the detectors say of a mission.
type checkoutAnswer struct {
	JTI            string     `json:"jti"`
	CheckoutStatus string     `json:"checkout_status"`
	Flags          []flagBody `json:"flags"`
	// ReviewID is there where a person has to decide, or has decided.
	ReviewID string `json:"review_id,omitempty"`
}

// flagBody is something that deserves a second look.
type flagBody struct {
	Type     string `json:"type"`
	Severity string `json:"severity"`
	Message  string `json:"message"`
	Service  string `json:"service,omitempty"`
}

func flagsOf(flags []v1alpha1.Flag) []flagBody {
	told := make([]flagBody, len(flags))
	for i, flag := range flags {
		told[i] = flagBody{Type: flag.Type, Severity: string(flag.Severity), Message: flag.Message, Service: string(flag.Service)}
	}
	return told
}

// checkout ends a mission and waits for the verdict. A mission has one Checkout: a second call gives the
// first one's verdict.
func (s *service) checkout(c *call) error {
	var body checkoutRequest
	if err := c.read(&body); err != nil {
		return err
	}
	outcome, known := outcomes[body.Outcome]
	if !known {
		return invalid(fault{Field: "outcome", Message: "has to be succeeded, failed or aborted"})
	}
	if _, err := c.idempotencyKey(); err != nil {
		return err
	}
	passport, err := s.passport(c)
	if err != nil {
		return err
	}
	if err := s.may(c, toAct("checkouts", passport.Namespace, passport.Spec.AgentRef.Name)...); err != nil {
		return err
	}
	if passport.Status.Checkout != nil {
		return s.verdictOf(c, passport, passport.Status.Checkout)
	}
	if err := checkoutable(passport); err != nil {
		return err
	}
	checkout := &v1alpha1.Checkout{
		ObjectMeta: metav1.ObjectMeta{Namespace: passport.Namespace, Name: checkoutName(passport)},
		Spec: v1alpha1.CheckoutSpec{
			PassportRef: v1alpha1.PassportReference{Name: passport.Name},
			AgentRef:    passport.Spec.AgentRef,
			Source:      v1alpha1.SourceAgent, Outcome: outcome,
			ServicesUsed: named[v1alpha1.ServiceName](body.ServicesUsed),
			ActionsCount: body.ActionsCount, Summary: body.Summary, SubmittedBy: c.caller(),
		},
	}
	if err := s.checkoutOnce(c.r.Context(), passport, checkout); err != nil {
		return err
	}
	return s.judged(c, passport, checkout)
}

// checkoutName follows from the Passport, so that two calls make one Checkout.
func checkoutName(passport *v1alpha1.Passport) string {
	return "checkout-" + derive("checkout-of", string(passport.UID))
}

// checkoutOnce makes the mission's Checkout, or finds the one that the API has made before. What somebody
// else has put in its place ends no mission, and is passed by.
func (s *service) checkoutOnce(ctx context.Context, passport *v1alpha1.Passport, checkout *v1alpha1.Checkout) error {
	wanted := checkout.DeepCopy()
	err := s.Client.Create(ctx, checkout)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	if err := s.Client.Get(ctx, client.ObjectKeyFromObject(checkout), checkout); err != nil {
		return err
	}
	if checkout.Spec.PassportRef.Name == passport.Name && checkout.Spec.AgentRef == passport.Spec.AgentRef {
		return nil
	}
	*checkout = *wanted
	checkout.Name, checkout.GenerateName = "", "checkout-"
	return s.Client.Create(ctx, checkout)
}

// checkoutable says why a passport takes no checkout. One that has ended by itself takes a late one.
func checkoutable(passport *v1alpha1.Passport) error {
	err := reportable(passport)
	switch passport.Status.Phase {
	case v1alpha1.PhaseExpired, v1alpha1.PhaseRevoked, v1alpha1.PhaseCheckedOut:
		if passport.Status.Issued != nil && passport.Status.Issued.Mode != v1alpha1.ModeStandard {
			return nil
		}
	default:
	}
	return err
}

// verdictOf waits for the verdict on the mission's own Checkout.
func (s *service) verdictOf(c *call, passport *v1alpha1.Passport, reference *v1alpha1.CheckoutReference) error {
	checkout := &v1alpha1.Checkout{}
	key := types.NamespacedName{Namespace: passport.Namespace, Name: reference.Name}
	if err := s.Client.Get(c.r.Context(), key, checkout); err != nil {
		return err
	}
	return s.judged(c, passport, checkout)
}

// judged answers once there is a verdict on a Checkout; with 202 where that takes too long.
func (s *service) judged(c *call, passport *v1alpha1.Passport, checkout *v1alpha1.Checkout) error {
	ctx, cancel := context.WithTimeout(c.r.Context(), s.CheckoutTimeout)
	defer cancel()
	stored, err := s.View.AwaitCheckout(ctx, client.ObjectKeyFromObject(checkout), checkout.UID, func(stored *v1alpha1.Checkout) bool {
		return stored.Status.Verdict != "" || meta.IsStatusConditionTrue(stored.Status.Conditions, string(v1alpha1.ConditionStalled))
	})
	if err != nil {
		if c.r.Context().Err() != nil {
			return err
		}
		return c.answer(http.StatusAccepted, checkoutAnswer{JTI: passport.Status.JTI, CheckoutStatus: "pending", Flags: []flagBody{}})
	}
	if stored.Status.Verdict != "" {
		return c.give(verdict(stored))
	}
	return s.another(c, passport, stored)
}

// another answers for a Checkout that does not count: by the one that came first, where that is why.
func (s *service) another(c *call, passport *v1alpha1.Passport, refusedOne *v1alpha1.Checkout) error {
	ready := meta.FindStatusCondition(refusedOne.Status.Conditions, string(v1alpha1.ConditionReady))
	if ready == nil || ready.Reason != string(v1alpha1.ReasonAlreadyCheckedOut) {
		return refused(passport.Status.JTI, ready)
	}
	latest := &v1alpha1.Passport{}
	if err := s.Client.Get(c.r.Context(), client.ObjectKeyFromObject(passport), latest); err != nil {
		return err
	}
	if latest.Status.Checkout == nil || latest.Status.Checkout.UID == refusedOne.UID {
		return refused(passport.Status.JTI, ready)
	}
	return s.verdictOf(c, latest, latest.Status.Checkout)
}

func verdict(checkout *v1alpha1.Checkout) checkoutAnswer {
	answer := checkoutAnswer{
		JTI: checkout.Status.JTI, CheckoutStatus: strings.ToLower(string(checkout.Status.Verdict)),
		Flags: flagsOf(checkout.Status.Flags),
	}
	if checkout.Status.Verdict != v1alpha1.VerdictClean {
		answer.ReviewID = ReviewID(checkout.UID)
	}
	return answer
}
