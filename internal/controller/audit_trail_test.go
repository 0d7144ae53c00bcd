package controller_test

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/test/apiserver"
)

// gone says that the mission's Passport is not there.
func (w *world) gone() bool {
	return apierrors.IsNotFound(w.get("mission", &v1alpha1.Passport{}))
}

var _ = Describe("The audit log", func() {
	It("tells a mission from its issue to its review, with who did what", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.checkpoint("report")
		w.checkout("done", using("slack", "notion"))
		w.settle()
		w.review("done", v1alpha1.DecisionBlocked, "no")
		w.settle()
		Expect(w.log.told()).To(Equal([]string{
			"passport.issue success by admin",
			"passport.checkpoint success by admin",
			"passport.checkout pending by admin",
			"passport.review_decide blocked by admin",
		}))
		Expect(w.log.configured()).To(Equal([]string{
			"agent.block success by admin",
			"config.change/1 success by admin",
		}))
		records := w.log.records()
		var issue, last audit.Record
		for _, record := range records {
			Expect(record.Namespace).To(Equal(w.namespace))
			if record.Step == "passport.issue" {
				issue = record
			}
			if record.PassportJTI != "" {
				last = record
			}
		}
		Expect(issue.Agent.UID).NotTo(BeEmpty())
		Expect(issue.Agent.Generation).To(BeEquivalentTo(1))
		Expect(issue.Facts.Services).To(ConsistOf("github", "notion", "slack"))
		Expect(issue.Facts.Summary).To(ContainSubstring("Answer one customer ticket"))
		Expect(last.PassportJTI).To(Equal(issue.PassportJTI))
		Expect(last.SessionID).To(Equal(issue.SessionID))
		Expect(last.PrevHash).NotTo(Equal(issue.PrevHash))
	})

	DescribeTable("tells how a mission ended", func(ctx context.Context, end func(*world), want ...string) {
		w := newWorld(ctx)
		w.live(0)
		end(w)
		w.settle()
		Expect(w.log.told()).To(HaveExactElements(append([]any{"passport.issue success by admin"}, anyOf(want)...)...))
	},
		Entry("of silence", func(w *world) { w.clock.Step(400 * time.Second) },
			"signal.raise/checkpoint_silence/warning success by agent-passport-manager",
			"passport.expire success CHECKPOINT_SILENCE by agent-passport-manager"),
		Entry("by a revocation", func(w *world) { w.revoke() },
			"passport.revoke success REVOKED_BY_REQUEST by admin", "passport.checkout pending by agent-passport-manager"),
		Entry("by a block", func(w *world) { w.block("stop") },
			"passport.revoke success AGENT_BLOCKED by admin", "passport.checkout pending by agent-passport-manager"),
		Entry("by a signal", func(w *world) {
			w.checkpoint("odd", func(c *v1alpha1.Checkpoint) { c.Spec.ServicesUsed = []v1alpha1.ServiceName{"stripe"} })
		},
			"passport.checkpoint success by admin",
			"signal.raise/credential_outside_scope/critical success by agent-passport-manager",
			"passport.revoke success SIGNAL_RAISED by agent-passport-manager", "passport.checkout blocked by agent-passport-manager"),
		Entry("by its deletion, of which nobody can say who did it", func(w *world) { Expect(w.admin.Delete(w.ctx, w.mission())).To(Succeed()) },
			"passport.revoke success PASSPORT_DELETED by unknown (deleted)", "passport.checkout pending by agent-passport-manager"),
	)

	It("tells of a passport that is never issued", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		w.passport(func(p *v1alpha1.Passport) { p.Spec.Intent = nil })
		w.settle()
		Expect(w.log.told()).To(Equal([]string{"passport.reject blocked ACCOUNTABILITY_REQUIRED by admin"}))
	})

	It("tells of one that is deleted before it was issued", func(ctx context.Context) {
		w := newWorld(ctx)
		w.passport()
		w.settle()
		Expect(w.admin.Delete(ctx, w.mission())).To(Succeed())
		w.settle()
		Expect(w.gone()).To(BeTrue())
		Expect(w.log.told()).To(Equal([]string{"passport.reject blocked PASSPORT_DELETED by unknown (deleted)"}))
	})

	It("keeps no token that somebody wrote into a text", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.checkpoint("report", func(c *v1alpha1.Checkpoint) {
			c.Spec.Summary = "used eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl to log in"
		})
		w.settle()
		written, err := json.Marshal(w.log.records())
		Expect(err).NotTo(HaveOccurred())
		Expect(string(written)).To(ContainSubstring("used [redacted] to log in"))
		Expect(string(written)).NotTo(ContainSubstring("eyJhbGciOiJFZERTQSJ9"))
	})
})

// anyOf gives texts as what a matcher takes.
func anyOf(texts []string) []any {
	elements := make([]any, len(texts))
	for i := range texts {
		elements[i] = texts[i]
	}
	return elements
}

var _ = Describe("While the audit log is away", func() {
	It("no passport is issued, and each says why", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		w.log.set(true)
		w.passport()
		w.settle()
		mission := w.mission()
		Expect(mission.Status.Phase).To(Equal(v1alpha1.PhasePending))
		Expect(ready(mission.Status.Conditions)).To(Equal(v1alpha1.ReasonAuditUnavailable))
		Expect(meta.FindStatusCondition(mission.Status.Conditions, "Ready").Message).To(ContainSubstring("the audit log is away"))
		Expect(w.secretGone()).To(BeTrue())

		w.log.set(false)
		w.settle()
		Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseActive))
		Expect(w.log.told()).To(Equal([]string{"passport.issue success by admin"}))
	})

	It("missions go on, and nothing is lost of an hour", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.log.set(true)
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			w.checkpoint(name)
			w.settle()
		}
		w.checkout("done", using("slack", "stripe"))
		w.settle()
		w.ended(v1alpha1.PhaseCheckedOut, v1alpha1.ReasonCheckedOut)
		Expect(w.judgement("done").Status.Verdict).To(Equal(v1alpha1.VerdictBlocked))
		Expect(w.view().blocks.Items).To(HaveLen(1), "it blocks the agent")
		w.review("done", v1alpha1.DecisionApproved, "agreed")
		w.settle()
		w.clock.Step(time.Hour)
		w.settle()
		Expect(w.log.told()).To(Equal([]string{"passport.issue success by admin"}))

		w.restart()
		w.log.set(false)
		w.settle()
		Expect(w.log.told()).To(Equal(append([]string{"passport.issue success by admin"},
			"passport.checkpoint success by admin", "passport.checkpoint success by admin", "passport.checkpoint success by admin",
			"passport.checkpoint success by admin", "passport.checkpoint success by admin",
			"passport.checkout blocked by admin", "passport.review_decide success by admin")))
		Expect(w.log.configured()).To(ContainElements(ContainSubstring("agent.block success"), ContainSubstring("agent.unblock success by admin")))
	})

	It("no mission is cleaned up", func(ctx context.Context) {
		w := newWorld(ctx)
		checkedOut("slack")(w)
		w.log.set(false)
		w.settle()
		w.clock.Step(10 * time.Second)
		w.settle()
		w.restart()
		w.log.set(true)
		w.clock.Step(48 * time.Hour)
		w.settle()
		Expect(w.gone()).To(BeFalse())
		Expect(w.judgement("done").Status.Verdict).To(Equal(v1alpha1.VerdictClean))

		w.log.set(false)
		w.settle()
		Expect(w.gone()).To(BeTrue())
		Expect(apierrors.IsNotFound(w.get("done", &v1alpha1.Checkout{}))).To(BeTrue())
	})

	It("a deletion is held, for an hour at most", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.log.set(true)
		Expect(w.admin.Delete(ctx, w.mission())).To(Succeed())
		w.settle()
		Expect(w.gone()).To(BeFalse())
		Expect(w.secretGone()).To(BeTrue(), "its token goes at once")
		w.clock.Step(59 * time.Minute)
		w.settle()
		Expect(w.gone()).To(BeFalse())
		w.clock.Step(time.Minute)
		w.settle()
		Expect(w.gone()).To(BeTrue())
	})

	It("a deletion that the operator finds when it comes back is recorded", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		Expect(w.admin.Delete(ctx, w.mission())).To(Succeed())
		w.clock.Step(2 * time.Hour)
		w.restart()
		w.log.set(true)
		w.settle()
		Expect(w.gone()).To(BeFalse())
		w.log.set(false)
		w.settle()
		Expect(w.gone()).To(BeTrue())
		Expect(w.log.told()[1]).To(HavePrefix("passport.revoke success PASSPORT_DELETED by unknown (deleted)"))
	})
})

var _ = Describe("The record of an issue", func() {
	It("counts where a crash came before the Secret, whatever has changed since", func(ctx context.Context) {
		w := newWorld(ctx)
		agent := w.agent()
		w.passport()
		dies := &crash{}
		w.fault = func(number int, write string, land func() error) error {
			if strings.HasPrefix(write, "append passport.issue") {
				dies.at, dies.after = number, true
			}
			return dies.fault(number, write, land)
		}
		_ = w.settleUntil(3)
		Expect(dies.dead).To(BeTrue())
		w.fault = nil
		Expect(w.secretGone()).To(BeTrue())
		issue := w.log.records()[len(w.log.records())-1]

		Expect(w.get("support-bot", agent)).To(Succeed())
		agent.Spec.Grants = agent.Spec.Grants[:1]
		agent.Spec.Grants = append(agent.Spec.Grants, v1alpha1.ServiceGrant{Service: "slack"}, v1alpha1.ServiceGrant{Service: "stripe"})
		Expect(w.admin.Update(ctx, agent)).To(Succeed())
		w.clock.Step(20 * time.Second)
		w.restart()
		w.settle()
		status := w.mission().Status
		Expect(status.Phase).To(Equal(v1alpha1.PhaseActive))
		Expect(status.IssueTime.Time).To(BeTemporally("==", issue.Time))
		Expect(status.Issued.AgentGeneration).To(BeEquivalentTo(1))
		Expect(w.claims().Passport.Services).To(HaveLen(3))
		Expect(w.claims().Passport.Services[1].Name).To(Equal("notion"))
	})

	It("is made anew where the operator was away for long before any token was", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		w.passport()
		dies := &crash{}
		w.fault = func(number int, write string, land func() error) error {
			if strings.HasPrefix(write, "append passport.issue") {
				dies.at, dies.after = number, true
			}
			return dies.fault(number, write, land)
		}
		_ = w.settleUntil(3)
		Expect(dies.dead).To(BeTrue())
		w.fault = nil
		w.clock.Step(400 * time.Second)
		w.restart()
		w.settle()
		status := w.mission().Status
		Expect(status.Phase).To(Equal(v1alpha1.PhaseActive), "what the operator was away for is not the agent's fault")
		Expect(status.IssueTime.Time).To(BeTemporally("==", w.clock.Now()))
		Expect(w.log.told()).To(Equal([]string{"passport.issue success by admin", "passport.issue/2 success by admin"}))
		Expect(w.claims().Expiry).To(Equal(status.ExpirationTime.Unix()))
	})

	It("is not made while a person has to mend something first", func(ctx context.Context) {
		w := newWorld(ctx)
		w.withdrawConsent()
		w.agent()
		w.passport()
		w.settle()
		Expect(ready(w.mission().Status.Conditions)).To(Equal(v1alpha1.ReasonNamespaceNotEnabled))
		Expect(w.log.told()).To(BeEmpty())
		w.clock.Step(400 * time.Second)
		Expect(apiserver.Consent(ctx, w.admin, w.namespace)).To(Succeed())
		Eventually(w.consented).Should(BeTrue())
		w.settle()
		Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseActive))
		Expect(w.mission().Status.IssueTime.Time).To(BeTemporally("==", w.clock.Now()))
		Expect(w.log.told()).To(Equal([]string{"passport.issue success by admin"}))
	})

	It("is written again, with all that the cluster holds, where the log has begun another epoch", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.checkpoint("report")
		w.settle()
		var again []string
		w.fault = func(_ int, write string, land func() error) error {
			again = append(again, write)
			return land()
		}
		w.settle()
		Expect(again).To(BeEmpty(), "what is in the log is not asked again")
		w.log.begin(2)
		w.checkpoint("next")
		w.settle()
		Expect(again).To(ContainElement(And(ContainSubstring("passport.issue mission"), ContainSubstring("passport.checkpoint report"))))
	})
})
