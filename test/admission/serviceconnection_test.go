package admission

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/test/apiserver"
)

var _ = Describe("A ServiceConnection", func() {
	var p place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	It("names who changed its spec, and not who changed a label", func(ctx SpecContext) {
		connection := p.connection()
		connection.Annotations = map[string]string{v1alpha1.AnnotationChangedBy: "somebody"}
		connection = created(ctx, clusterAdmin, connection)
		Expect(connection.Annotations).To(Equal(map[string]string{v1alpha1.AnnotationChangedBy: clusterAdmin}))
		Expect(as(namespaceAdmin).Patch(ctx, connection, merge(`{"metadata":{"labels":{"team":"support"},"annotations":null}}`))).To(Succeed())
		Expect(connection.Annotations).To(Equal(map[string]string{v1alpha1.AnnotationChangedBy: clusterAdmin}))
		Expect(as(namespaceAdmin).Patch(ctx, connection, merge(`{"spec":{"methods":["GET"]}}`))).To(Succeed())
		Expect(connection.Annotations).To(Equal(map[string]string{v1alpha1.AnnotationChangedBy: namespaceAdmin}))
	})

	It("has defaults that are spelled out", func(ctx SpecContext) {
		connection := created(ctx, namespaceAdmin, p.connection())
		Expect(connection.Spec.Callers).To(Equal(v1alpha1.CallersAgentUsers))
		Expect(connection.Spec.TimeoutSeconds).To(Equal(int32(30)))
		Expect(*connection.Spec.Credential).To(Equal(v1alpha1.ServiceCredential{
			SecretName: "credential", Key: "token", UsernameKey: "username", Type: v1alpha1.CredentialBearer,
		}))
	})

	DescribeTable("is refused where", func(ctx SpecContext, message string, spoil func(*v1alpha1.ServiceConnection)) {
		connection := p.connection()
		spoil(connection)
		err := as(namespaceAdmin).Create(ctx, connection)
		Expect(err).To(Satisfy(apierrors.IsInvalid))
		Expect(err).To(MatchError(ContainSubstring(message)))
	},
		Entry("its URL is none", "baseURL is a URL", func(c *v1alpha1.ServiceConnection) { c.Spec.BaseURL = "api.example.com" }),
		Entry("its scheme is another", "baseURL is a URL", func(c *v1alpha1.ServiceConnection) { c.Spec.BaseURL = "ftp://api.example.com" }),
		Entry("its URL has a query", "no query", func(c *v1alpha1.ServiceConnection) { c.Spec.BaseURL = "https://api.example.com/?a=b" }),
		Entry("its URL has a user", "no query", func(c *v1alpha1.ServiceConnection) { c.Spec.BaseURL = "https://a@api.example.com" }),
		Entry("its URL has escapes", "no query", func(c *v1alpha1.ServiceConnection) { c.Spec.BaseURL = "https://api.example.com/%2e" }),
		Entry("its URL climbs", "no query", func(c *v1alpha1.ServiceConnection) { c.Spec.BaseURL = "https://api.example.com/../x" }),
		Entry("a host is a pattern", "spec.hosts", func(c *v1alpha1.ServiceConnection) { c.Spec.Hosts = []string{"*.example.com"} }),
		Entry("a host is a URL", "spec.hosts", func(c *v1alpha1.ServiceConnection) { c.Spec.Hosts = []string{"https://example.com"} }),
		Entry("there are too many hosts", "spec.hosts", func(c *v1alpha1.ServiceConnection) {
			for i := range 17 {
				c.Spec.Hosts = append(c.Spec.Hosts, strings.Repeat("a", i+1)+".example.com")
			}
		}),
		Entry("a method is none", "spec.methods", func(c *v1alpha1.ServiceConnection) { c.Spec.Methods = []v1alpha1.HTTPMethod{"CONNECT"} }),
		Entry("metadata addresses are allowed", "spec.allowedAddresses", func(c *v1alpha1.ServiceConnection) {
			c.Spec.AllowedAddresses = []v1alpha1.AddressRange{"Metadata"}
		}),
		Entry("a header has no name", "name goes with type Header and Query", func(c *v1alpha1.ServiceConnection) {
			c.Spec.Credential.Type = v1alpha1.CredentialHeader
		}),
		Entry("a bearer has a name", "name goes with type Header and Query", func(c *v1alpha1.ServiceConnection) {
			c.Spec.Credential.Name = "X-Token"
		}),
		Entry("a header is none", "not a valid header name", func(c *v1alpha1.ServiceConnection) {
			c.Spec.Credential.Type, c.Spec.Credential.Name = v1alpha1.CredentialHeader, "X Token"
		}),
		Entry("a header is the passport's", "belongs to the connection", func(c *v1alpha1.ServiceConnection) {
			c.Spec.Credential.Type, c.Spec.Credential.Name = v1alpha1.CredentialHeader, "x-PASSPORT-token"
		}),
		Entry("its time is too long", "spec.timeoutSeconds", func(c *v1alpha1.ServiceConnection) { c.Spec.TimeoutSeconds = 301 }),
		Entry("its name is no service's", "at most 63 characters", func(c *v1alpha1.ServiceConnection) { c.Name = strings.Repeat("a", 64) }),
	)
})

var _ = Describe("A gateway", func() {
	It("keeps the Leases of gateways, and no other", func(ctx SpecContext) {
		lease := func(name string) *coordinationv1.Lease {
			return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.OperatorNamespace, Name: name}}
		}
		leader := lease("agent-passport-manager")
		Expect(server.Admin().Create(ctx, leader)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(server.Admin().Delete(ctx, leader)).To(Succeed()) })
		leader.Spec.HolderIdentity = ptr.To("me")
		Expect(as(gateway).Update(ctx, leader)).To(BeRefusedBy("gateway-lease", "a gateway writes no Lease but those"))
		Expect(as(gateway).Delete(ctx, leader)).To(BeRefusedBy("gateway-lease"))
		Expect(as(gateway).Create(ctx, lease("agent-passport-manager-2"))).To(BeRefusedBy("gateway-lease"))
		own := lease("agent-passport-gateway-0")
		Expect(as(gateway).Create(ctx, own)).To(Succeed())
		own.Spec.HolderIdentity = ptr.To("gateway-0")
		Expect(as(gateway).Update(ctx, own)).To(Succeed())
		Expect(as(gateway).Delete(ctx, own)).To(Succeed())
	})
})
