package admission

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/test/apiserver"
)

const (
	approve = `{"spec":{"review":{"decision":"Approved","notes":"it was announced"}}}`
	block   = `{"spec":{"review":{"decision":"Blocked"}}}`
)

var _ = Describe("Reviewing a Checkout", func() {
	var p place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	It("with kubectl stamps the holder of review, and keeps who checked out", func(ctx SpecContext) {
		checkout := p.judged(ctx, v1alpha1.VerdictFlagged)
		out, err := server.Kubectl(ctx, reviewer, "", "patch", "checkouts.agentpassport.dev", checkout.Name,
			"-n", p.namespace, "--type=merge", "-p", approve)
		Expect(err).NotTo(HaveOccurred(), out)
		before := checkout.Spec
		before.Review = &v1alpha1.Review{
			Decision: v1alpha1.DecisionApproved, Notes: "it was announced", Reviewer: by(reviewer),
		}
		Expect(fresh(ctx, checkout).Spec).To(Equal(before))
		Expect(checkout.Spec.SubmittedBy).To(Equal(by(p.agentA)))
	})

	It("decides whatever is not Clean, either way", func(ctx SpecContext) {
		for _, verdict := range []v1alpha1.Verdict{v1alpha1.VerdictFlagged, v1alpha1.VerdictBlocked} {
			for _, decision := range []string{approve, block} {
				Expect(as(reviewer).Patch(ctx, p.judged(ctx, verdict), merge(decision))).To(Succeed())
			}
		}
	})

	It("is not an agent's to do", func(ctx SpecContext) {
		Expect(as(p.agentA).Patch(ctx, p.judged(ctx, v1alpha1.VerdictFlagged), merge(approve))).
			To(MatchError(ContainSubstring("cannot patch resource")))
	})

	It("is refused to whoever does not hold review, with a command that mends it", func(ctx SpecContext) {
		const colleague = `https://idp.example.com/o'neil`
		p.grant(ctx, colleague, "patch", "checkouts", "")
		checkout := p.judged(ctx, v1alpha1.VerdictFlagged)
		err := as(colleague).Patch(ctx, checkout, merge(approve))
		Expect(err).To(BeRefusedBy("review",
			colleague+" may not review checkout "+checkout.Name+" in namespace "+p.namespace,
			"the verb review on checkouts/"+checkout.Name))
		_, command, found := strings.Cut(err.Error(), "an admin of the namespace runs: ")
		Expect(found).To(BeTrue())

		out, err := server.Shell(ctx, command)
		Expect(err).NotTo(HaveOccurred(), out)
		mayEventually(ctx, colleague, p.namespace, "review", "checkouts", checkout.Name)
		Expect(as(colleague).Patch(ctx, checkout, merge(approve))).To(Succeed())
	})

	It("takes review for one Checkout by its name", func(ctx SpecContext) {
		checkout, other := p.judged(ctx, v1alpha1.VerdictFlagged), p.judged(ctx, v1alpha1.VerdictFlagged)
		p.grant(ctx, responder, "patch", "checkouts", "")
		p.grant(ctx, responder, "review", "checkouts", checkout.Name)
		Expect(as(responder).Patch(ctx, other, merge(approve))).To(BeRefusedBy("review"))
		Expect(as(responder).Patch(ctx, checkout, merge(approve))).To(Succeed())
	})

	It("is refused while there is no verdict, with a command that waits for it", func(ctx SpecContext) {
		checkout := created(ctx, p.agentA, p.checkout("a"))
		err := as(reviewer).Patch(ctx, checkout, merge(approve))
		Expect(err).To(BeRefusedBy("review", "reviewer cannot review checkout "+checkout.Name, "it has no verdict"))
		Expect(as(clusterAdmin).Patch(ctx, checkout, merge(approve))).To(BeRefusedBy("review", "it has no verdict"))

		_, command, found := strings.Cut(err.Error(), "then review again: ")
		Expect(found).To(BeTrue())
		checkout.Status.Verdict = v1alpha1.VerdictFlagged
		conclude(ctx, checkout, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonJudged)
		out, err := server.Shell(ctx, command)
		Expect(err).NotTo(HaveOccurred(), out)
		Expect(as(reviewer).Patch(ctx, checkout, merge(approve))).To(Succeed())
	})

	It("is refused where the Checkout does not count", func(ctx SpecContext) {
		checkout := created(ctx, p.agentA, p.checkout("a"))
		conclude(ctx, checkout, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonAlreadyCheckedOut)
		Expect(as(reviewer).Patch(ctx, checkout, merge(approve))).
			To(BeRefusedBy("review", "it does not count (AlreadyCheckedOut)"))
	})

	It("is refused where the verdict is Clean, with a command that stops the agent", func(ctx SpecContext) {
		checkout := p.judged(ctx, v1alpha1.VerdictClean)
		Expect(as(clusterAdmin).Patch(ctx, checkout, merge(approve))).To(BeRefusedBy("review", "its verdict is Clean"))
		err := as(reviewer).Patch(ctx, checkout, merge(block))
		Expect(err).To(BeRefusedBy("review", "reviewer cannot review checkout "+checkout.Name, "its verdict is Clean"))
		_, command, found := strings.Cut(err.Error(), "create an AgentBlock: ")
		Expect(found).To(BeTrue())

		out, err := server.Shell(ctx, command)
		Expect(err).NotTo(HaveOccurred(), out)
		var blocks v1alpha1.AgentBlockList
		Expect(server.Admin().List(ctx, &blocks, client.InNamespace(p.namespace))).To(Succeed())
		Expect(blocks.Items).To(HaveLen(1))
		Expect(blocks.Items[0].Spec.AgentRef.Name).To(Equal("a"))
	})

	It("is never done at creation", func(ctx SpecContext) {
		for _, username := range []string{p.agentA, namespaceAdmin, clusterAdmin, apiserver.Manager} {
			checkout := p.checkout("a")
			checkout.Spec.Review = &v1alpha1.Review{Decision: v1alpha1.DecisionApproved}
			Expect(as(username).Create(ctx, checkout)).To(BeRefusedBy("review",
				username+" may not create checkout test-", "Leave spec.review out"))
		}
	})

	It("happens once", func(ctx SpecContext) {
		checkout := p.judged(ctx, v1alpha1.VerdictFlagged)
		Expect(as(reviewer).Patch(ctx, checkout, merge(approve))).To(Succeed())
		const once = "spec.review is set once and does not change"
		Expect(as(reviewer).Patch(ctx, checkout, merge(block))).To(BeInvalid(once))
		Expect(as(reviewer).Patch(ctx, checkout, merge(`{"spec":{"review":null}}`))).To(BeInvalid(once))
		Expect(as(namespaceAdmin).Patch(ctx, checkout, merge(
			`{"spec":{"review":{"reviewer":{"username":"namespace-admin"}}}}`))).To(BeInvalid(once))
	})

	It("reaches nothing else of the Checkout", func(ctx SpecContext) {
		Expect(as(reviewer).Patch(ctx, p.judged(ctx, v1alpha1.VerdictFlagged), merge(
			`{"spec":{"review":{"decision":"Approved"},"actionsCount":0}}`))).
			To(BeInvalid("a Checkout is a report and does not change"))
	})

	It("is no change when written again", func(ctx SpecContext) {
		checkout := p.judged(ctx, v1alpha1.VerdictFlagged)
		Expect(as(reviewer).Patch(ctx, checkout, merge(approve))).To(Succeed())
		again := checkout.DeepCopy()
		again.Spec.SubmittedBy, again.Spec.Review.Reviewer = nil, nil
		Expect(as(namespaceAdmin).Update(ctx, again)).To(Succeed())
		Expect(again).To(Equal(checkout))
	})

	It("is asked about once: what else changes later is no review", func(ctx SpecContext) {
		p.grant(ctx, p.agentA, "patch", "checkouts", "")
		checkout := p.judged(ctx, v1alpha1.VerdictFlagged)
		Expect(as(reviewer).Patch(ctx, checkout, merge(approve))).To(Succeed())
		Expect(as(p.agentA).Patch(ctx, checkout, merge(`{"metadata":{"labels":{"team":"support"}}}`))).To(Succeed())
		Expect(as(apiserver.Manager).Patch(ctx, checkout, merge(`{"metadata":{"finalizers":null}}`))).To(Succeed())
	})

	It("is refused in another's name", func(ctx SpecContext) {
		checkout := p.judged(ctx, v1alpha1.VerdictFlagged)
		Expect(as(reviewer).Patch(ctx, checkout, merge(
			`{"spec":{"review":{"decision":"Approved","reviewer":{"username":"responder"}}}}`))).
			To(BeRefusedBy("decision", "reviewer may not sign as responder", "leave spec.review.reviewer out",
				"the verb attest on checkouts"))
		Expect(as(reviewer).Patch(ctx, checkout, merge(
			`{"spec":{"review":{"decision":"Approved","reviewer":{"username":"reviewer","via":"responder"}}}}`))).
			To(BeRefusedBy("decision", "spec.review.reviewer.via"))
		Expect(as(reviewer).Patch(ctx, checkout, merge(
			`{"spec":{"review":{"decision":"Approved","reviewer":{"username":"reviewer"}}}}`))).To(Succeed())
		Expect(checkout.Spec.Review.Reviewer).To(Equal(by(reviewer)))
	})
})

var _ = Describe("A review by a holder of attest", func() {
	var p place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	const forCaller = `{"spec":{"review":{"decision":"Approved","reviewer":{"username":"caller"}}}}`

	It("names another, and stamps the holder in via", func(ctx SpecContext) {
		checkout := p.judged(ctx, v1alpha1.VerdictFlagged)
		Expect(as(gateway).Patch(ctx, checkout, merge(forCaller))).To(Succeed())
		Expect(checkout.Spec.Review.Reviewer).To(Equal(byVia("caller", gateway)))

		Expect(as(gateway).Patch(ctx, checkout, merge(forCaller))).To(Succeed())
		Expect(checkout.Spec.Review.Reviewer).To(Equal(byVia("caller", gateway)))
		Expect(as(gateway).Patch(ctx, p.judged(ctx, v1alpha1.VerdictFlagged), merge(
			`{"spec":{"review":{"decision":"Approved","reviewer":{"username":"caller","via":"reviewer"}}}}`))).
			To(BeRefusedBy("decision", "it must be "+gateway))
	})

	It("is not asked whose mission it is, which the holder has asked", func(ctx SpecContext) {
		Expect(as(gateway).Patch(ctx, p.judged(ctx, v1alpha1.VerdictFlagged, "caller", gateway), merge(forCaller))).
			To(Succeed())
		Expect(as(gateway).Patch(ctx, p.judged(ctx, v1alpha1.VerdictFlagged, people(32)...), merge(forCaller))).To(Succeed())
	})

	It("needs review where it acts in its own name, and a mission that is not its own", func(ctx SpecContext) {
		checkout := p.judged(ctx, v1alpha1.VerdictFlagged, gateway)
		inOwnName := merge(`{"spec":{"review":{"decision":"Approved","reviewer":{"username":"` + gateway + `"}}}}`)
		for _, patch := range []client.Patch{merge(approve), inOwnName} {
			Expect(as(gateway).Patch(ctx, checkout, patch)).To(BeRefusedBy("review", "the verb review"))
		}
		p.grant(ctx, gateway, "review", "checkouts", checkout.Name)
		for _, patch := range []client.Patch{merge(approve), inOwnName} {
			Expect(as(gateway).Patch(ctx, checkout, patch)).To(BeRefusedBy("review", gateway+" reported on this mission"))
		}
	})

	It("needs a verdict that leaves something to decide", func(ctx SpecContext) {
		Expect(as(gateway).Patch(ctx, created(ctx, p.agentA, p.checkout("a")), merge(forCaller))).
			To(BeRefusedBy("review", "it has no verdict"))
		Expect(as(gateway).Patch(ctx, p.judged(ctx, v1alpha1.VerdictClean), merge(forCaller))).
			To(BeRefusedBy("review", "its verdict is Clean"))
	})

	It("does not reach beyond the resource that attest is for", func(ctx SpecContext) {
		p.grant(ctx, reviewer, "attest", "passports", "")
		Expect(as(reviewer).Patch(ctx, p.judged(ctx, v1alpha1.VerdictFlagged), merge(forCaller))).
			To(BeRefusedBy("decision"))
	})
})

var _ = Describe("A review of one's own mission", func() {
	var p place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	asked := func(ctx SpecContext) *v1alpha1.Checkout {
		checkout := p.judged(ctx, v1alpha1.VerdictFlagged)
		checkout.Status.Mission.RequestedBy = by(reviewer)
		Expect(as(apiserver.Manager).Status().Update(ctx, checkout)).To(Succeed())
		return checkout
	}
	reported := func(ctx SpecContext) *v1alpha1.Checkout {
		return p.judged(ctx, v1alpha1.VerdictFlagged, "alice", reviewer)
	}
	checkedOut := func(ctx SpecContext) *v1alpha1.Checkout {
		checkout := p.checkout("a")
		checkout.Spec.SubmittedBy = by(reviewer)
		checkout = created(ctx, gateway, checkout)
		checkout.Status.Verdict = v1alpha1.VerdictFlagged
		return conclude(ctx, checkout, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonJudged)
	}
	perhapsReported := func(ctx SpecContext) *v1alpha1.Checkout {
		return p.judged(ctx, v1alpha1.VerdictFlagged, people(32)...)
	}

	DescribeTable("is refused, with a command that allows it", func(ctx SpecContext,
		own func(SpecContext) *v1alpha1.Checkout, why string,
	) {
		checkout := own(ctx)
		err := as(reviewer).Patch(ctx, checkout, merge(approve))
		Expect(err).To(BeRefusedBy("review", "reviewer may not review checkout "+checkout.Name, why, "Ask another reviewer"))
		_, command, found := strings.Cut(err.Error(), "have a cluster admin allow this one: ")
		Expect(found).To(BeTrue())

		out, err := server.Shell(ctx, command)
		Expect(err).NotTo(HaveOccurred(), out)
		mayEventually(ctx, reviewer, p.namespace, "review-own", "checkouts", checkout.Name)
		Expect(as(reviewer).Patch(ctx, own(ctx), merge(approve))).To(BeRefusedBy("review"), "another one")
		Expect(as(reviewer).Patch(ctx, checkout, merge(approve))).To(Succeed())
		Expect(checkout.Spec.Review.Reviewer).To(Equal(by(reviewer)))
	},
		Entry("that one asked for", asked, "reviewer asked for this mission"),
		Entry("that one reported on", reported, "reviewer reported on this mission"),
		Entry("that one ended", checkedOut, "reviewer reported on this mission"),
		Entry("that one may have reported on, among so many", perhapsReported, "not all of them are known"),
	)

	It("is open to others", func(ctx SpecContext) {
		for _, own := range []func(SpecContext) *v1alpha1.Checkout{asked, reported, checkedOut} {
			Expect(as(namespaceAdmin).Patch(ctx, own(ctx), merge(approve))).To(Succeed())
		}
		Expect(as(reviewer).Patch(ctx, p.judged(ctx, v1alpha1.VerdictFlagged, people(31)...), merge(approve))).To(Succeed())
	})

	It("needs review beside review-own", func(ctx SpecContext) {
		p.grant(ctx, responder, "patch", "checkouts", "")
		p.grant(ctx, responder, "review-own", "checkouts", "")
		Expect(as(responder).Patch(ctx, p.judged(ctx, v1alpha1.VerdictFlagged, responder), merge(approve))).
			To(BeRefusedBy("review", "the verb review on checkouts/"))
	})
})

// people are the usernames of many.
func people(count int) []string {
	usernames := make([]string, count)
	for i := range usernames {
		usernames[i] = fmt.Sprintf("person-%02d", i)
	}
	return usernames
}
