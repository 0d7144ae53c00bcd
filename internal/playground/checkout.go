package playground

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

// undeclared is a service that the agent is granted, uses, and does not declare.
const undeclared v1alpha1.ServiceName = "notion"

// checkOut ends the mission with a report that names more than its intent.
func (m *mission) checkOut(ctx context.Context) (string, error) {
	actions := int64(12)
	m.checkout = v1alpha1.Checkout{
		ObjectMeta: metav1.ObjectMeta{Name: m.passport.Name, Namespace: agentNamespace},
		Spec: v1alpha1.CheckoutSpec{
			PassportRef:  v1alpha1.PassportReference{Name: m.passport.Name},
			AgentRef:     v1alpha1.AgentReference{Name: agentName},
			ServicesUsed: append([]v1alpha1.ServiceName{undeclared}, intended...),
			ActionsCount: &actions,
			Summary:      "Ticket resolved; PR merged; customer notified",
		},
	}
	if err := m.agent.Create(ctx, &m.checkout); err != nil {
		return "", err
	}
	if err := m.signed(m.checkout.Spec.SubmittedBy, agentName); err != nil {
		return "", err
	}
	if err := m.awaitPhase(ctx, patience, v1alpha1.PhaseCheckedOut, v1alpha1.ReasonCheckedOut); err != nil {
		return "", err
	}
	if its := m.passport.Status.Checkout; its == nil || its.UID != m.checkout.UID {
		return "", errors.New("the passport does not name its checkout")
	}
	return fmt.Sprintf("%s checks out, having used %s too; its passport is CheckedOut", agentName, undeclared), nil
}

// awaitVerdict waits until the mission is judged: flagged for the service, and left to a person.
func (m *mission) awaitVerdict(ctx context.Context) (string, error) {
	err := eventually(ctx, patience, "the verdict", func(ctx context.Context) (string, error) {
		if err := m.reread(ctx); err != nil {
			return "", err
		}
		if !meta.IsStatusConditionTrue(m.checkout.Status.Conditions, string(v1alpha1.ConditionReady)) {
			return "the checkout is not judged", nil
		}
		return "", nil
	})
	if err != nil {
		return "", err
	}
	if verdict := m.checkout.Status.Verdict; verdict != v1alpha1.VerdictFlagged {
		return "", fmt.Errorf("the verdict is %q, not Flagged", verdict)
	}
	if err := m.isAccepted(metav1.ConditionUnknown, v1alpha1.ReasonAwaitingReview); err != nil {
		return "", err
	}
	for _, flag := range m.checkout.Status.Flags {
		if flag.Type == "undeclared_service" && flag.Service == undeclared && flag.Severity == v1alpha1.SeverityWarning {
			return fmt.Sprintf("verdict %s, %s: %q", m.checkout.Status.Verdict, flag.Type, flag.Message), nil
		}
	}
	return "", fmt.Errorf("no flag undeclared_service for %s", undeclared)
}

// reviewByAgent has the agent approve its own mission, and sees that this is refused.
func (m *mission) reviewByAgent(ctx context.Context) (string, error) {
	err := m.decide(ctx, m.agent, v1alpha1.DecisionApproved, "It was me, and it is fine")
	if err == nil {
		return "", errors.New("the agent could approve its own mission")
	}
	if !apierrors.IsForbidden(err) {
		return "", err
	}
	if err := m.reread(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s approves its own mission: refused", agentName),
		m.isAccepted(metav1.ConditionUnknown, v1alpha1.ReasonAwaitingReview)
}

// approve has the reviewer let the mission through.
func (m *mission) approve(ctx context.Context) (string, error) {
	const notes = "Notion use was ancillary; accept"
	if err := m.review(ctx, v1alpha1.DecisionApproved, notes); err != nil {
		return "", err
	}
	if m.block.Name != "" {
		return "", fmt.Errorf("the approval made AgentBlock %s", m.block.Name)
	}
	return fmt.Sprintf("%s approves (%q): accepted, reason Approved", reviewerName, notes),
		m.isAccepted(metav1.ConditionTrue, v1alpha1.ReasonApproved)
}

// blockAgent has the reviewer block the agent for the mission.
func (m *mission) blockAgent(ctx context.Context) (string, error) {
	const notes = "It read notes of another customer"
	if err := m.review(ctx, v1alpha1.DecisionBlocked, notes); err != nil {
		return "", err
	}
	switch {
	case m.block.Name == "":
		return "", errors.New("the review made no AgentBlock")
	case m.block.Spec.AgentRef == nil || m.block.Spec.AgentRef.Name != agentName || m.block.Spec.Lifted != nil:
		return "", fmt.Errorf("AgentBlock %s does not block %s", m.block.Name, agentName)
	}
	if err := m.signed(m.block.Spec.By, reviewerName); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s blocks (%q): AgentBlock %s", reviewerName, notes, m.block.Name),
		m.isAccepted(metav1.ConditionFalse, v1alpha1.ReasonBlocked)
}

// askInVain has the blocked agent ask for another passport, and sees that this is rejected.
func (m *mission) askInVain(ctx context.Context) (string, error) {
	next := m.newMission()
	if _, err := next.ask(ctx); err != nil {
		return "", err
	}
	if err := next.awaitPhase(ctx, patience, v1alpha1.PhaseRejected, v1alpha1.ReasonPassportBlocked); err != nil {
		return "", err
	}
	err := m.kubelet.Get(ctx, next.secretKey(), &corev1.Secret{})
	if err == nil {
		return "", errors.New("a passport that was rejected has a token")
	}
	return fmt.Sprintf("%s asks for passport %s: Rejected, reason PassportBlocked", agentName, next.passport.Name),
		client.IgnoreNotFound(err)
}

// liftBlock has the responder lift what the reviewer imposed.
func (m *mission) liftBlock(ctx context.Context) (string, error) {
	patch := client.MergeFrom(m.block.DeepCopy())
	m.block.Spec.Lifted = &v1alpha1.BlockLift{Reason: "The notes were in the ticket"}
	if err := m.responder.Patch(ctx, &m.block, patch); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s lifts the block (%q)", responderName, m.block.Spec.Lifted.Reason),
		m.signed(m.block.Spec.Lifted.By, responderName)
}

// review has the reviewer decide, waits until the operator has carried that out, and reads the block
// that it made, if any.
func (m *mission) review(ctx context.Context, decision v1alpha1.Decision, notes string) error {
	if err := m.decide(ctx, m.reviewer, decision, notes); err != nil {
		return err
	}
	if err := m.signed(m.checkout.Spec.Review.Reviewer, reviewerName); err != nil {
		return err
	}
	err := eventually(ctx, patience, "the review to be carried out", func(ctx context.Context) (string, error) {
		if err := m.reread(ctx); err != nil {
			return "", err
		}
		if m.checkout.Status.DecidedTime == nil {
			return "the checkout is not decided", nil
		}
		return "", nil
	})
	if err != nil {
		return err
	}
	var blocks v1alpha1.AgentBlockList
	if err := m.reviewer.List(ctx, &blocks, client.InNamespace(agentNamespace)); err != nil {
		return err
	}
	for _, block := range blocks.Items {
		if cause := block.Spec.Cause; cause != nil && cause.UID == m.checkout.UID {
			m.block = block
		}
	}
	return nil
}

// decide sets the review of the checkout as one of the actors.
func (m *mission) decide(ctx context.Context, actor client.Client, decision v1alpha1.Decision, notes string) error {
	reviewed := m.checkout.DeepCopy()
	reviewed.Spec.Review = &v1alpha1.Review{Decision: decision, Notes: notes}
	if err := actor.Patch(ctx, reviewed, client.MergeFrom(&m.checkout)); err != nil {
		return err
	}
	m.checkout = *reviewed
	return nil
}

// isAccepted checks what the checkout's condition Accepted says.
func (m *mission) isAccepted(status metav1.ConditionStatus, reason v1alpha1.Reason) error {
	accepted := meta.FindStatusCondition(m.checkout.Status.Conditions, string(v1alpha1.ConditionAccepted))
	if accepted == nil {
		return errors.New("the checkout has no condition Accepted")
	}
	if accepted.Status != status || accepted.Reason != string(reason) {
		return fmt.Errorf("condition Accepted of the checkout is %s for %s: %s", accepted.Status, accepted.Reason, accepted.Message)
	}
	return nil
}

// reread reads the checkout as the agent.
func (m *mission) reread(ctx context.Context) error {
	return m.agent.Get(ctx, client.ObjectKeyFromObject(&m.checkout), &m.checkout)
}
