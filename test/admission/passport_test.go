package admission

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/test/apiserver"
)

var _ = Describe("Creating a Passport", func() {
	var p place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	It("stamps who asked for it, and the finalizer", func(ctx SpecContext) {
		passport := created(ctx, p.agentA, p.passport("a"))
		Expect(passport.Spec.RequestedBy).To(Equal(by(p.agentA)))
		Expect(passport.Finalizers).To(ConsistOf(v1alpha1.PassportFinalizer))
	})

	It("is refused for an agent that one may not use", func(ctx SpecContext) {
		Expect(as(p.agentA).Create(ctx, p.passport("b"))).To(BeRefusedBy("use",
			p.agentA+" may not act as agent b in namespace "+p.namespace,
			"the verb use on agentpassports/b"))
		Expect(as(p.agentB).Create(ctx, p.passport("b"))).To(Succeed())
	})

	It("is refused with a command that mends it", func(ctx SpecContext) {
		err := as(p.agentA).Create(ctx, p.passport("b"))
		Expect(err).To(BeRefusedBy("use"))
		_, command, found := strings.Cut(err.Error(), "an admin of the namespace runs: ")
		Expect(found).To(BeTrue())

		out, err := server.Shell(ctx, command)
		Expect(err).NotTo(HaveOccurred(), out)
		mayEventually(ctx, p.agentA, p.namespace, "use", "agentpassports", "b")
		Expect(as(p.agentA).Create(ctx, p.passport("b"))).To(Succeed())
	})

	It("is refused with a command that holds for any name of a user", func(ctx SpecContext) {
		const strange = `https://idp.example.com/o'neil $(id)`
		p.bind(ctx, strange, "agent-passport-agent", "create", "passports")
		err := as(strange).Create(ctx, p.passport("b"))
		Expect(err).To(BeRefusedBy("use"))
		_, command, _ := strings.Cut(err.Error(), "an admin of the namespace runs: ")

		out, err := server.Shell(ctx, command)
		Expect(err).NotTo(HaveOccurred(), out)
		mayEventually(ctx, strange, p.namespace, "use", "agentpassports", "b")
		Expect(as(strange).Create(ctx, p.passport("b"))).To(Succeed())
	})

	It("takes one's own name, and no other", func(ctx SpecContext) {
		passport := p.passport("a")
		passport.Spec.RequestedBy = by(p.agentA)
		Expect(created(ctx, p.agentA, passport).Spec.RequestedBy).To(Equal(by(p.agentA)))

		passport = p.passport("a")
		passport.Spec.RequestedBy = by(p.agentB)
		Expect(as(p.agentA).Create(ctx, passport)).To(BeRefusedBy("author",
			p.agentA+" may not sign as "+p.agentB, "leave spec.requestedBy out", "the verb attest on passports"))
	})

	It("refuses a via that one has written oneself", func(ctx SpecContext) {
		for _, actor := range []*v1alpha1.Actor{
			byVia(p.agentA, p.agentA), byVia(p.agentA, gateway), byVia(p.agentB, p.agentA), byVia(p.agentB, gateway),
		} {
			passport := p.passport("a")
			passport.Spec.RequestedBy = actor
			Expect(as(p.agentA).Create(ctx, passport)).To(BeRefusedBy("author"), "%v", actor)
		}
		passport := p.passport("a")
		passport.Spec.RequestedBy = byVia(p.agentA, gateway)
		Expect(as(p.agentA).Create(ctx, passport)).To(BeRefusedBy("author", "spec.requestedBy.via", "leave it out"))
	})

	Context("by a holder of attest", func() {
		It("names another, and stamps the holder in via", func(ctx SpecContext) {
			passport := p.passport("a")
			passport.Spec.RequestedBy = by("caller")
			Expect(created(ctx, gateway, passport).Spec.RequestedBy).To(Equal(byVia("caller", gateway)))

			passport = p.passport("a")
			passport.Spec.RequestedBy = byVia("caller", gateway)
			Expect(as(gateway).Create(ctx, passport)).To(Succeed())
		})

		It("names nobody but the holder in via", func(ctx SpecContext) {
			passport := p.passport("a")
			passport.Spec.RequestedBy = byVia("caller", p.agentA)
			Expect(as(gateway).Create(ctx, passport)).To(BeRefusedBy("author", "it must be "+gateway))
		})

		It("asks the holder for use where it acts in its own name", func(ctx SpecContext) {
			Expect(as(gateway).Create(ctx, p.passport("a"))).To(BeRefusedBy("use", gateway+" may not act as agent a"))
			passport := p.passport("a")
			passport.Spec.RequestedBy = by(gateway)
			Expect(as(gateway).Create(ctx, passport)).To(BeRefusedBy("use"))
		})

		It("does not reach beyond the resource that attest is for", func(ctx SpecContext) {
			p.grant(ctx, p.agentA, "attest", "checkpoints", "")
			passport := p.passport("a")
			passport.Spec.RequestedBy = by("caller")
			Expect(as(p.agentA).Create(ctx, passport)).To(BeRefusedBy("author"))
		})
	})

	It("leaves what is malformed to the schema", func(ctx SpecContext) {
		for _, spec := range []string{
			"",
			"spec: null",
			"spec: text",
			"spec: []",
			"spec: {agentRef: {name: a}, requestedBy: text}",
			"spec: {agentRef: {name: a}, requestedBy: []}",
			"spec: {agentRef: {name: a}, requestedBy: {via: someone}}",
			"spec: {agentRef: {name: a}, revocation: text}",
			"spec: {agentRef: {name: a}, revocation: {by: text}}",
		} {
			out, err := server.Kubectl(ctx, p.agentA, "apiVersion: agentpassport.dev/v1alpha1\nkind: Passport\n"+
				"metadata: {name: malformed, namespace: "+p.namespace+"}\n"+spec+"\n", "create", "-f", "-")
			Expect(err).To(HaveOccurred(), spec)
			Expect(out).To(ContainSubstring("is invalid: "), spec)
		}
	})
})

var _ = Describe("Writing a Passport again", func() {
	var p place
	BeforeEach(func(ctx SpecContext) {
		p = newPlace(ctx)
		for _, verb := range []string{"update", "patch"} {
			p.grant(ctx, p.agentA, verb, "passports", "")
		}
	})

	manifest := func() string {
		return "apiVersion: agentpassport.dev/v1alpha1\nkind: Passport\n" +
			"metadata: {name: mission, namespace: " + p.namespace + "}\nspec:\n  agentRef: {name: a}\n"
	}

	DescribeTable("changes nothing", func(ctx SpecContext, again ...string) {
		first := again
		if again[0] == "replace" {
			first = []string{"create"}
		}
		out, err := server.Kubectl(ctx, p.agentA, manifest(), append(first, "-f", "-")...)
		Expect(err).NotTo(HaveOccurred(), out)
		passport := &v1alpha1.Passport{ObjectMeta: p.meta()}
		passport.Name = "mission"
		before := fresh(ctx, passport).DeepCopy()
		Expect(before.Spec.RequestedBy).To(Equal(by(p.agentA)))

		out, err = server.Kubectl(ctx, p.agentA, manifest(), append(again, "-f", "-")...)
		Expect(err).NotTo(HaveOccurred(), out)
		Expect(fresh(ctx, passport).ResourceVersion).To(Equal(before.ResourceVersion), out)
		Expect(passport).To(Equal(before))
	},
		Entry("by server-side apply", "apply", "--server-side"),
		Entry("by client-side apply", "apply"),
		Entry("by replace", "replace"),
	)

	It("keeps the name and via that a holder of attest wrote", func(ctx SpecContext) {
		passport := p.passport("a")
		passport.Spec.RequestedBy = by("caller")
		passport = created(ctx, gateway, passport)

		for _, actor := range []*v1alpha1.Actor{nil, {}, by("caller"), byVia("caller", gateway)} {
			again := passport.DeepCopy()
			again.Spec.RequestedBy = actor
			again.Finalizers = nil
			again.ResourceVersion = fresh(ctx, passport.DeepCopy()).ResourceVersion
			Expect(as(gateway).Update(ctx, again)).To(Succeed(), "%v", actor)
			Expect(again.Spec).To(Equal(passport.Spec), "%v", actor)
			Expect(again.Generation).To(Equal(passport.Generation))
			Expect(again.Finalizers).To(Equal(passport.Finalizers))
		}
	})

	It("is refused in another's name", func(ctx SpecContext) {
		passport := created(ctx, p.agentA, p.passport("a"))
		passport.Spec.RequestedBy = by(p.agentB)
		Expect(as(clusterAdmin).Update(ctx, passport)).To(BeInvalid("a Passport is one mission and does not change"))
	})
})

var _ = Describe("Revoking a Passport", func() {
	var p place
	BeforeEach(func(ctx SpecContext) {
		p = newPlace(ctx)
		p.grant(ctx, p.agentA, "patch", "passports", "")
	})

	const revoke = `{"spec":{"revocation":{"reason":"it is out of hand"}}}`

	It("is refused to whoever does not hold revoke", func(ctx SpecContext) {
		passport := p.active(ctx)
		Expect(as(p.agentA).Patch(ctx, passport, merge(revoke))).To(BeRefusedBy("revoke",
			p.agentA+" may not revoke passport "+passport.Name, "the verb revoke on passports/"+passport.Name,
			"--clusterrole=agent-passport-responder --user='"+p.agentA+"'"))
	})

	It("stamps the holder of revoke", func(ctx SpecContext) {
		passport := p.active(ctx)
		Expect(as(responder).Patch(ctx, passport, merge(revoke))).To(Succeed())
		Expect(passport.Spec.Revocation.By).To(Equal(by(responder)))
		Expect(passport.Spec.RequestedBy).To(Equal(by(p.agentA)))
	})

	It("takes revoke for one Passport by its name", func(ctx SpecContext) {
		passport, other := p.active(ctx), p.active(ctx)
		p.grant(ctx, p.agentA, "revoke", "passports", passport.Name)
		Expect(as(p.agentA).Patch(ctx, other, merge(revoke))).To(BeRefusedBy("revoke"))
		Expect(as(p.agentA).Patch(ctx, passport, merge(revoke))).To(Succeed())
	})

	It("happens once", func(ctx SpecContext) {
		passport := p.active(ctx)
		Expect(as(responder).Patch(ctx, passport, merge(revoke))).To(Succeed())
		const once = "spec.revocation is set once and does not change"
		Expect(as(responder).Patch(ctx, passport, merge(`{"spec":{"revocation":{"reason":"another"}}}`))).To(BeInvalid(once))
		Expect(as(responder).Patch(ctx, passport, merge(`{"spec":{"revocation":null}}`))).To(BeInvalid(once))
		Expect(as(namespaceAdmin).Patch(ctx, passport, merge(`{"spec":{"revocation":{"by":{"username":"namespace-admin"}}}}`))).
			To(BeInvalid(once))
	})

	It("is no change when written again", func(ctx SpecContext) {
		passport := p.active(ctx)
		Expect(as(responder).Patch(ctx, passport, merge(revoke))).To(Succeed())
		again := passport.DeepCopy()
		again.Spec.Revocation.By = nil
		Expect(as(responder).Update(ctx, again)).To(Succeed())
		Expect(again).To(Equal(passport))
	})

	It("is refused in another's name", func(ctx SpecContext) {
		passport := p.active(ctx)
		Expect(as(responder).Patch(ctx, passport, merge(
			`{"spec":{"revocation":{"reason":"r","by":{"username":"reviewer"}}}}`))).
			To(BeRefusedBy("decision", "responder may not sign as reviewer", "leave spec.revocation.by out"))
		Expect(as(responder).Patch(ctx, passport, merge(
			`{"spec":{"revocation":{"reason":"r","by":{"username":"responder","via":"reviewer"}}}}`))).
			To(BeRefusedBy("decision", "spec.revocation.by.via"))
	})

	It("is done by a holder of attest for another, and not for itself", func(ctx SpecContext) {
		passport := p.active(ctx)
		Expect(as(gateway).Patch(ctx, passport, merge(revoke))).To(BeRefusedBy("revoke"))
		Expect(as(gateway).Patch(ctx, passport, merge(
			`{"spec":{"revocation":{"reason":"r","by":{"username":"caller"}}}}`))).To(Succeed())
		Expect(passport.Spec.Revocation.By).To(Equal(byVia("caller", gateway)))
	})

	It("is asked at creation too", func(ctx SpecContext) {
		passport := p.passport("a")
		passport.Spec.Revocation = &v1alpha1.Revocation{Reason: "stillborn"}
		Expect(as(p.agentA).Create(ctx, passport)).To(BeRefusedBy("revoke"))
		passport = created(ctx, namespaceAdmin, passport)
		Expect(passport.Spec.Revocation.By).To(Equal(by(namespaceAdmin)))
	})
})

var _ = Describe("Deleting a Passport", func() {
	var p place
	BeforeEach(func(ctx SpecContext) {
		p = newPlace(ctx)
		p.grant(ctx, p.agentA, "delete", "passports", "")
		p.grant(ctx, p.agentA, "deletecollection", "passports", "")
		p.grant(ctx, p.agentA, "patch", "passports", "")
	})

	It("that is live is refused to whoever does not hold revoke", func(ctx SpecContext) {
		passport := p.active(ctx)
		Expect(as(p.agentA).Delete(ctx, passport)).To(BeRefusedBy("live-passport",
			p.agentA+" may not delete passport "+passport.Name, "while it is Active", "the verb revoke"))
		Expect(as(p.agentA).DeleteAllOf(ctx, passport, client.InNamespace(p.namespace))).To(BeRefusedBy("live-passport"))
	})

	It("that is live is open to a holder of revoke", func(ctx SpecContext) {
		Expect(as(namespaceAdmin).Delete(ctx, p.active(ctx))).To(Succeed())
	})

	It("that waits, or is over, is nobody else's business", func(ctx SpecContext) {
		Expect(as(p.agentA).Delete(ctx, created(ctx, p.agentA, p.passport("a")))).To(Succeed())
		passport := p.active(ctx)
		passport.Status.Phase = v1alpha1.PhaseExpired
		Expect(as(apiserver.Manager).Status().Update(ctx, passport)).To(Succeed())
		Expect(as(p.agentA).Delete(ctx, passport)).To(Succeed())
	})

	It("is open to the controllers that empty a namespace, and to the manager", func(ctx SpecContext) {
		Expect(as(namespaceController).Delete(ctx, p.active(ctx))).To(Succeed())
		Expect(as(namespaceController).DeleteAllOf(ctx, p.active(ctx), client.InNamespace(p.namespace))).To(Succeed())
		Expect(as(garbageCollector).Delete(ctx, p.active(ctx))).To(Succeed())
		Expect(as(apiserver.Manager).Delete(ctx, p.active(ctx))).To(Succeed())
	})

	It("by way of an owner is refused to whoever does not hold revoke", func(ctx SpecContext) {
		passport := p.active(ctx)
		owned := passport.DeepCopy()
		owned.OwnerReferences = owner(p.configMap(ctx))
		change := client.MergeFrom(passport)
		Expect(as(p.agentA).Patch(ctx, owned, change)).To(BeRefusedBy("live-passport",
			"may not change the owner of passport "+passport.Name))
		owned.OwnerReferences = owner(p.configMap(ctx))
		Expect(as(responder).Patch(ctx, owned, change)).To(Succeed())
	})
})
