package admission

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Creating a Checkpoint", func() {
	var p place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	It("stamps who submitted it, and no finalizer", func(ctx SpecContext) {
		checkpoint := created(ctx, p.agentA, p.checkpoint("a"))
		Expect(checkpoint.Spec.SubmittedBy).To(Equal(by(p.agentA)))
		Expect(checkpoint.Finalizers).To(BeEmpty())
	})

	It("is refused for an agent that one may not use", func(ctx SpecContext) {
		Expect(as(p.agentA).Create(ctx, p.checkpoint("b"))).To(BeRefusedBy("use",
			p.agentA+" may not act as agent b", "the verb use on agentpassports/b"))
	})

	It("takes one's own name, and no other", func(ctx SpecContext) {
		checkpoint := p.checkpoint("a")
		checkpoint.Spec.SubmittedBy = by(p.agentA)
		Expect(as(p.agentA).Create(ctx, checkpoint)).To(Succeed())

		checkpoint = p.checkpoint("a")
		checkpoint.Spec.SubmittedBy = by(p.agentB)
		Expect(as(p.agentA).Create(ctx, checkpoint)).To(BeRefusedBy("author",
			p.agentA+" may not sign as "+p.agentB, "leave spec.submittedBy out"))

		checkpoint = p.checkpoint("a")
		checkpoint.Spec.SubmittedBy = byVia(p.agentA, gateway)
		Expect(as(p.agentA).Create(ctx, checkpoint)).To(BeRefusedBy("author", "spec.submittedBy.via"))
	})

	It("by a holder of attest names another, and stamps the holder in via", func(ctx SpecContext) {
		checkpoint := p.checkpoint("b")
		checkpoint.Spec.SubmittedBy = by("caller")
		Expect(created(ctx, gateway, checkpoint).Spec.SubmittedBy).To(Equal(byVia("caller", gateway)))
		Expect(as(gateway).Create(ctx, p.checkpoint("b"))).To(BeRefusedBy("use"))
	})

	It("is done once: it does not change", func(ctx SpecContext) {
		checkpoint := created(ctx, p.agentA, p.checkpoint("a"))
		Expect(as(clusterAdmin).Patch(ctx, checkpoint, merge(`{"spec":{"actionsCount":3}}`))).
			To(BeInvalid("a Checkpoint is a report and does not change"))
	})

	It("is no change when written again", func(ctx SpecContext) {
		checkpoint := created(ctx, p.agentA, p.checkpoint("a"))
		again := checkpoint.DeepCopy()
		again.Spec.SubmittedBy = nil
		Expect(as(clusterAdmin).Update(ctx, again)).To(Succeed())
		Expect(again).To(Equal(checkpoint))
	})
})
