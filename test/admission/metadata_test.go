package admission

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/test/apiserver"
)

var _ = Describe("What is under agentpassport.dev/ in metadata", func() {
	var p place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	kinds := map[string]func() client.Object{
		"Passport":          func() client.Object { return p.passport("a") },
		"Checkpoint":        func() client.Object { return p.checkpoint("a") },
		"Checkout":          func() client.Object { return p.checkout("a") },
		"AgentBlock":        func() client.Object { return p.block("a") },
		"ServiceConnection": func() client.Object { return p.connection() },
	}
	for kind, object := range kinds {
		It("is closed on a "+kind, func(ctx SpecContext) {
			const ours = "agentpassport.dev/ours"

			labelled := object()
			labelled.SetLabels(map[string]string{ours: "x"})
			Expect(as(clusterAdmin).Create(ctx, labelled)).To(BeRefusedBy("own-metadata",
				"cluster-admin may not change "+ours, "are written by the operator alone"))
			annotated := object()
			annotated.SetAnnotations(map[string]string{ours: "x"})
			Expect(as(clusterAdmin).Create(ctx, annotated)).To(BeRefusedBy("own-metadata", ours))
			finalized := object()
			finalized.SetFinalizers([]string{ours})
			Expect(as(clusterAdmin).Create(ctx, finalized)).To(BeRefusedBy("own-metadata", "finalizers under agentpassport.dev/"))

			there := created(ctx, clusterAdmin, object())
			for _, patch := range []string{
				`{"metadata":{"labels":{"agentpassport.dev/ours":"x"}}}`,
				`{"metadata":{"annotations":{"agentpassport.dev/ours":"x"}}}`,
			} {
				Expect(as(clusterAdmin).Patch(ctx, there, merge(patch))).To(BeRefusedBy("own-metadata", ours))
				Expect(as(apiserver.Manager).Patch(ctx, there, merge(patch))).To(Succeed())
			}
			for _, patch := range []string{
				`{"metadata":{"labels":{"agentpassport.dev/ours":"y"}}}`,
				`{"metadata":{"labels":{"agentpassport.dev/ours":null}}}`,
				`{"metadata":{"labels":null}}`,
				`{"metadata":{"annotations":{"agentpassport.dev/ours":"y"}}}`,
				`{"metadata":{"annotations":{"agentpassport.dev/ours":null}}}`,
			} {
				Expect(as(clusterAdmin).Patch(ctx, there, merge(patch))).To(BeRefusedBy("own-metadata", ours), patch)
			}
		})

		It("leaves the rest open on a "+kind, func(ctx SpecContext) {
			object := object()
			object.SetLabels(map[string]string{"team": "support", "agentpassport.dev.example.com/x": "x"})
			object.SetAnnotations(map[string]string{"team": "support"})
			object = created(ctx, clusterAdmin, object)
			Expect(as(clusterAdmin).Patch(ctx, object, merge(
				`{"metadata":{"labels":{"team":"sales"},"annotations":null}}`))).To(Succeed())
			finalizers := append(object.GetFinalizers(), "example.com/x")
			object.SetFinalizers(finalizers)
			Expect(as(clusterAdmin).Update(ctx, object)).To(Succeed())
			Expect(object.GetFinalizers()).To(Equal(finalizers))
		})
	}

	It("lets no kind carry another's finalizer", func(ctx SpecContext) {
		for finalizer, objects := range map[string][]client.Object{
			v1alpha1.PassportFinalizer: {p.checkpoint("a"), p.checkout("a"), p.block("a"), p.connection()},
			v1alpha1.CheckoutFinalizer: {p.passport("a"), p.checkpoint("a"), p.block("a")},
		} {
			for _, object := range objects {
				object.SetFinalizers([]string{finalizer})
				Expect(as(clusterAdmin).Create(ctx, object)).To(BeRefusedBy("own-metadata", "finalizers"))
			}
		}
	})
})

var _ = Describe("The finalizer of a mission", func() {
	var p place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	takeOff := client.RawPatch(types.JSONPatchType, []byte(`[{"op":"remove","path":"/metadata/finalizers"}]`))

	for _, kind := range []struct {
		resource, finalizer, mayPatch string
		object                        func() client.Object
	}{
		{"passports", v1alpha1.PassportFinalizer, responder, func() client.Object { return p.passport("a") }},
		{"checkouts", v1alpha1.CheckoutFinalizer, reviewer, func() client.Object { return p.checkout("a") }},
	} {
		deleted := func(ctx context.Context) client.Object {
			GinkgoHelper()
			object := created(ctx, p.agentA, kind.object())
			Expect(server.Admin().Delete(ctx, object)).To(Succeed())
			return fresh(ctx, object)
		}

		It("is put on "+kind.resource+" once, beside others", func(ctx SpecContext) {
			Expect(created(ctx, p.agentA, kind.object()).GetFinalizers()).To(ConsistOf(kind.finalizer))
			there := kind.object()
			there.SetFinalizers([]string{kind.finalizer})
			Expect(created(ctx, p.agentA, there).GetFinalizers()).To(ConsistOf(kind.finalizer))
			other := kind.object()
			other.SetFinalizers([]string{"example.com/other"})
			Expect(created(ctx, p.agentA, other).GetFinalizers()).To(ConsistOf("example.com/other", kind.finalizer))
		})

		It("stays on "+kind.resource+" that are not being deleted", func(ctx SpecContext) {
			object := created(ctx, p.agentA, kind.object())
			before := object.GetResourceVersion()
			for _, username := range []string{kind.mayPatch, clusterAdmin} {
				Expect(as(username).Patch(ctx, object, takeOff)).To(Succeed())
				Expect(object.GetFinalizers()).To(ConsistOf(kind.finalizer))
				Expect(object.GetResourceVersion()).To(Equal(before))
			}
		})

		It("is taken off "+kind.resource+" by the manager at any time", func(ctx SpecContext) {
			object := created(ctx, p.agentA, kind.object())
			Expect(as(apiserver.Manager).Patch(ctx, object, takeOff)).To(Succeed())
			Expect(object.GetFinalizers()).To(BeEmpty())
			Expect(as(apiserver.Manager).Patch(ctx, deleted(ctx), takeOff)).To(Succeed())
		})

		It("is taken off deleted "+kind.resource+" by nobody who holds no attest", func(ctx SpecContext) {
			object := deleted(ctx)
			for _, username := range []string{kind.mayPatch, namespaceAdmin} {
				Expect(as(username).Patch(ctx, object, takeOff)).To(BeRefusedBy("own-metadata",
					username+" may not change the finalizers", "Where the operator is gone",
					"the verb attest on "+kind.resource))
			}
		})

		It("is taken off deleted "+kind.resource+" by a cluster admin, and by the controllers that empty a namespace",
			func(ctx SpecContext) {
				for _, username := range []string{clusterAdmin, namespaceController, garbageCollector} {
					p.grant(ctx, username, "patch", kind.resource, "")
					object := deleted(ctx)
					Expect(as(username).Patch(ctx, object, takeOff)).To(Succeed(), username)
					Expect(server.Admin().Get(ctx, client.ObjectKeyFromObject(object), object)).
						To(MatchError(ContainSubstring("not found")))
				}
			})
	}
})

var _ = Describe("The annotation agentpassport.dev/changed-by of an AgentPassport", func() {
	var p place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	changedBy := func(agent *v1alpha1.AgentPassport) string { return agent.Annotations[v1alpha1.AnnotationChangedBy] }

	It("names who created it", func(ctx SpecContext) {
		Expect(changedBy(created(ctx, engineer, p.agentPassport()))).To(Equal(engineer))
	})

	It("names who changed the spec, and not who changed a label", func(ctx SpecContext) {
		agent := created(ctx, engineer, p.agentPassport())
		Expect(as(namespaceAdmin).Patch(ctx, agent, merge(`{"metadata":{"labels":{"team":"support"}}}`))).To(Succeed())
		Expect(changedBy(agent)).To(Equal(engineer))
		Expect(as(namespaceAdmin).Patch(ctx, agent, merge(`{"spec":{"suspend":true}}`))).To(Succeed())
		Expect(changedBy(agent)).To(Equal(namespaceAdmin))
	})

	for resource, object := range map[string]func() client.Object{
		"a CapabilityPassport": func() client.Object { return p.packaged() },
		"a PolicyPack":         func() client.Object { return p.pack() },
		"a VendorKey":          func() client.Object { return p.vendorKey() },
	} {
		It("names who set up "+resource+", and nobody else", func(ctx SpecContext) {
			object := object()
			object.SetAnnotations(map[string]string{v1alpha1.AnnotationChangedBy: "somebody"})
			Expect(created(ctx, clusterAdmin, object).GetAnnotations()).To(HaveKeyWithValue(v1alpha1.AnnotationChangedBy, clusterAdmin))
		})
	}

	It("keeps other annotations", func(ctx SpecContext) {
		agent := p.agentPassport()
		agent.Annotations = map[string]string{"team": "support"}
		Expect(created(ctx, engineer, agent).Annotations).
			To(Equal(map[string]string{"team": "support", v1alpha1.AnnotationChangedBy: engineer}))
	})

	It("is written over where somebody writes another's name", func(ctx SpecContext) {
		agent := p.agentPassport()
		agent.Annotations = map[string]string{v1alpha1.AnnotationChangedBy: "somebody"}
		agent = created(ctx, engineer, agent)
		Expect(changedBy(agent)).To(Equal(engineer))

		for _, patch := range []string{
			`{"metadata":{"annotations":{"agentpassport.dev/changed-by":"somebody"}}}`,
			`{"metadata":{"annotations":{"agentpassport.dev/changed-by":null}}}`,
			`{"metadata":{"annotations":null}}`,
		} {
			Expect(as(namespaceAdmin).Patch(ctx, agent, merge(patch))).To(Succeed())
			Expect(changedBy(agent)).To(Equal(engineer), patch)
		}
		Expect(as(namespaceAdmin).Patch(ctx, agent, merge(
			`{"metadata":{"annotations":{"agentpassport.dev/changed-by":"somebody"}},"spec":{"suspend":true}}`))).To(Succeed())
		Expect(changedBy(agent)).To(Equal(namespaceAdmin))
	})

	It("is no change when the AgentPassport is applied again, by whomever", func(ctx SpecContext) {
		manifest := "apiVersion: agentpassport.dev/v1alpha1\nkind: AgentPassport\n" +
			"metadata: {name: a, namespace: " + p.namespace + "}\nspec: {grants: [{service: tickets}]}\n"
		for _, how := range [][]string{{"apply", "--server-side", "-f", "-"}, {"replace", "-f", "-"}} {
			out, err := server.Kubectl(ctx, engineer, manifest, "apply", "--server-side", "-f", "-")
			Expect(err).NotTo(HaveOccurred(), out)
			agent := &v1alpha1.AgentPassport{ObjectMeta: p.meta()}
			agent.Name = "a"
			before := fresh(ctx, agent).ResourceVersion
			out, err = server.Kubectl(ctx, engineer, manifest, how...)
			Expect(err).NotTo(HaveOccurred(), out)
			Expect(changedBy(fresh(ctx, agent))).To(Equal(engineer))
			if how[0] == "apply" { // a replace moves the fields to another manager, which is a write
				Expect(agent.ResourceVersion).To(Equal(before))
			}
		}
	})
})
