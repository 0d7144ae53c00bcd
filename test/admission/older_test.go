package admission

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/test/apiserver"
)

// Before Kubernetes 1.36 there is no mutating policy: nothing is stamped, and what is absent is
// unknown. The validating policies stand alone.
var _ = Describe("The validating policies alone", Ordered, func() {
	var older *apiserver.Server
	var admin client.Client
	var p place

	BeforeAll(func(ctx SpecContext) {
		var err error
		older, err = apiserver.Start(ctx, "../..", apiserver.ValidatingPolicies)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(older.Stop)
		admin = older.Admin()
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "place"}}
		Expect(admin.Create(ctx, namespace)).To(Succeed())
		p = place{namespace: namespace.Name}
	})

	It("allow what names nobody, and stamp nothing", func(ctx SpecContext) {
		passport := p.passport("a")
		Expect(admin.Create(ctx, passport)).To(Succeed())
		Expect(passport.Spec.RequestedBy).To(BeNil())
		Expect(passport.Finalizers).To(BeEmpty())
		Expect(admin.Patch(ctx, passport, merge(`{"spec":{"revocation":{"reason":"r"}}}`))).To(Succeed())
		Expect(passport.Spec.Revocation.By).To(BeNil())

		Expect(admin.Create(ctx, p.checkpoint("a"))).To(Succeed())
		checkout := p.checkout("a")
		Expect(admin.Create(ctx, checkout)).To(Succeed())
		Expect(checkout.Spec.SubmittedBy).To(BeNil())
		Expect(checkout.Finalizers).To(BeEmpty())
		checkout.Status.Verdict = v1alpha1.VerdictFlagged
		Expect(older.As(apiserver.Manager, nil).Status().Update(ctx, checkout)).To(Succeed())
		Expect(admin.Patch(ctx, checkout, merge(approve))).To(Succeed())
		Expect(checkout.Spec.Review.Reviewer).To(BeNil())

		block := p.block("a")
		Expect(admin.Create(ctx, block)).To(Succeed())
		Expect(admin.Patch(ctx, block, merge(lift))).To(Succeed())
		agent := p.agentPassport()
		Expect(admin.Create(ctx, agent)).To(Succeed())
		Expect(admin.Patch(ctx, agent, merge(`{"spec":{"suspend":true}}`))).To(Succeed())
		connection := p.connection()
		Expect(admin.Create(ctx, connection)).To(Succeed())
		Expect(connection.Annotations).To(BeEmpty())
		Expect(admin.Patch(ctx, connection, merge(`{"spec":{"timeoutSeconds":15}}`))).To(Succeed())
	})

	It("refuse a foreign name on a ServiceConnection", func(ctx SpecContext) {
		connection := p.connection()
		connection.Annotations = map[string]string{v1alpha1.AnnotationChangedBy: "somebody"}
		Expect(admin.Create(ctx, connection)).To(BeRefusedBy("changed-by", "may not write somebody there"))
		connection.Annotations = nil
		Expect(admin.Create(ctx, connection)).To(Succeed())
		Expect(admin.Patch(ctx, connection, merge(`{"metadata":{"annotations":{"agentpassport.dev/changed-by":"somebody"}}}`))).
			To(BeRefusedBy("changed-by"))
	})

	It("let nobody but the operator put the finalizer on what lacks it", func(ctx SpecContext) {
		for finalizer, object := range map[string]client.Object{
			v1alpha1.PassportFinalizer: p.passport("a"), v1alpha1.CheckoutFinalizer: p.checkout("a"),
		} {
			Expect(admin.Create(ctx, object)).To(Succeed())
			putOn := merge(`{"metadata":{"finalizers":["` + finalizer + `"]}}`)
			Expect(admin.Patch(ctx, object, putOn)).To(BeRefusedBy("own-metadata"))
			Expect(older.As(apiserver.Manager, nil).Patch(ctx, object, putOn)).To(Succeed())
		}
	})

	It("refuse a foreign name", func(ctx SpecContext) {
		passport := p.passport("a")
		passport.Spec.RequestedBy = byVia("somebody", "somebody")
		Expect(admin.Create(ctx, passport)).To(BeRefusedBy("author", "spec.requestedBy.via"))

		checkout := p.checkout("a")
		checkout.Spec.SubmittedBy = byVia("somebody", "somebody")
		Expect(admin.Create(ctx, checkout)).To(BeRefusedBy("author", "spec.submittedBy.via"))

		checkout.Spec.SubmittedBy = nil
		Expect(admin.Create(ctx, checkout)).To(Succeed())
		checkout.Status.Verdict = v1alpha1.VerdictFlagged
		Expect(older.As(apiserver.Manager, nil).Status().Update(ctx, checkout)).To(Succeed())
		Expect(admin.Patch(ctx, checkout, merge(
			`{"spec":{"review":{"decision":"Approved","reviewer":{"username":"somebody","via":"somebody"}}}}`))).
			To(BeRefusedBy("decision", "spec.review.reviewer.via"))

		agent := p.agentPassport()
		agent.Annotations = map[string]string{v1alpha1.AnnotationChangedBy: "somebody"}
		Expect(admin.Create(ctx, agent)).To(BeRefusedBy("changed-by",
			"admin may not write somebody there"))
		agent.Annotations = map[string]string{v1alpha1.AnnotationChangedBy: "admin"}
		Expect(admin.Create(ctx, agent)).To(Succeed())
		Expect(admin.Patch(ctx, agent, merge(`{"metadata":{"annotations":{"agentpassport.dev/changed-by":"somebody"}}}`))).
			To(BeRefusedBy("changed-by", "admin may not write somebody there"))
		Expect(admin.Patch(ctx, agent, merge(`{"metadata":{"annotations":{"agentpassport.dev/changed-by":null}}}`))).
			To(BeRefusedBy("changed-by", "may not write it away"))
	})
})
