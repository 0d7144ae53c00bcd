package plugin

import (
	"context"
	"net/http"
	"net/http/httptest"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/test/gateway"
)

// A gateway is of the whole cluster, and status counts them: no other spec runs beside these.
var _ = Describe("With a gateway", Serial, Ordered, func() {
	var (
		p     *place
		front *gateway.Gateway
		shown string // to the service
	)

	BeforeAll(func(ctx SpecContext) {
		p = newPlace(ctx)
		binary, err := gateway.Build(ctx, root, p.dir)
		Expect(err).NotTo(HaveOccurred())
		front, err = gateway.Start(p.ctx, gateway.Options{
			Binary: binary, Name: "gateway-0", Dir: GinkgoT().TempDir(), Server: server, AuditLog: auditLog,
			Issuer: "http://" + operator.Addresses.Issuer, Channel: operator.Addresses.Channel, Log: GinkgoWriter,
		})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx context.Context) { Expect(front.Stop(ctx)).To(Succeed()) })
		service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { shown = r.Header.Get("Authorization") }))
		DeferCleanup(service.Close)
		connection := &v1alpha1.ServiceConnection{
			ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: "slack"},
			Spec: v1alpha1.ServiceConnectionSpec{
				BaseURL: service.URL, AllowedAddresses: []v1alpha1.AddressRange{v1alpha1.RangeLoopback},
				Credential: &v1alpha1.ServiceCredential{SecretName: "slack-credential", Type: v1alpha1.CredentialBearer},
			},
		}
		Expect(server.Admin().Create(ctx, connection)).To(Succeed())
	})

	// says gives a matcher of the line of status on the credential.
	says := func(level, what string) OmegaMatcher {
		return MatchRegexp(`(?m)^%s +credential of connection slack in namespace %s: %s`, level, p.namespace, what)
	}

	It("status says that a credential may not be read, and its command mends that", func() {
		p.kubectl("create", "secret", "generic", "slack-credential", "--from-literal=token=sesame")
		Eventually(func() string { return p.as(admin, "status").Out }).Should(And(
			says("WRONG", "the gateways may not read Secret slack-credential\n +-> kubectl passport enable "+p.namespace+" --credential=slack-credential --apply$"),
			MatchRegexp(`(?m)^ok +live gateways: 1$`)))
		Expect(p.as(admin, "status").Code).To(Equal(1))
		p.good(admin, "enable", p.namespace, "--credential=slack-credential", "--apply", "--yes")
		Eventually(func() string { return p.as(admin, "status").Out }).ShouldNot(ContainSubstring("credential of connection slack in namespace " + p.namespace))
	})

	It("status says that a key is missing in a credential", func() {
		p.kubectl("patch", "secret", "slack-credential", "--type=json", `--patch=[{"op": "move", "from": "/data/token", "path": "/data/password"}]`)
		Eventually(func() string { return p.as(admin, "status").Out }).Should(says("WRONG", ".*token"))
		p.kubectl("patch", "secret", "slack-credential", "--type=json", `--patch=[{"op": "move", "from": "/data/password", "path": "/data/token"}]`)
		Eventually(func() string { return p.as(admin, "status").Out }).ShouldNot(ContainSubstring("credential of connection slack in namespace " + p.namespace))
	})

	It("audit who-used counts the calls that went out, those that were refused, and what was reported", func() {
		ticket := p.issue("ticket")
		var secret corev1.Secret
		Expect(server.Admin().Get(p.ctx, client.ObjectKey{Namespace: p.namespace, Name: ticket.Name + "-token"}, &secret)).To(Succeed())
		bearer, err := server.Token(p.ctx, p.namespace, agent, gateway.Audience)
		Expect(err).NotTo(HaveOccurred())
		call := func() (int, string) {
			header := http.Header{"X-Passport-Token": {string(secret.Data["token"])}}
			status, answer, err := front.Ask(p.ctx, http.MethodGet, "/proxy/slack/api/conversations.list", bearer, header, "")
			Expect(err).NotTo(HaveOccurred())
			return status, answer
		}
		for range 3 {
			status, answer := call()
			Expect(status).To(Equal(http.StatusOK), answer)
		}
		Expect(shown).To(Equal("Bearer sesame"))
		p.good(agent, "checkout", "ticket", "--services=slack", "--actions=3", "--timeout="+soon.String())
		status, answer := call()
		Expect(status).To(Equal(http.StatusUnauthorized), answer)

		whoUsed := []string{"audit", "who-used", "slack", "--service-account=auditor", "--audit-log=" + auditLog.URL}
		Eventually(func() string { return p.as(admin, whoUsed...).Out }).Should(
			MatchRegexp(`(?m)^NAMESPACE +AGENT +CALLS +REFUSED .*\n%s +support-bot +3 +1 +1 +1 `, p.namespace))
	})
})
