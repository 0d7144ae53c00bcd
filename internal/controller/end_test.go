package controller_test

import (
	"context"
	"errors"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

// ended expects the mission to be over, and gives its status.
func (w *world) ended(phase v1alpha1.Phase, reason v1alpha1.Reason) v1alpha1.PassportStatus {
	GinkgoHelper()
	status := w.mission().Status
	Expect(status.Phase).To(Equal(phase))
	Expect(ready(status.Conditions)).To(Equal(reason))
	Expect(w.secretGone()).To(BeTrue(), "the Secret is removed")
	return status
}

// live makes an agent and a mission that is Active, and was issued so long ago.
func (w *world) live(ago time.Duration, with ...func(*v1alpha1.Passport)) {
	GinkgoHelper()
	w.agent()
	w.passport(with...)
	w.clock.Step(-ago)
	w.settle()
	w.clock.Step(ago)
	Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseActive))
	w.events()
}

// revoke sets spec.revocation of the mission.
func (w *world) revoke() {
	GinkgoHelper()
	mission := w.mission()
	mission.Spec.Revocation = &v1alpha1.Revocation{Reason: "wrong customer"}
	Expect(w.admin.Update(w.ctx, mission)).To(Succeed())
}

var _ = Describe("The end of a passport", func() {
	It("is silence, five seconds after an expiry without a checkpoint", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		expiry := w.mission().Status.ExpirationTime.Time
		w.clock.SetTime(expiry.Add(4 * time.Second))
		w.settle()
		Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseActive))
		w.clock.Step(time.Second)
		w.settle()
		status := w.ended(v1alpha1.PhaseExpired, v1alpha1.ReasonCheckpointSilence)
		Expect(status.EndTime.Time).To(BeTemporally("==", expiry))
		Expect(status.Signals).To(HaveLen(1))
		Expect(status.Signals[0].Type).To(Equal("checkpoint_silence"))
		Expect(status.CheckpointBy).To(BeNil())
		Expect(w.events()).To(ContainElements(
			ContainSubstring("Warning CheckpointSilence warning: no checkpoint was made by"),
			ContainSubstring("Warning Expired CheckpointSilence: no checkpoint was made by")))
	})

	It("is a revocation, by whoever is named", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.revoke()
		w.settle()
		w.ended(v1alpha1.PhaseRevoked, v1alpha1.ReasonRevokedByRequest)
		Expect(w.events()).To(ContainElement(ContainSubstring("Warning Revoked RevokedByRequest: wrong customer (by admin)")))
	})

	It("is a block of the agent, from the second it was made", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(100 * time.Second)
		made := w.block("stop").CreationTimestamp
		w.clock.Step(50 * time.Second)
		w.settle()
		status := w.ended(v1alpha1.PhaseRevoked, v1alpha1.ReasonAgentBlocked)
		Expect(status.EndTime.Time).To(BeTemporally("==", made.Time))
	})

	It("is a suspension of the agent", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		agent := &v1alpha1.AgentPassport{}
		Expect(w.get("support-bot", agent)).To(Succeed())
		agent.Spec.Suspend = true
		Expect(w.admin.Update(ctx, agent)).To(Succeed())
		w.settle()
		w.ended(v1alpha1.PhaseRevoked, v1alpha1.ReasonAgentSuspended)
	})

	It("is the deletion of the agent, also where another of its name follows at once", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		agent := &v1alpha1.AgentPassport{}
		Expect(w.get("support-bot", agent)).To(Succeed())
		Expect(w.admin.Delete(ctx, agent)).To(Succeed())
		w.agent()
		w.settle()
		w.ended(v1alpha1.PhaseRevoked, v1alpha1.ReasonAgentDeleted)
	})

	It("is not brought by a change of the agent: a live passport keeps what it was issued with", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		before := w.claims()
		agent := &v1alpha1.AgentPassport{}
		Expect(w.get("support-bot", agent)).To(Succeed())
		agent.Spec.Grants = nil
		agent.Spec.Accountability.Mode = v1alpha1.ModeStandard
		Expect(w.admin.Update(ctx, agent)).To(Succeed())
		w.restart()
		w.settle()
		Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseActive))
		Expect(w.claims()).To(Equal(before))
	})

	It("is its own deletion, which removes Secret, checkpoints and finalizer", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.checkpoint("first")
		w.settle()
		Expect(w.admin.Delete(ctx, w.mission())).To(Succeed())
		w.settle()
		Expect(apierrors.IsNotFound(w.get("mission", &v1alpha1.Passport{}))).To(BeTrue())
		Expect(apierrors.IsNotFound(w.get("first", &v1alpha1.Checkpoint{}))).To(BeTrue())
		Expect(w.secretGone()).To(BeTrue())
		Expect(w.events()).To(ContainElement(ContainSubstring("PassportDeleted")))
	})

	It("goes by the earliest: an expiry before a revocation", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(400 * time.Second)
		w.block("late")
		w.clock.Step(time.Minute)
		w.settle()
		w.ended(v1alpha1.PhaseExpired, v1alpha1.ReasonCheckpointSilence)
	})

	It("goes by the earliest: a block before an expiry that was seen first", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(200 * time.Second)
		w.block("early")
		w.clock.Step(time.Hour)
		w.settle()
		w.ended(v1alpha1.PhaseRevoked, v1alpha1.ReasonAgentBlocked)
	})

	It("goes by the revocation in the same second", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		w.passport()
		made := w.block("edge").CreationTimestamp.Time
		// Issued by a cache that does not show the block yet, to expire in the second of the block.
		w.passports.Client = unblocked{w.passports.Client}
		w.clock.SetTime(made.Add(-300 * time.Second))
		w.settle()
		expiry := w.mission().Status.ExpirationTime.Time
		Expect(expiry).To(BeTemporally("==", made))
		w.restart()
		w.clock.SetTime(expiry.Add(time.Minute))
		w.settle()
		w.ended(v1alpha1.PhaseRevoked, v1alpha1.ReasonAgentBlocked)
	})

	It("refuses checkpoints that come after it", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.revoke()
		w.settle()
		w.checkpoint("after")
		w.settle()
		Expect(w.judged("after")).To(Equal(v1alpha1.ReasonPassportEnded))
		Expect(w.events()).To(ContainElement(ContainSubstring("checkpoint after does not count")))
	})

	It("never changes", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.revoke()
		w.settle()
		before := w.ended(v1alpha1.PhaseRevoked, v1alpha1.ReasonRevokedByRequest)
		w.block("more")
		w.clock.Step(time.Hour)
		w.restart()
		w.settle()
		Expect(w.mission().Status).To(Equal(before))
	})
})

// unblocked is a cache that shows no AgentBlock yet.
type unblocked struct{ client.Client }

func (u unblocked) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if _, is := list.(*v1alpha1.AgentBlockList); is {
		return nil
	}
	return u.Client.List(ctx, list, opts...)
}

var _ = Describe("A finished passport", func() {
	It("is deleted with its checkpoints ttlSecondsAfterFinished after its review", func(ctx context.Context) {
		w := newWorld(ctx)
		kept := int32(3600)
		w.live(0, func(p *v1alpha1.Passport) { p.Spec.TTLSecondsAfterFinished = &kept })
		w.checkpoint("first")
		w.settle()
		w.revoke()
		w.settle()
		w.clock.Step(48 * time.Hour)
		w.settle()
		Expect(w.get("mission", &v1alpha1.Passport{})).To(Succeed(), "what awaits its review is kept")
		w.review(w.mission().Status.Checkout.Name, v1alpha1.DecisionBlocked, "never again")
		w.settle()
		decided := w.judgement(w.mission().Status.Checkout.Name).Status.DecidedTime
		w.clock.SetTime(decided.Add(3599 * time.Second))
		w.settle()
		Expect(w.get("mission", &v1alpha1.Passport{})).To(Succeed())
		w.clock.Step(time.Second)
		w.settle()
		Expect(apierrors.IsNotFound(w.get("mission", &v1alpha1.Passport{}))).To(BeTrue())
		Expect(apierrors.IsNotFound(w.get("first", &v1alpha1.Checkpoint{}))).To(BeTrue())
	})

	It("leaves nothing behind where it was deleted before it was issued", func(ctx context.Context) {
		w := newWorld(ctx)
		w.passport()
		w.settle()
		Expect(w.admin.Delete(ctx, w.mission())).To(Succeed())
		w.settle()
		Expect(apierrors.IsNotFound(w.get("mission", &v1alpha1.Passport{}))).To(BeTrue())
	})

	It("lets go of a Passport that spells out what Go would leave out", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		object := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "agentpassport.dev/v1alpha1", "kind": "Passport",
			"metadata": map[string]any{"namespace": w.namespace, "name": "mission"},
			"spec": map[string]any{
				"agentRef": map[string]any{"name": "support-bot"},
				"intent": map[string]any{
					"summary": "Answer one customer ticket", "services": []any{"slack"}, "willDelegate": false,
				},
			},
		}}
		Expect(w.admin.Create(ctx, object)).To(Succeed())
		w.settle()
		Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseActive))
		Expect(w.admin.Delete(ctx, object)).To(Succeed())
		w.settle()
		Expect(apierrors.IsNotFound(w.get("mission", &v1alpha1.Passport{}))).To(BeTrue())
	})

	It("lets go in a namespace that is being deleted", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}}
		Expect(w.admin.Delete(ctx, namespace)).To(Succeed())
		Expect(w.admin.DeleteAllOf(ctx, &v1alpha1.Passport{}, inNamespace(w))).To(Succeed())
		w.settle()
		Expect(apierrors.IsNotFound(w.get("mission", &v1alpha1.Passport{}))).To(BeTrue())
	})

	It("is held for an hour at most where its Secret cannot be removed", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.fault = func(_ int, write string, land func() error) error {
			if write == "delete Secret mission-token" {
				return errors.New("some webhook refuses it")
			}
			return land()
		}
		Expect(w.admin.Delete(ctx, w.mission())).To(Succeed())
		deleted := w.mission().DeletionTimestamp.Time
		Expect(w.settleUntil(5)).To(MatchError(ContainSubstring("some webhook refuses it")))
		w.clock.SetTime(deleted.Add(time.Hour))
		w.settle()
		Expect(apierrors.IsNotFound(w.get("mission", &v1alpha1.Passport{}))).To(BeTrue())
	})

	It("is let go at once where consent was taken back: the Secret goes with its owner", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.withdrawConsent()
		Expect(w.admin.Delete(ctx, w.mission())).To(Succeed())
		w.settle()
		Expect(apierrors.IsNotFound(w.get("mission", &v1alpha1.Passport{}))).To(BeTrue())
	})
})

var _ = Describe("The token Secret of a live passport", func() {
	It("comes back with the same claims where it is deleted or edited by hand", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		before := w.claims()
		secret := &corev1.Secret{}
		Expect(w.get("mission-token", secret)).To(Succeed())
		Expect(w.admin.Delete(ctx, secret)).To(Succeed())
		w.restart()
		w.settle()
		Expect(w.claims()).To(Equal(before))

		Expect(w.get("mission-token", secret)).To(Succeed())
		secret.Data["token"] = []byte("eyJhbGciOiJub25lIn0.e30.")
		Expect(w.admin.Update(ctx, secret)).To(Succeed())
		w.restart()
		w.settle()
		Expect(w.claims()).To(Equal(before))
	})

	It("tells of a conflict where somebody puts another in its place, and recovers", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		secret := &corev1.Secret{}
		Expect(w.get("mission-token", secret)).To(Succeed())
		Expect(w.admin.Delete(ctx, secret)).To(Succeed())
		theirs := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "mission-token"}}
		Expect(w.admin.Create(ctx, theirs)).To(Succeed())
		w.restart()
		w.settle()
		delivered := func() string {
			for _, condition := range w.mission().Status.Conditions {
				if condition.Type == string(v1alpha1.ConditionTokenDelivered) {
					return condition.Reason
				}
			}
			return ""
		}
		Expect(delivered()).To(Equal(string(v1alpha1.ReasonSecretConflict)))
		Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseActive))
		Expect(w.admin.Delete(ctx, theirs)).To(Succeed())
		w.settle()
		Expect(delivered()).To(Equal(string(v1alpha1.ReasonDelivered)))
		Expect(w.claims().ID).To(Equal(w.mission().Status.JTI))
	})
})

var _ = Describe("Signals", func() {
	outside := func(c *v1alpha1.Checkpoint) { c.Spec.ServicesUsed = []v1alpha1.ServiceName{"slack", "stripe"} }

	It("revoke an Enforced passport that used a service outside its scope, and block the agent", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(100 * time.Second)
		made := w.checkpoint("odd", outside).CreationTimestamp
		w.clock.Step(time.Minute)
		w.settle()
		status := w.ended(v1alpha1.PhaseRevoked, v1alpha1.ReasonSignalRaised)
		Expect(status.EndTime.Time).To(BeTemporally("==", made.Time))
		Expect(*status.Checkpoints).To(Equal(int32(1)), "the report itself counts")
		Expect(status.Signals[0].Type).To(Equal("credential_outside_scope"))
		Expect(status.Signals[0].Severity).To(Equal(v1alpha1.SeverityCritical))
		blocks := &v1alpha1.AgentBlockList{}
		Expect(w.admin.List(ctx, blocks, inNamespace(w))).To(Succeed())
		Expect(blocks.Items).To(HaveLen(1))
		Expect(blocks.Items[0].Spec.Cause.UID).To(Equal(w.mission().UID))
		Expect(blocks.Items[0].Spec.By.Username).To(Equal("system:serviceaccount:agent-passport-system:agent-passport-manager"))
	})

	It("only notify where the agent's accountability says so", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent(func(a *v1alpha1.AgentPassport) { a.Spec.Accountability.OnCritical = v1alpha1.EscalateNotify })
		w.passport()
		w.settle()
		w.checkpoint("odd", outside)
		w.settle()
		w.ended(v1alpha1.PhaseRevoked, v1alpha1.ReasonSignalRaised)
		blocks := &v1alpha1.AgentBlockList{}
		Expect(w.admin.List(ctx, blocks, inNamespace(w))).To(Succeed())
		Expect(blocks.Items).To(BeEmpty())
	})

	It("warn a Logged passport, which lives on", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent(in(v1alpha1.ModeLogged))
		w.passport()
		w.settle()
		w.checkpoint("odd", outside)
		w.settle()
		status := w.mission().Status
		Expect(status.Phase).To(Equal(v1alpha1.PhaseActive))
		Expect(status.Signals[0].Severity).To(Equal(v1alpha1.SeverityWarning))
	})

	It("are information while a standing exception covers them", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent(func(a *v1alpha1.AgentPassport) {
			a.Spec.Accountability.Accept = []v1alpha1.StandingException{{
				Type: "credential_outside_scope", Service: "stripe", Until: metav1.NewTime(time.Now().Add(time.Hour)), Reason: "migration",
			}}
		})
		w.passport()
		w.settle()
		w.checkpoint("odd", outside)
		w.settle()
		status := w.mission().Status
		Expect(status.Phase).To(Equal(v1alpha1.PhaseActive))
		Expect(status.Signals[0].Severity).To(Equal(v1alpha1.SeverityInfo))
		Expect(status.Signals[0].Message).To(ContainSubstring("accepted until"))
	})

	It("say nothing of a service that is granted, or named in the intent", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.checkpoint("granted", func(c *v1alpha1.Checkpoint) { c.Spec.ServicesUsed = []v1alpha1.ServiceName{"notion", "github"} })
		w.settle()
		Expect(w.mission().Status.Signals).To(BeEmpty())
	})
})

var _ = Describe("A namespace that takes its consent back", func() {
	It("is told what to do about the Secret of a passport that ended", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.withdrawConsent()
		w.revoke()
		w.settle()
		Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseRevoked))
		Expect(w.events()).To(ContainElement(ContainSubstring("SecretNotRemoved")))
	})
})
