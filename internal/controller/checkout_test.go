package controller_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/utils/ptr"

	"agentpassport.dev/operator/api/v1alpha1"
)

var _ = Describe("A checkout", func() {
	It("ends a mission, and is judged", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		w.passport()
		w.settle()
		w.checkpoint("first")
		w.settle()
		w.checkout("done")
		w.settle()
		mission := w.mission()
		Expect(mission.Status.Phase).To(Equal(v1alpha1.PhaseCheckedOut))
		done := w.judgement("done")
		Expect(mission.Status.Checkout).To(Equal(&v1alpha1.CheckoutReference{Name: "done", UID: done.UID}))
		Expect(done.Status.Verdict).To(Equal(v1alpha1.VerdictClean))
		Expect(accepted(done)).To(Equal("True Clean"))
		Expect(w.secretGone()).To(BeTrue())
		GinkgoWriter.Println(w.wrote(), done.Status)
	})

	It("is flagged for a service that the intent does not name, and waits for a person", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		w.passport()
		w.settle()
		w.checkout("done", using("slack", "notion"))
		w.settle()
		done := w.judgement("done")
		Expect(done.Status.Verdict).To(Equal(v1alpha1.VerdictFlagged))
		Expect(accepted(done)).To(Equal("Unknown AwaitingReview"))
		Expect(done.Status.Flags[0].Type).To(Equal("undeclared_service"))
		w.review("done", v1alpha1.DecisionApproved, "Notion use was ancillary")
		w.settle()
		Expect(accepted(w.judgement("done"))).To(Equal("True Approved"))
	})

	It("of an ungranted service blocks the agent at once; a reviewer lifts that block", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		w.passport()
		w.settle()
		w.checkout("done", using("stripe"))
		w.settle()
		done := w.judgement("done")
		Expect(done.Status.Verdict).To(Equal(v1alpha1.VerdictBlocked))
		blocks := &v1alpha1.AgentBlockList{}
		Expect(w.admin.List(ctx, blocks, inNamespace(w))).To(Succeed())
		Expect(blocks.Items).To(HaveLen(1))
		w.review("done", v1alpha1.DecisionBlocked, "no")
		w.settle()
		Expect(accepted(w.judgement("done"))).To(Equal("False Blocked"))
		Expect(w.admin.List(ctx, blocks, inNamespace(w))).To(Succeed())
		Expect(blocks.Items).To(HaveLen(2))
	})

	It("is the operator's an hour after an expiry without one", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		w.passport()
		w.settle()
		w.clock.Step(310 * time.Second)
		w.settle()
		Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseExpired))
		Expect(w.mission().Status.Checkout).To(BeNil())
		w.clock.Step(time.Hour)
		w.settle()
		GinkgoWriter.Println(w.mission().Status)
		Expect(w.mission().Status.Checkout).NotTo(BeNil())
		own := w.judgement(w.mission().Status.Checkout.Name)
		Expect(own.Spec.Source).To(Equal(v1alpha1.SourceOperator))
		Expect(own.Status.Verdict).To(Equal(v1alpha1.VerdictFlagged))
	})

	It("enters the agent's baseline once, and goes with its mission", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		w.passport(func(p *v1alpha1.Passport) { p.Spec.TTLSecondsAfterFinished = ptr.To(int32(60)) })
		w.settle()
		w.checkout("done")
		w.settle()
		w.clock.Step(11 * time.Second)
		w.settle()
		agent := &v1alpha1.AgentPassport{}
		Expect(w.get("support-bot", agent)).To(Succeed())
		Expect(agent.Status.Baseline.Missions).To(BeEquivalentTo(1))
		Expect(w.judgement("done").Status.BaselineTime).NotTo(BeNil())
		w.clock.SetTime(w.mission().Status.EndTime.Add(61 * time.Second))
		w.settle()
		Expect(w.get("done", &v1alpha1.Checkout{})).NotTo(Succeed())
	})
})

func using(services ...v1alpha1.ServiceName) func(*v1alpha1.Checkout) {
	return func(checkout *v1alpha1.Checkout) { checkout.Spec.ServicesUsed = services }
}
