package admission

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/test/apiserver"
)

var _ = Describe("The roles", func() {
	var p place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	DescribeTable("give no more than they say", func(ctx SpecContext, username func() string, verb, resource string) {
		Expect(may(ctx, username(), p.namespace, verb, resource, "")).To(BeFalse())
	},
		Entry("an agent uses no agent but its own", func() string { return p.agentA }, "use", "agentpassports"),
		Entry("an agent revokes nothing", func() string { return p.agentA }, "revoke", "passports"),
		Entry("an agent changes no Passport", func() string { return p.agentA }, "patch", "passports"),
		Entry("an agent lifts no block", func() string { return p.agentA }, "update", "agentblocks"),
		Entry("an agent registers none", func() string { return p.agentA }, "create", "agentpassports"),
		Entry("an agent changes no Checkout", func() string { return p.agentA }, "update", "checkouts"),
		Entry("an agent patches no Checkout", func() string { return p.agentA }, "patch", "checkouts"),
		Entry("an agent reviews nothing", func() string { return p.agentA }, "review", "checkouts"),
		Entry("an agent deletes no Checkout", func() string { return p.agentA }, "delete", "checkouts"),
		Entry("a responder acts as no agent", func() string { return responder }, "use", "agentpassports"),
		Entry("a responder deletes no block", func() string { return responder }, "delete", "agentblocks"),
		Entry("a responder reviews nothing", func() string { return responder }, "review", "checkouts"),
		Entry("a responder changes no Checkout", func() string { return responder }, "patch", "checkouts"),
		Entry("a reviewer makes no Checkout", func() string { return reviewer }, "create", "checkouts"),
		Entry("a reviewer deletes no Checkout", func() string { return reviewer }, "delete", "checkouts"),
		Entry("a reviewer signs for nobody else", func() string { return reviewer }, "attest", "checkouts"),
		Entry("a reviewer does not review their own", func() string { return reviewer }, "review-own", "checkouts"),
		Entry("an admin does not review their own", func() string { return namespaceAdmin }, "review-own", "checkouts"),
		Entry("an admin signs for nobody else", func() string { return namespaceAdmin }, "attest", "passports"),
		Entry("an admin reviews for nobody else", func() string { return namespaceAdmin }, "attest", "checkouts"),
		Entry("an admin writes no status", func() string { return namespaceAdmin }, "update", "passports/status"),
	)

	DescribeTable("give what they say of Checkouts", func(ctx SpecContext, username func() string, verbs ...string) {
		for _, verb := range verbs {
			Expect(may(ctx, username(), p.namespace, verb, "checkouts", "")).To(BeTrue(), verb)
		}
	},
		Entry("an agent", func() string { return p.agentA }, "create", "get", "list", "watch"),
		Entry("a responder", func() string { return responder }, "get", "list", "watch"),
		Entry("a reviewer", func() string { return reviewer }, "get", "list", "watch", "update", "patch", "review"),
		Entry("an admin", func() string { return namespaceAdmin },
			"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "review"),
	)

	It("let an admin write ServiceConnections, a viewer read them, and an agent neither", func(ctx SpecContext) {
		const viewer = "viewer"
		p.bind(ctx, viewer, "agent-passport-viewer", "watch", "passports")
		for _, verb := range []string{"get", "list", "watch", "create", "update", "patch", "delete"} {
			Expect(may(ctx, namespaceAdmin, p.namespace, verb, "serviceconnections", "")).To(BeTrue(), verb)
			reads := verb == "get" || verb == "list" || verb == "watch"
			Expect(may(ctx, viewer, p.namespace, verb, "serviceconnections", "")).To(Equal(reads), verb)
			Expect(may(ctx, p.agentA, p.namespace, verb, "serviceconnections", "")).To(BeFalse(), verb)
		}
		Expect(may(ctx, namespaceAdmin, p.namespace, "update", "serviceconnections/status", "")).To(BeFalse())
	})

	It("let an admin write documents and packs, and nobody but the cluster's admins the keys of vendors", func(ctx SpecContext) {
		const viewer = "viewer"
		p.bind(ctx, viewer, "agent-passport-viewer", "watch", "passports")
		for _, resource := range []string{"capabilitypassports", "compatibilitychecks", "policypacks"} {
			Expect(may(ctx, namespaceAdmin, p.namespace, "update", resource, "")).To(BeTrue(), resource)
			Expect(may(ctx, namespaceAdmin, p.namespace, "update", resource+"/status", "")).To(BeFalse(), resource)
			Expect(may(ctx, viewer, p.namespace, "list", resource, "")).To(BeTrue(), resource)
			Expect(may(ctx, viewer, p.namespace, "create", resource, "")).To(BeFalse(), resource)
			Expect(may(ctx, p.agentA, p.namespace, "get", resource, "")).To(BeFalse(), resource)
		}
		for _, username := range []string{namespaceAdmin, viewer, p.agentA, responder, reviewer} {
			Expect(may(ctx, username, "", "create", "vendorkeys", "")).To(BeFalse(), username)
			Expect(may(ctx, username, "", "update", "vendorkeys", "")).To(BeFalse(), username)
		}
	})

	It("let a viewer read Checkouts, and no more", func(ctx SpecContext) {
		const viewer = "viewer"
		p.bind(ctx, viewer, "agent-passport-viewer", "watch", "passports")
		Expect(may(ctx, viewer, p.namespace, "list", "checkouts", "")).To(BeTrue())
		Expect(may(ctx, viewer, p.namespace, "patch", "checkouts", "")).To(BeFalse())
		Expect(may(ctx, viewer, p.namespace, "review", "checkouts", "")).To(BeFalse())
	})

	It("let an admin of a namespace hand out use, and not attest", func(ctx SpecContext) {
		p.adminOfNamespace(ctx)
		role := func(verb, resource string) *rbacv1.Role {
			return &rbacv1.Role{ObjectMeta: p.meta(), Rules: []rbacv1.PolicyRule{
				{APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{verb}},
			}}
		}
		Expect(as(namespaceAdmin).Create(ctx, role("use", "agentpassports"))).To(Succeed())
		Expect(as(namespaceAdmin).Create(ctx, role("revoke", "passports"))).To(Succeed())
		Expect(as(namespaceAdmin).Create(ctx, role("review", "checkouts"))).To(Succeed())
		Expect(as(namespaceAdmin).Create(ctx, role("attest", "passports"))).To(Satisfy(apierrors.IsForbidden))
		Expect(as(namespaceAdmin).Create(ctx, role("attest", "checkouts"))).To(Satisfy(apierrors.IsForbidden))
		Expect(as(namespaceAdmin).Create(ctx, role("review-own", "checkouts"))).To(Satisfy(apierrors.IsForbidden))
		Expect(as(namespaceAdmin).Create(ctx, role("update", "passports/status"))).To(Satisfy(apierrors.IsForbidden))
	})

	It("let an admin of a namespace consent to token Secrets", func(ctx SpecContext) {
		p.adminOfNamespace(ctx)
		Expect(mayIn(ctx, "", apiserver.Manager, p.namespace, "create", "secrets", "")).To(BeFalse())
		out, err := server.Kubectl(ctx, namespaceAdmin, "", "create", "rolebinding", "agent-passport-secrets",
			"-n", p.namespace, "--clusterrole=agent-passport-secrets",
			"--serviceaccount=agent-passport-system:agent-passport-manager")
		Expect(err).NotTo(HaveOccurred(), out)
		Eventually(ctx, mayIn).WithArguments("", apiserver.Manager, p.namespace, "create", "secrets", "").Should(BeTrue())
	})

	DescribeTable("open the operator's namespace no further than by name", func(ctx SpecContext,
		username, verb, resource, name string, allowed bool,
	) {
		Expect(mayIn(ctx, "", username, "agent-passport-system", verb, resource, name)).To(Equal(allowed))
	},
		Entry("the manager reads its keys", apiserver.Manager, "get", "secrets", "agent-passport-signing-keys", true),
		Entry("the manager watches its keys", apiserver.Manager, "watch", "secrets", "agent-passport-signing-keys", true),
		Entry("the manager reads no other Secret", apiserver.Manager, "get", "secrets", "other", false),
		Entry("the manager lists no Secrets", apiserver.Manager, "list", "secrets", "", false),
		Entry("the manager deletes no keys", apiserver.Manager, "delete", "secrets", "agent-passport-signing-keys", false),
		Entry("the manager writes the JWKS", apiserver.Manager, "update", "configmaps", "agent-passport-jwks", true),
		Entry("the manager keeps deleted passports invalid", apiserver.Manager, "update", "configmaps", "agent-passport-ended", true),
		Entry("the manager deletes no ConfigMap", apiserver.Manager, "delete", "configmaps", "agent-passport-ended", false),
		Entry("every ServiceAccount reads the JWKS", gateway, "get", "configmaps", "agent-passport-jwks", true),
		Entry("no ServiceAccount writes the JWKS", gateway, "update", "configmaps", "agent-passport-jwks", false),
		Entry("the manager reads the authority of the channel", apiserver.Manager, "get", "secrets", "agent-passport-channel-ca", true),
		Entry("the manager changes no authority", apiserver.Manager, "update", "secrets", "agent-passport-channel-ca", false),
		Entry("the manager writes what gateways show", apiserver.Manager, "update", "secrets", "agent-passport-gateway-tls", true),
		Entry("the manager publishes the gateways' authority", apiserver.Manager, "update", "configmaps", "agent-passport-gateway-ca", true),
		Entry("every ServiceAccount reads the gateways' authority", gateway, "get", "configmaps", "agent-passport-gateway-ca", true),
		Entry("no ServiceAccount writes the gateways' authority", gateway, "update", "configmaps", "agent-passport-gateway-ca", false),
		Entry("a gateway reads no Secret, its own neither", gateway, "get", "secrets", "agent-passport-gateway-tls", false),
		Entry("a gateway reads no authority", gateway, "get", "secrets", "agent-passport-channel-ca", false),
		Entry("no ServiceAccount reads the keys", gateway, "get", "secrets", "agent-passport-signing-keys", false),
	)
})

// adminOfNamespace gives the namespace's admin what the built-in ClusterRole admin is put together of.
func (p place) adminOfNamespace(ctx SpecContext) {
	GinkgoHelper()
	for _, part := range []string{"admin", "edit", "view"} {
		Expect(server.Admin().Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "binding-", Namespace: p.namespace},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:aggregate-to-" + part},
			Subjects:   []rbacv1.Subject{user(namespaceAdmin)},
		})).To(Succeed())
	}
	Eventually(ctx, func() (bool, error) {
		return mayIn(ctx, rbacv1.GroupName, namespaceAdmin, p.namespace, "create", "roles", "")
	}).Should(BeTrue())
}
