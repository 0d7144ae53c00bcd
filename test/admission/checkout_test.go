package admission

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/test/apiserver"
)

var _ = Describe("Creating a Checkout", func() {
	var p place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	It("stamps who checked out", func(ctx SpecContext) {
		checkout := created(ctx, p.agentA, p.checkout("a"))
		Expect(checkout.Spec.SubmittedBy).To(Equal(by(p.agentA)))
		Expect(checkout.Spec.Source).To(Equal(v1alpha1.SourceAgent))
	})

	It("is refused for an agent that one may not use", func(ctx SpecContext) {
		Expect(as(p.agentA).Create(ctx, p.checkout("b"))).To(BeRefusedBy("use",
			p.agentA+" may not act as agent b", "the verb use on agentpassports/b"))
	})

	It("takes one's own name, and no other", func(ctx SpecContext) {
		checkout := p.checkout("a")
		checkout.Spec.SubmittedBy = by(p.agentA)
		Expect(created(ctx, p.agentA, checkout).Spec.SubmittedBy).To(Equal(by(p.agentA)))

		checkout = p.checkout("a")
		checkout.Spec.SubmittedBy = by(p.agentB)
		Expect(as(p.agentA).Create(ctx, checkout)).To(BeRefusedBy("author",
			p.agentA+" may not sign as "+p.agentB, "leave spec.submittedBy out", "the verb attest on checkouts"))

		checkout = p.checkout("a")
		checkout.Spec.SubmittedBy = byVia(p.agentA, gateway)
		Expect(as(p.agentA).Create(ctx, checkout)).To(BeRefusedBy("author", "spec.submittedBy.via"))
	})

	It("by a holder of attest names another, and stamps the holder in via", func(ctx SpecContext) {
		checkout := p.checkout("b")
		checkout.Spec.SubmittedBy = by("caller")
		Expect(created(ctx, gateway, checkout).Spec.SubmittedBy).To(Equal(byVia("caller", gateway)))
		Expect(as(gateway).Create(ctx, p.checkout("b"))).To(BeRefusedBy("use"))
	})

	It("is done once: it does not change", func(ctx SpecContext) {
		checkout := created(ctx, p.agentA, p.checkout("a"))
		Expect(as(clusterAdmin).Patch(ctx, checkout, merge(`{"spec":{"actionsCount":3}}`))).
			To(BeInvalid("a Checkout is a report and does not change"))
	})

	It("is no change when written again", func(ctx SpecContext) {
		checkout := p.checkout("a")
		checkout.Spec.SubmittedBy = by("caller")
		checkout = created(ctx, gateway, checkout)
		for _, actor := range []*v1alpha1.Actor{nil, {}, by("caller"), byVia("caller", gateway)} {
			again := checkout.DeepCopy()
			again.Spec.SubmittedBy, again.Finalizers = actor, nil
			again.ResourceVersion = fresh(ctx, checkout.DeepCopy()).ResourceVersion
			Expect(as(namespaceAdmin).Update(ctx, again)).To(Succeed(), "%v", actor)
			Expect(again.Spec).To(Equal(checkout.Spec), "%v", actor)
			Expect(again.Generation).To(Equal(checkout.Generation))
			Expect(again.Finalizers).To(Equal(checkout.Finalizers))
		}
	})

	It("leaves what is malformed to the schema", func(ctx SpecContext) {
		for _, spec := range []string{
			"",
			"spec: null",
			"spec: text",
			"spec: []",
			"spec: {agentRef: {name: a}, passportRef: {name: mission}, submittedBy: text}",
			"spec: {agentRef: {name: a}, passportRef: {name: mission}, submittedBy: {via: someone}}",
			"spec: {agentRef: {name: a}, passportRef: {name: mission}, review: text}",
			"spec: {agentRef: {name: a}, passportRef: {name: mission}, review: {decision: Approved, reviewer: text}}",
		} {
			out, err := server.Kubectl(ctx, p.agentA, "apiVersion: agentpassport.dev/v1alpha1\nkind: Checkout\n"+
				"metadata: {name: malformed, namespace: "+p.namespace+"}\n"+spec+"\n", "create", "-f", "-")
			Expect(err).To(HaveOccurred(), spec)
			Expect(out).To(ContainSubstring("is invalid: "), spec)
		}
	})
})

var _ = Describe("A Checkout of the operator's", func() {
	var p place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	operators := func() *v1alpha1.Checkout {
		checkout := p.checkout("a")
		checkout.GenerateName, checkout.Name = "", v1alpha1.OperatorCheckoutPrefix+"mission-0123456789"
		checkout.Spec.Source, checkout.Spec.Outcome = v1alpha1.SourceOperator, v1alpha1.OutcomeAborted
		return checkout
	}

	It("is made in its own name, by no right to act as an agent", func(ctx SpecContext) {
		Expect(may(ctx, apiserver.Manager, p.namespace, "use", "agentpassports", "a")).To(BeFalse())
		checkout := created(ctx, apiserver.Manager, operators())
		Expect(checkout.Spec.Source).To(Equal(v1alpha1.SourceOperator))
		Expect(checkout.Spec.SubmittedBy).To(Equal(by(apiserver.Manager)))
		Expect(checkout.Finalizers).To(ConsistOf(v1alpha1.CheckoutFinalizer))
	})

	It("is the only thing that the operator does without use", func(ctx SpecContext) {
		Expect(as(apiserver.Manager).Create(ctx, p.passport("a"))).To(BeRefusedBy("use"))
		Expect(as(apiserver.Manager).Create(ctx, p.checkpoint("a"))).To(BeRefusedBy("use"))
	})

	It("is made by nobody else", func(ctx SpecContext) {
		for _, username := range []string{p.agentA, namespaceAdmin, clusterAdmin} {
			checkout := p.checkout("a")
			checkout.Spec.Source = v1alpha1.SourceOperator
			Expect(as(username).Create(ctx, checkout)).To(BeRefusedBy("source",
				"spec.source Operator is written by the operator alone", username+" leaves spec.source out"))
		}
	})

	It("keeps its name from everybody else", func(ctx SpecContext) {
		for _, username := range []string{p.agentA, clusterAdmin} {
			checkout := operators()
			checkout.Spec.Source = ""
			Expect(as(username).Create(ctx, checkout)).To(BeRefusedBy("source",
				"the name "+checkout.Name+" begins with operator-", username+" takes another one, such as checkout-mission"))
			checkout = p.checkout("a")
			checkout.GenerateName = v1alpha1.OperatorCheckoutPrefix
			Expect(as(username).Create(ctx, checkout)).To(BeRefusedBy("source", "the name operator-"))
		}
	})

	It("leaves every other name", func(ctx SpecContext) {
		for _, name := range []string{"operator", "operators-mission", "mission-operator-1", "checkout-operator-mission"} {
			checkout := p.checkout("a")
			checkout.GenerateName, checkout.Name = "", name
			Expect(as(p.agentA).Create(ctx, checkout)).To(Succeed(), name)
		}
	})
})

var _ = Describe("Deleting a Checkout", func() {
	var p place
	BeforeEach(func(ctx SpecContext) {
		p = newPlace(ctx)
		for _, verb := range []string{"delete", "deletecollection", "patch"} {
			p.grant(ctx, p.agentA, verb, "checkouts", "")
		}
		p.grant(ctx, reviewer, "delete", "checkouts", "")
	})

	// undecided are the Checkouts that await something, with what the refusal says of it.
	undecided := map[string]func(ctx SpecContext) *v1alpha1.Checkout{
		"The operator has not judged it yet": func(ctx SpecContext) *v1alpha1.Checkout {
			return created(ctx, p.agentA, p.checkout("a"))
		},
		"Have a reviewer decide it first": func(ctx SpecContext) *v1alpha1.Checkout {
			return p.judged(ctx, v1alpha1.VerdictFlagged)
		},
		"It is reviewed, and the operator acts on that": func(ctx SpecContext) *v1alpha1.Checkout {
			checkout := p.judged(ctx, v1alpha1.VerdictBlocked)
			Expect(as(reviewer).Patch(ctx, checkout, merge(approve))).To(Succeed())
			return checkout
		},
	}
	for what, checkout := range undecided {
		It("that is not decided is refused to whoever does not hold review: "+what, func(ctx SpecContext) {
			checkout := checkout(ctx)
			Expect(as(p.agentA).Delete(ctx, checkout)).To(BeRefusedBy("undecided-checkout",
				p.agentA+" may not delete checkout "+checkout.Name+" in namespace "+p.namespace,
				"the verb review on checkouts/"+checkout.Name, "agent-passport-reviewer", what))
			Expect(as(p.agentA).DeleteAllOf(ctx, checkout, client.InNamespace(p.namespace))).
				To(BeRefusedBy("undecided-checkout"))
		})

		It("that is not decided is open to a holder of review: "+what, func(ctx SpecContext) {
			Expect(as(reviewer).Delete(ctx, checkout(ctx))).To(Succeed())
		})

		It("that is not decided is open to the controllers that empty a namespace, and to the manager: "+what,
			func(ctx SpecContext) {
				for _, username := range []string{namespaceController, garbageCollector, apiserver.Manager} {
					Expect(as(username).Delete(ctx, checkout(ctx))).To(Succeed(), username)
				}
			})
	}

	It("that awaits a review is refused with a command that decides it", func(ctx SpecContext) {
		checkout := p.judged(ctx, v1alpha1.VerdictFlagged)
		_, command, found := strings.Cut(as(p.agentA).Delete(ctx, checkout).Error(), "decide it first: ")
		Expect(found).To(BeTrue())
		out, err := server.Shell(ctx, command)
		Expect(err).NotTo(HaveOccurred(), out)
		Expect(fresh(ctx, checkout).Spec.Review.Decision).To(Equal(v1alpha1.DecisionApproved))
	})

	It("takes review for one Checkout by its name", func(ctx SpecContext) {
		checkout, other := p.judged(ctx, v1alpha1.VerdictFlagged), p.judged(ctx, v1alpha1.VerdictFlagged)
		p.grant(ctx, p.agentA, "review", "checkouts", checkout.Name)
		Expect(as(p.agentA).Delete(ctx, other)).To(BeRefusedBy("undecided-checkout"))
		Expect(as(p.agentA).Delete(ctx, checkout)).To(Succeed())
	})

	It("that is decided, or does not count, is nobody else's business", func(ctx SpecContext) {
		Expect(as(p.agentA).Delete(ctx, p.judged(ctx, v1alpha1.VerdictClean))).To(Succeed())
		for reason, status := range map[v1alpha1.Reason]metav1.ConditionStatus{
			v1alpha1.ReasonApproved: metav1.ConditionTrue, v1alpha1.ReasonBlocked: metav1.ConditionFalse,
		} {
			checkout := conclude(ctx, p.judged(ctx, v1alpha1.VerdictFlagged), v1alpha1.ConditionAccepted, status, reason)
			Expect(as(p.agentA).Delete(ctx, checkout)).To(Succeed(), string(reason))
		}
		checkout := created(ctx, p.agentA, p.checkout("a"))
		conclude(ctx, checkout, v1alpha1.ConditionStalled, metav1.ConditionFalse, v1alpha1.ReasonNotYours)
		Expect(as(p.agentA).Delete(ctx, checkout)).To(BeRefusedBy("undecided-checkout"))
		conclude(ctx, checkout, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonNotYours)
		Expect(as(p.agentA).Delete(ctx, checkout)).To(Succeed())
	})

	It("twice is no second question", func(ctx SpecContext) {
		checkout := p.judged(ctx, v1alpha1.VerdictFlagged)
		Expect(as(reviewer).Delete(ctx, checkout)).To(Succeed())
		Expect(fresh(ctx, checkout).DeletionTimestamp).NotTo(BeNil())
		Expect(as(p.agentA).Delete(ctx, checkout)).To(Succeed())
	})

	It("by way of an owner is refused to whoever does not hold review", func(ctx SpecContext) {
		checkout := p.judged(ctx, v1alpha1.VerdictFlagged)
		owned := checkout.DeepCopy()
		owned.OwnerReferences = owner(p.configMap(ctx))
		change := client.MergeFrom(checkout)
		Expect(as(p.agentA).Patch(ctx, owned, change)).To(BeRefusedBy("undecided-checkout",
			"may not change the owner of checkout "+checkout.Name))
		owned.OwnerReferences = owner(p.configMap(ctx))
		Expect(as(reviewer).Patch(ctx, owned, change)).To(Succeed())
	})

	It("by way of an owner that it has from the start is refused too", func(ctx SpecContext) {
		checkout := p.checkout("a")
		checkout.OwnerReferences = owner(p.configMap(ctx))
		Expect(as(p.agentA).Create(ctx, checkout)).To(BeRefusedBy("undecided-checkout",
			p.agentA+" may not give an owner to checkout test-", "Leave metadata.ownerReferences out"))
		Expect(as(clusterAdmin).Create(ctx, checkout)).To(Succeed())
	})
})
