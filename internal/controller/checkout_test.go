package controller_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"

	"agentpassport.dev/operator/api/v1alpha1"
)

// using has a checkout report these services.
func using(services ...v1alpha1.ServiceName) func(*v1alpha1.Checkout) {
	return func(checkout *v1alpha1.Checkout) { checkout.Spec.ServicesUsed = services }
}

// inForce gives the causes of the blocks that are in force, by kind.
func (w *world) inForce() []string {
	GinkgoHelper()
	var causes []string
	for _, block := range w.view().blocks.Items {
		switch {
		case block.Spec.Lifted != nil:
		case block.Spec.Cause == nil:
			causes = append(causes, "a person")
		default:
			causes = append(causes, block.Spec.Cause.Kind)
		}
	}
	return causes
}

// flagsOf gives the types of a checkout's flags.
func flagsOf(checkout *v1alpha1.Checkout) []string {
	var kinds []string
	for _, flag := range checkout.Status.Flags {
		kinds = append(kinds, flag.Type)
	}
	return kinds
}

var _ = Describe("A checkout", func() {
	It("ends its mission with three writes", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.checkpoint("report")
		w.settle()
		w.wrote()
		done := w.checkout("done")
		w.settle()
		Expect(w.wrote()).To(Equal([]string{
			"update status Passport mission", "delete Secret mission-token", "update status Checkout done",
		}))
		status := w.ended(v1alpha1.PhaseCheckedOut, v1alpha1.ReasonCheckedOut)
		Expect(status.EndTime.Time).To(BeTemporally("==", done.CreationTimestamp.Time))
		Expect(status.Checkout).To(Equal(&v1alpha1.CheckoutReference{Name: "done", UID: done.UID}))
		Expect(w.events()).To(ContainElements(
			ContainSubstring("Normal CheckedOut checkout done: Succeeded (by admin)"),
			ContainSubstring("mission of agent support-bot: the detectors found nothing that needs a person")))
	})

	It("keeps all that it was judged by", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.checkpoint("report")
		w.settle()
		w.checkout("done", using("slack", "notion"))
		w.settle()
		mission := w.mission()
		Expect(w.admin.Delete(ctx, mission)).To(Succeed())
		w.settle()
		Expect(apierrors.IsNotFound(w.get("mission", &v1alpha1.Passport{}))).To(BeTrue())

		done := w.judgement("done")
		Expect(done.Status.Verdict).To(Equal(v1alpha1.VerdictFlagged))
		Expect(accepted(done)).To(Equal("Unknown AwaitingReview"))
		Expect(done.Status.JTI).To(Equal(mission.Status.JTI))
		Expect(done.Status.SessionID).To(Equal(mission.Status.SessionID))
		Expect(done.Status.PassportUID).To(Equal(mission.UID))
		Expect(done.Status.Flags[0]).To(Equal(v1alpha1.Flag{
			Type: "undeclared_service", Severity: v1alpha1.SeverityWarning, Service: "notion",
			Message: "Agent used notion but did not declare it in intent", Evidence: done.Status.Flags[0].Evidence,
		}))
		Expect(done.Status.Flags[0].Evidence).NotTo(BeEmpty())
		record := done.Status.Mission
		Expect(record.Intent).To(Equal(mission.Spec.Intent))
		Expect(record.GrantedServices).To(Equal([]v1alpha1.ServiceName{"github", "notion", "slack"}))
		Expect(record.ServicesUsed).To(Equal([]v1alpha1.ServiceName{"notion", "slack"}))
		Expect(record.Phase).To(Equal(v1alpha1.PhaseCheckedOut))
		Expect(record.Checkpoints).To(BeEquivalentTo(1))
		Expect(record.CheckpointActions).To(BeEquivalentTo(3))
		Expect(record.Actions).To(BeEquivalentTo(12))
		Expect(record.RequestedBy.Username).To(Equal("admin"))
		Expect(record.Submitters).To(Equal([]string{"admin"}))
		Expect(record.DurationSeconds).To(BeEquivalentTo(mission.Status.EndTime.Sub(mission.Status.IssueTime.Time) / time.Second))
	})

	It("is late after an expiry, is judged, and leaves the phase", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(400 * time.Second)
		w.settle()
		w.ended(v1alpha1.PhaseExpired, v1alpha1.ReasonCheckpointSilence)
		for _, name := range []string{"one", "two"} {
			w.checkout(name)
		}
		w.settle()
		w.ended(v1alpha1.PhaseExpired, v1alpha1.ReasonCheckpointSilence)
		// Made in the same second: the lower UID is the first.
		first := w.mission().Status.Checkout.Name
		second := map[string]string{"one": "two", "two": "one"}[first]
		Expect(w.judgement(first).UID < w.judgement(second).UID || w.judgement(first).CreationTimestamp.Before(&w.judgement(second).CreationTimestamp)).To(BeTrue())
		Expect(flagsOf(w.judgement(first))).To(ContainElements("late_checkout", "signal_raised"))
		Expect(accepted(w.judgement(second))).To(Equal("False AlreadyCheckedOut"))
		Expect(ready(w.judgement(second).Status.Conditions)).To(Equal(v1alpha1.ReasonAlreadyCheckedOut))
		w.clock.SetTime(w.judgement(second).CreationTimestamp.Add(time.Hour))
		w.settle()
		Expect(apierrors.IsNotFound(w.get(second, &v1alpha1.Checkout{}))).To(BeTrue(), "what does not count goes after an hour")
		w.judgement(first)
	})

	It("counts what was made before its mission was issued", func(ctx context.Context) {
		w := newWorld(ctx)
		w.passport()
		w.checkout("early")
		w.settle()
		Expect(w.judgement("early").Status.Conditions).To(BeEmpty())
		w.agent()
		w.settle()
		status := w.ended(v1alpha1.PhaseCheckedOut, v1alpha1.ReasonCheckedOut)
		Expect(status.EndTime).To(Equal(status.IssueTime))
		Expect(w.judgement("early").Status.Verdict).To(Equal(v1alpha1.VerdictClean))
	})

	It("is judged before it goes, where it is deleted at once", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.checkout("done")
		Expect(w.admin.Delete(ctx, w.judgement("done"))).To(Succeed())
		w.settle()
		w.ended(v1alpha1.PhaseCheckedOut, v1alpha1.ReasonCheckedOut)
		Expect(apierrors.IsNotFound(w.get("done", &v1alpha1.Checkout{}))).To(BeTrue())
	})

	It("is judged however long the operator was down, where its mission was deleted meanwhile", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.checkout("done", using("slack", "notion"))
		Expect(w.admin.Delete(ctx, w.mission())).To(Succeed())
		w.clock.Step(2 * time.Hour)
		w.restart()
		w.settle()
		Expect(apierrors.IsNotFound(w.get("mission", &v1alpha1.Passport{}))).To(BeTrue())
		Expect(w.judgement("done").Status.Verdict).To(Equal(v1alpha1.VerdictFlagged))
		Expect(flagsOf(w.judgement("done"))).To(ContainElement("undeclared_service"))
	})
})

var _ = Describe("A mission without a checkout", func() {
	It("gets the operator's an hour after its expiry", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.clock.SetTime(w.mission().Status.ExpirationTime.Add(time.Hour - time.Second))
		w.settle()
		w.ended(v1alpha1.PhaseExpired, v1alpha1.ReasonCheckpointSilence)
		Expect(w.view().checkouts.Items).To(BeEmpty())
		w.clock.Step(time.Second)
		w.settle()
		own := w.judgement(w.mission().Status.Checkout.Name)
		Expect(own.Spec.Source).To(Equal(v1alpha1.SourceOperator))
		Expect(own.Spec.SubmittedBy.Username).To(Equal("system:serviceaccount:agent-passport-system:agent-passport-manager"))
		Expect(own.Status.Mission.Submitters).To(BeEmpty())
		Expect(accepted(own)).To(Equal("Unknown AwaitingReview"))
		Expect(flagsOf(own)).To(ContainElement("no_checkout"))
	})

	It("gets it at once where it is revoked", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.revoke()
		w.settle()
		own := w.judgement(w.mission().Status.Checkout.Name)
		Expect(flagsOf(own)).To(ContainElement("no_checkout"))
		Expect(own.Status.Mission.Message).To(Equal("wrong customer (by admin)"))
	})

	It("gets none in mode Standard", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent(in(v1alpha1.ModeStandard))
		w.passport()
		w.settle()
		w.checkout("done")
		w.clock.Step(3 * time.Hour)
		w.settle()
		w.ended(v1alpha1.PhaseExpired, v1alpha1.ReasonTTLElapsed)
		Expect(w.mission().Status.Checkout).To(BeNil())
	})

	It("is not held by a namespace that is going", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		// There is no namespace controller here: the spec deletes what it would.
		Expect(w.admin.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}})).To(Succeed())
		Expect(w.admin.Delete(ctx, w.mission())).To(Succeed())
		w.settle()
		Expect(apierrors.IsNotFound(w.get("mission", &v1alpha1.Passport{}))).To(BeTrue())
	})
})

var _ = Describe("A review", func() {
	flagged := func(ctx context.Context, service v1alpha1.ServiceName) *world {
		w := newWorld(ctx)
		checkedOut(service)(w)
		w.settle()
		w.wrote()
		w.events()
		return w
	}

	It("approves, and lifts the block of the mission's own flags alone", func(ctx context.Context) {
		w := flagged(ctx, "stripe")
		Expect(w.judgement("done").Status.Verdict).To(Equal(v1alpha1.VerdictBlocked))
		w.block("by-hand")
		Expect(w.inForce()).To(ConsistOf("Checkout", "a person"))
		w.review("done", v1alpha1.DecisionApproved, "stripe was agreed on the phone")
		w.settle()
		done := w.judgement("done")
		Expect(accepted(done)).To(Equal("True Approved"))
		Expect(done.Status.Verdict).To(Equal(v1alpha1.VerdictBlocked), "a verdict never changes")
		Expect(w.inForce()).To(ConsistOf("a person"))
		for _, block := range w.view().blocks.Items {
			if block.Spec.Cause != nil {
				Expect(block.Spec.Lifted.By).To(Equal(&v1alpha1.Actor{
					Username: "admin", Via: "system:serviceaccount:agent-passport-system:agent-passport-manager",
				}))
				Expect(block.Spec.Lifted.Reason).To(Equal("checkout done was approved: stripe was agreed on the phone"))
			}
		}
		Expect(w.events()).To(ContainElement(ContainSubstring("Normal Approved approved (by admin): stripe was agreed on the phone")))
	})

	It("blocks, and leaves one block in force, in the reviewer's name", func(ctx context.Context) {
		w := flagged(ctx, "stripe")
		w.review("done", v1alpha1.DecisionBlocked, "never again")
		w.settle()
		Expect(accepted(w.judgement("done"))).To(Equal("False Blocked"))
		Expect(w.inForce()).To(ConsistOf("Checkout"))
		for _, block := range w.view().blocks.Items {
			if block.Spec.Lifted == nil {
				Expect(block.Spec.By.Username).To(Equal("admin"))
				Expect(block.Spec.Reason).To(Equal("review of checkout done: never again"))
			}
		}
		w.passport(func(p *v1alpha1.Passport) { p.Name = "next" })
		w.settle()
		next := &v1alpha1.Passport{}
		Expect(w.get("next", next)).To(Succeed())
		Expect(ready(next.Status.Conditions)).To(Equal(v1alpha1.ReasonPassportBlocked))
	})

	It("that approves lifts the block of the mission's signals too", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.checkpoint("odd", func(c *v1alpha1.Checkpoint) { c.Spec.ServicesUsed = []v1alpha1.ServiceName{"stripe"} })
		w.settle()
		Expect(w.inForce()).To(ConsistOf("Passport"), "what the signal blocked for is not blocked for twice")
		w.review(w.mission().Status.Checkout.Name, v1alpha1.DecisionApproved, "")
		w.settle()
		Expect(w.inForce()).To(BeEmpty())
	})

	It("is not wanted where a standing exception covers what was found", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent(func(a *v1alpha1.AgentPassport) {
			a.Spec.Accountability.Accept = []v1alpha1.StandingException{{
				Type: "undeclared_service", Service: "notion", Reason: "moving to Notion",
				Until: metav1.NewTime(time.Now().Add(time.Hour)),
			}}
		})
		w.passport()
		w.settle()
		w.checkout("done", using("slack", "notion"))
		w.settle()
		done := w.judgement("done")
		Expect(accepted(done)).To(Equal("True Clean"))
		Expect(done.Status.Flags[0].Severity).To(Equal(v1alpha1.SeverityInfo))
		Expect(done.Status.Flags[0].Message).To(ContainSubstring("moving to Notion"))
	})
})

var _ = Describe("An agent's baseline", func() {
	It("is fed once by each mission that was accepted, and the mission goes after that", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0, func(p *v1alpha1.Passport) { p.Spec.TTLSecondsAfterFinished = ptr.To(int32(0)) })
		w.checkout("done")
		w.settle()
		Expect(w.get("mission", &v1alpha1.Passport{})).To(Succeed(), "nothing goes before it is in the baseline")
		w.clock.Step(10 * time.Second)
		w.wrote()
		w.settle()
		agent := &v1alpha1.AgentPassport{}
		Expect(w.get("support-bot", agent)).To(Succeed())
		Expect(agent.Status.Baseline.Missions).To(BeEquivalentTo(1))
		Expect(agent.Status.Baseline.Actions.Mean).To(BeEquivalentTo("12"))
		Expect(w.wrote()[:2]).To(Equal([]string{"update status AgentPassport support-bot", "update status Checkout done"}))
		Expect(apierrors.IsNotFound(w.get("mission", &v1alpha1.Passport{}))).To(BeTrue())
		Expect(apierrors.IsNotFound(w.get("done", &v1alpha1.Checkout{}))).To(BeTrue())
	})

	It("is fed by any number of missions that end at once", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		const missions = 22
		for i := range missions {
			name := fmt.Sprintf("mission-%d", i)
			w.passport(func(p *v1alpha1.Passport) { p.Name = name })
			w.checkout("done-"+name, func(c *v1alpha1.Checkout) { c.Spec.PassportRef.Name = name })
		}
		for range 4 {
			now := w.view()
			Expect(w.reconcileEach(&now.passports, w.passports.Reconcile)).To(Succeed())
			Expect(w.reconcileEach(&now.checkouts, w.checkouts.Reconcile)).To(Succeed())
		}
		agent := ctrl.Request{NamespacedName: types.NamespacedName{Namespace: w.namespace, Name: "support-bot"}}
		rounds := 0
		for again := time.Nanosecond; again > 0; rounds++ {
			w.clock.Step(again)
			result, err := w.agents.Reconcile(ctx, agent)
			Expect(err).NotTo(HaveOccurred())
			again = result.RequeueAfter
		}
		Expect(rounds).To(BeNumerically("<", 5))
		Expect(w.view().agents.Items[0].Status.Baseline.Missions).To(BeEquivalentTo(missions))
	})

	It("has nothing of what awaits its review, or was blocked", func(ctx context.Context) {
		w := newWorld(ctx)
		checkedOut("notion")(w)
		w.settle()
		w.clock.Step(time.Minute)
		w.settle()
		w.review("done", v1alpha1.DecisionBlocked, "no")
		w.settle()
		w.clock.Step(time.Minute)
		w.settle()
		Expect(w.view().agents.Items[0].Status.Baseline).To(BeNil())
	})

	It("flags a mission that takes far more actions than the last five", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		mission := func(name string, actions int64) *v1alpha1.Checkout {
			w.passport(func(p *v1alpha1.Passport) { p.Name = name })
			w.settle()
			w.checkout("done-"+name, func(c *v1alpha1.Checkout) {
				c.Spec.PassportRef.Name, c.Spec.ActionsCount = name, &actions
			})
			w.settle()
			w.clock.Step(10 * time.Second)
			w.settle()
			return w.judgement("done-" + name)
		}
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			Expect(flagsOf(mission(name, 12))).NotTo(ContainElement("action_volume_anomaly"))
		}
		odd := mission("f", 500)
		Expect(flagsOf(odd)).To(ContainElement("action_volume_anomaly"))
		Expect(odd.Status.Mission.Baseline.Missions).To(BeEquivalentTo(5))
	})
})
