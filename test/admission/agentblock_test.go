package admission

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/test/apiserver"
)

const lift = `{"spec":{"lifted":{"reason":"it was a false alarm"}}}`

var _ = Describe("Blocking an agent", func() {
	var p place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	It("stamps who blocked", func(ctx SpecContext) {
		Expect(created(ctx, responder, p.block("a")).Spec.By).To(Equal(by(responder)))
	})

	It("is refused in another's name", func(ctx SpecContext) {
		block := p.block("a")
		block.Spec.By = by(reviewer)
		Expect(as(responder).Create(ctx, block)).To(BeRefusedBy("author", "responder may not sign as reviewer", "leave spec.by out"))
	})

	It("by a holder of attest names another, and stamps the holder in via", func(ctx SpecContext) {
		block := p.block("a")
		block.Spec.By = by(reviewer)
		Expect(created(ctx, gateway, block).Spec.By).To(Equal(byVia(reviewer, gateway)))
	})

	It("has a cause only where the operator did it", func(ctx SpecContext) {
		block := p.block("a")
		block.Spec.Cause = &v1alpha1.BlockCause{Kind: "Passport", Name: "mission", UID: "3d1f"}
		Expect(as(clusterAdmin).Create(ctx, block)).To(BeRefusedBy("cause", "cluster-admin leaves it out"))
		Expect(created(ctx, apiserver.Manager, block).Spec.By).To(Equal(by(apiserver.Manager)))
	})

	It("is not an agent's to do", func(ctx SpecContext) {
		Expect(as(p.agentA).Create(ctx, p.block("b"))).To(MatchError(ContainSubstring("cannot create resource")))
	})
})

var _ = Describe("Lifting a block", func() {
	var p place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	It("stamps who lifted, and keeps who blocked", func(ctx SpecContext) {
		block := created(ctx, namespaceAdmin, p.block("a"))
		Expect(as(responder).Patch(ctx, block, merge(lift))).To(Succeed())
		Expect(block.Spec.Lifted.By).To(Equal(by(responder)))
		Expect(block.Spec.By).To(Equal(by(namespaceAdmin)))
	})

	It("stamps who made a block that is lifted from the start", func(ctx SpecContext) {
		block := p.block("a")
		block.Spec.Lifted = &v1alpha1.BlockLift{Reason: "an exercise"}
		Expect(created(ctx, responder, block).Spec.Lifted.By).To(Equal(by(responder)))
	})

	It("happens once", func(ctx SpecContext) {
		block := created(ctx, responder, p.block("a"))
		Expect(as(responder).Patch(ctx, block, merge(lift))).To(Succeed())
		const once = "spec.lifted is set once and does not change"
		Expect(as(responder).Patch(ctx, block, merge(`{"spec":{"lifted":{"reason":"another"}}}`))).To(BeInvalid(once))
		Expect(as(responder).Patch(ctx, block, merge(`{"spec":{"lifted":null}}`))).To(BeInvalid(once))
		Expect(as(responder).Patch(ctx, block, merge(`{"spec":{"reason":"another"}}`))).
			To(BeInvalid("an AgentBlock does not change"))
	})

	It("is no change when written again", func(ctx SpecContext) {
		block := created(ctx, responder, p.block("a"))
		Expect(as(responder).Patch(ctx, block, merge(lift))).To(Succeed())
		again := block.DeepCopy()
		again.Spec.By, again.Spec.Lifted.By = nil, nil
		Expect(as(responder).Update(ctx, again)).To(Succeed())
		Expect(again).To(Equal(block))
	})

	It("is refused in another's name", func(ctx SpecContext) {
		block := created(ctx, responder, p.block("a"))
		Expect(as(responder).Patch(ctx, block, merge(`{"spec":{"lifted":{"reason":"r","by":{"username":"reviewer"}}}}`))).
			To(BeRefusedBy("decision", "responder may not sign as reviewer", "leave spec.lifted.by out"))
	})

	It("by a holder of attest names another, and stamps the holder in via", func(ctx SpecContext) {
		block := created(ctx, responder, p.block("a"))
		Expect(as(gateway).Patch(ctx, block, merge(`{"spec":{"lifted":{"reason":"r","by":{"username":"reviewer"}}}}`))).To(Succeed())
		Expect(block.Spec.Lifted.By).To(Equal(byVia(reviewer, gateway)))
	})
})

var _ = Describe("Deleting a block", func() {
	var p place
	BeforeEach(func(ctx SpecContext) {
		p = newPlace(ctx)
		p.grant(ctx, responder, "delete", "agentblocks", "")
	})

	It("in force is refused to whoever does not hold review, with a command that lifts it", func(ctx SpecContext) {
		block := created(ctx, responder, p.block("a"))
		err := as(responder).Delete(ctx, block)
		Expect(err).To(BeRefusedBy("block-in-force", "responder may not delete agentblock "+block.Name,
			"the verb review on checkouts", "agent-passport-reviewer"))

		_, command, _ := strings.Cut(err.Error(), "Lift it first: ")
		Expect(server.Shell(ctx, command)).To(ContainSubstring("patched"))
		Expect(as(responder).Delete(ctx, block)).To(Succeed())
	})

	It("in force is open to a holder of review", func(ctx SpecContext) {
		p.grant(ctx, reviewer, "delete", "agentblocks", "")
		Expect(as(reviewer).Delete(ctx, created(ctx, responder, p.block("a")))).To(Succeed())
	})

	It("is open to the controllers that empty a namespace, and to the manager", func(ctx SpecContext) {
		for _, username := range []string{namespaceController, garbageCollector, apiserver.Manager} {
			Expect(as(username).Delete(ctx, created(ctx, responder, p.block("a")))).To(Succeed(), username)
		}
	})

	It("by way of an owner is refused to whoever does not hold review", func(ctx SpecContext) {
		block := created(ctx, responder, p.block("a"))
		owned := block.DeepCopy()
		owned.OwnerReferences = owner(p.configMap(ctx))
		Expect(as(responder).Patch(ctx, owned, client.MergeFrom(block))).
			To(BeRefusedBy("block-in-force", "may not change the owner of agentblock "+block.Name))
	})
})
