package controller_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/utils/ptr"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/channel/wire"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/lifecycle"
)

// raised tells a passport's signals, such as "scope_drift warning 2".
func raised(passport *v1alpha1.Passport) []string {
	var told []string
	for _, signal := range passport.Status.Signals {
		told = append(told, fmt.Sprintf("%s %s %d", signal.Type, signal.Severity, signal.Count))
	}
	return told
}

// flagged tells a Checkout's flags, such as "warning denied_calls".
func flagged(checkout *v1alpha1.Checkout) []string {
	var told []string
	for _, flag := range checkout.Status.Flags {
		told = append(told, string(flag.Severity)+" "+flag.Type)
	}
	return told
}

var _ = Describe("What a gateway reports", func() {
	It("revokes an Enforced passport that drifts, once, and is settled", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.saw(w.mission(), "scope_drift")
		w.settle()
		status := w.ended(v1alpha1.PhaseRevoked, v1alpha1.ReasonSignalRaised)
		Expect(raised(w.mission())).To(Equal([]string{"scope_drift warning 1"}))
		Expect(status.Observers).To(Equal([]v1alpha1.ObserverSequence{{Gateway: "gateway-0", Sequence: 1}}))
		w.settle()
		Expect(w.gateways.unsettled).To(BeEmpty())
	})

	It("does not revoke a Logged one", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent(in(v1alpha1.ModeLogged))
		w.passport()
		w.settle()
		w.saw(w.mission(), "scope_drift")
		w.settle()
		Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseActive))
		Expect(raised(w.mission())).To(Equal([]string{"scope_drift warning 1"}))
	})

	It("counts once what is repeated, and passports that are gone have nothing to wait for", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		mission := w.mission()
		w.saw(mission, "constraint_violation", func(s *wire.Signal) { s.Count = 2 })
		again := w.gateways.unsettled
		w.settle()
		w.gateways.unsettled = again
		w.restart()
		w.settle()
		w.settle()
		Expect(raised(w.mission())).To(Equal([]string{"constraint_violation warning 2"}))
		Expect(w.gateways.unsettled).To(BeEmpty())

		settled, err := w.reports.Report(ctx, []wire.Signal{
			{Gateway: "gateway-0", Sequence: 9, Namespace: w.namespace, Name: "mission", UID: "an-earlier-one", Type: "scope_drift"},
			{Gateway: "gateway-0", Sequence: 9, Namespace: w.namespace, Name: "nobody", UID: "nobody", Type: "scope_drift"},
			{Gateway: "gateway-0", Sequence: 0, Namespace: w.namespace, Name: "mission", UID: string(mission.UID), Type: "scope_drift"},
			{Gateway: "no gateway", Sequence: 9, Namespace: w.namespace, Name: "mission", UID: string(mission.UID), Type: "scope_drift"},
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(settled).To(HaveEach(BeTrue()))
		_, err = w.reports.Report(ctx, make([]wire.Signal, wire.MaxItems+1))
		Expect(err).To(HaveOccurred())
	})

	It("is not settled as long as it is not stored", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.saw(w.mission(), "constraint_violation")
		w.fault = func(int, string, func() error) error { return errUnavailable }
		Expect(w.round()).NotTo(Succeed())
		Expect(w.gateways.unsettled).To(HaveLen(1))
		Expect(w.reports.Waiting()).To(BeZero(), "nobody waits any more")
		w.fault = nil
		w.settle()
		Expect(raised(w.mission())).To(Equal([]string{"constraint_violation warning 1"}))
	})

	It("after the checkout blocks the agent, and changes no verdict", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.checkout("done")
		w.settle()
		Expect(w.judgement("done").Status.Verdict).To(Equal(v1alpha1.VerdictClean))
		before := w.judgement("done").Status
		w.saw(w.mission(), "use_after_checkout")
		w.settle()
		Expect(raised(w.mission())).To(Equal([]string{"use_after_checkout critical 1"}))
		after := w.judgement("done").Status
		Expect(after.Verdict).To(Equal(before.Verdict))
		Expect(after.Flags).To(Equal(before.Flags))
		Expect(after.Mission).To(Equal(before.Mission))
		Expect(lifecycle.Blocking(w.view().blocks.Items, "support-bot")).To(HaveLen(1))
		Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseCheckedOut))
	})

	It("after the verdict blocks for itself: an approval lifts what the mission was judged by alone", func(ctx context.Context) {
		w := newWorld(ctx)
		watched(v1alpha1.ModeEnforced)(w)
		w.settle()
		w.checkout("done", using("stripe"))
		w.settle()
		Expect(lifecycle.Blocking(w.view().blocks.Items, "support-bot")).To(HaveLen(1), "for the flags")
		w.saw(w.mission(), "scope_drift")
		w.review("done", v1alpha1.DecisionApproved, "agreed")
		w.settle()
		blocks := lifecycle.Blocking(w.view().blocks.Items, "support-bot")
		Expect(blocks).To(HaveLen(1))
		Expect(blocks[0].Spec.Reason).To(HavePrefix("scope_drift on passport mission"))
	})
})

var _ = Describe("A verdict on what gateways saw", func() {
	It("waits for the mark of every gateway that is up, and keeps the sums", func(ctx context.Context) {
		w := newWorld(ctx)
		w.gateways.up, w.gateways.silent = []string{"gateway-0", "gateway-1"}, true
		w.live(0)
		w.called(w.mission(), "slack", decision.Allowed, 11)
		w.called(w.mission(), "notion", decision.Allowed, 1)
		w.called(w.mission(), "slack", decision.CodeMethod, 2)
		w.called(w.mission(), "stripe", decision.CodeOutsideScope, 1)
		w.called(w.mission(), "slack", decision.CodeAuditUnavailable, 5)
		w.checkout("done")
		w.settle()
		Expect(w.judgement("done").Status.Verdict).To(BeEmpty())
		w.gateways.silent = false
		w.settle()
		checkout := w.judgement("done")
		Expect(flagged(checkout)).To(Equal([]string{"critical unreported_service", "warning denied_calls", "warning undeclared_service"}))
		Expect(checkout.Status.Mission.Observed).To(Equal(&v1alpha1.ObservedCalls{
			Calls: 12, Denied: 3, Services: []v1alpha1.ObservedService{{Service: "notion", Calls: 1}, {Service: "slack", Calls: 11, Denied: 2}},
		}))
	})

	It("waits for ten seconds, and then names who is missing", func(ctx context.Context) {
		w := newWorld(ctx)
		w.gateways.up, w.gateways.silent = []string{"gateway-0"}, true
		w.live(0)
		w.checkout("done")
		w.settle()
		var waits []time.Duration
		for w.judgement("done").Status.Verdict == "" {
			result, err := w.checkouts.Reconcile(ctx, w.request("done"))
			Expect(err).NotTo(HaveOccurred())
			waits = append(waits, result.RequeueAfter)
			w.clock.Step(result.RequeueAfter)
		}
		Expect(waits[:5]).To(Equal([]time.Duration{100 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond}))
		total := time.Duration(0)
		for _, wait := range waits {
			total += wait
		}
		Expect(total).To(Equal(10 * time.Second))
		Expect(flagged(w.judgement("done"))).To(Equal([]string{"warning observation_incomplete"}))
		Expect(w.judgement("done").Status.Mission.Observed.Missing).To(Equal([]string{"gateway-0"}))
	})

	It("waits no longer for a log that is away", func(ctx context.Context) {
		w := newWorld(ctx)
		w.gateways.up = []string{"gateway-0"}
		w.live(0)
		w.log.set(true)
		w.checkout("done")
		_ = w.settleUntil(3)
		Expect(w.judgement("done").Status.Verdict).To(BeEmpty())
		w.clock.Step(10 * time.Second)
		_ = w.settleUntil(3)
		w.log.set(false)
		w.settle()
		Expect(flagged(w.judgement("done"))).To(Equal([]string{"warning observation_incomplete"}))
	})

	It("waits for nobody where no gateway is up, and still goes by what one saw that is gone", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.called(w.mission(), "slack", decision.Allowed, 1)
		w.called(w.mission(), "slack", decision.CodeConstraint, 10)
		w.checkout("done", func(c *v1alpha1.Checkout) { c.Spec.ActionsCount = ptr.To(int64(1)) })
		w.settle()
		Expect(flagged(w.judgement("done"))).To(Equal([]string{"critical denied_calls"}))
	})

	It("keeps no observation where nothing was seen", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.checkout("done")
		w.settle()
		Expect(w.judgement("done").Status.Verdict).To(Equal(v1alpha1.VerdictClean))
		Expect(w.judgement("done").Status.Mission.Observed).To(BeNil())
	})
})
