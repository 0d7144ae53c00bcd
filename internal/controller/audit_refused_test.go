package controller_test

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
)

// poison is a constraint whose value the log takes for a credential.
func poison(a *v1alpha1.AgentPassport) {
	a.Spec.Grants[2].Constraints = []v1alpha1.Constraint{{
		Path: "headers.Authorization", Op: "not_eq", Value: ptr.To("Bearer abcdefghijklmnopqrstuvwxyz"),
	}}
}

// step says whether a record is of a step on an object with a name.
func step(step, name string) func(audit.Record) bool {
	return func(r audit.Record) bool { return r.Object.Name == name && strings.HasPrefix(r.Step, step) }
}

// othersGoOn expects that another passport is issued, right after.
func (w *world) othersGoOn() {
	GinkgoHelper()
	w.passport(func(p *v1alpha1.Passport) { p.Name = "other" })
	w.settle()
	other := &v1alpha1.Passport{}
	Expect(w.get("other", other)).To(Succeed())
	Expect(other.Status.Phase).To(Equal(v1alpha1.PhaseActive), "others go on")
}

var _ = Describe("A record that the audit log refuses", func() {
	It("of an issue keeps that passport waiting, and no other", func(ctx context.Context) {
		w := newWorld(ctx)
		agent := w.agent(poison)
		w.passport()
		w.settle()
		mission := w.mission()
		Expect(mission.Status.Phase).To(Equal(v1alpha1.PhasePending))
		Expect(ready(mission.Status.Conditions)).To(Equal(v1alpha1.ReasonAuditRefused))
		Expect(meta.FindStatusCondition(mission.Status.Conditions, "Ready").Message).To(And(
			ContainSubstring("facts.terms holds what looks like a token or a credential"),
			ContainSubstring("grants"), Not(ContainSubstring("abcdefghij"))))
		Expect(w.secretGone()).To(BeTrue())

		w.agent(func(a *v1alpha1.AgentPassport) { a.Name = "clean-bot" })
		w.passport(func(p *v1alpha1.Passport) { p.Name, p.Spec.AgentRef.Name = "other", "clean-bot" })
		again, err := w.passports.Reconcile(ctx, w.request("mission"))
		Expect(err).NotTo(HaveOccurred())
		Expect(again.RequeueAfter).To(Equal(10*time.Second), "like all that waits")
		_, err = w.passports.Reconcile(ctx, w.request("other"))
		Expect(err).NotTo(HaveOccurred())
		other := &v1alpha1.Passport{}
		Expect(w.get("other", other)).To(Succeed())
		Expect(other.Status.Phase).To(Equal(v1alpha1.PhaseActive), "right after the refusal")

		Expect(w.get("support-bot", agent)).To(Succeed())
		agent.Spec.Grants[2].Constraints = nil
		Expect(w.admin.Update(ctx, agent)).To(Succeed())
		w.settle()
		Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseActive), "what was wrong is mended")
	})

	It("of an issue that nobody mends ends in a rejection", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent(poison)
		w.passport()
		w.settle()
		w.clock.Step(700 * time.Second)
		w.settle()
		mission := w.mission()
		Expect(mission.Status.Phase).To(Equal(v1alpha1.PhaseRejected))
		Expect(ready(mission.Status.Conditions)).To(Equal(v1alpha1.ReasonNotIssuedInTime))
		Expect(w.log.told()).To(ContainElement(HavePrefix("passport.reject blocked NOT_ISSUED_IN_TIME")))
	})

	It("of a checkpoint is left out, once, and holds no clean-up", func(ctx context.Context) {
		w := newWorld(ctx)
		w.log.refuse(step("passport.checkpoint", "odd"))
		w.live(0)
		w.checkpoint("fine")
		w.checkpoint("odd")
		w.checkpoint("fine-too")
		w.checkout("done")
		w.settle()
		refusals := w.log.refusals()
		Expect(refusals).To(BeNumerically(">", 0))
		w.settle()
		Expect(w.log.refusals()).To(Equal(refusals), "it is not asked again")
		Expect(w.log.told()).To(ConsistOf("passport.issue success by admin",
			"passport.checkpoint success by admin", "passport.checkpoint success by admin", "passport.checkout success by admin"))
		w.othersGoOn()
		w.clock.Step(48 * time.Hour)
		w.settle()
		Expect(w.gone()).To(BeTrue())
	})

	It("after a restart, of a mission that is over, lets it go", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.log.set(true)
		w.checkpoint("odd")
		w.checkout("done")
		w.settle()
		w.restart()
		w.log.set(false)
		w.log.refuse(func(r audit.Record) bool { return r.Action != audit.PassportIssue })
		w.clock.Step(48 * time.Hour)
		w.settle()
		Expect(w.gone()).To(BeTrue())
		Expect(w.log.told()).To(Equal([]string{"passport.issue success by admin"}))
	})
})
