package admission

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
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
		block := p.block("a")
		Expect(admin.Create(ctx, block)).To(Succeed())
		Expect(admin.Patch(ctx, block, merge(lift))).To(Succeed())
		agent := p.agentPassport()
		Expect(admin.Create(ctx, agent)).To(Succeed())
		Expect(admin.Patch(ctx, agent, merge(`{"spec":{"suspend":true}}`))).To(Succeed())
	})

	It("let nobody but the operator put the finalizer on a Passport that lacks it", func(ctx SpecContext) {
		passport := p.passport("a")
		Expect(admin.Create(ctx, passport)).To(Succeed())
		const putOn = `{"metadata":{"finalizers":["agentpassport.dev/passport"]}}`
		Expect(admin.Patch(ctx, passport, merge(putOn))).To(BeRefusedBy("own-metadata"))

		Expect(admin.Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "everything"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects:   []rbacv1.Subject{user(apiserver.Manager)},
		})).To(Succeed())
		manager := older.As(apiserver.Manager, nil)
		Eventually(ctx, func() error { return manager.Patch(ctx, passport, merge(putOn)) }).Should(Succeed())
	})

	It("refuse a foreign name", func(ctx SpecContext) {
		passport := p.passport("a")
		passport.Spec.RequestedBy = byVia("somebody", "somebody")
		Expect(admin.Create(ctx, passport)).To(BeRefusedBy("author", "spec.requestedBy.via"))

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
