package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/pkg/passport"
	"agentpassport.dev/operator/test/gateway"
)

// Two gateways share nothing but the API server: what one issues, the other knows; what is revoked, both refuse.
var _ = Describe("Gateways", Ordered, func() {
	var (
		p      *place
		first  *gateway.Gateway
		second *gateway.Gateway
		slack  *service
		bot    string
		// auditor is the token of who may read the trail.
		auditor string
	)

	BeforeAll(func(ctx SpecContext) {
		p = newPlace(context.WithoutCancel(ctx), Default, calm)
		first = startGateway(context.WithoutCancel(ctx), "pair-0")
		second = startGateway(context.WithoutCancel(ctx), "pair-1")
		slack = p.newService("slack")
		p.ready("slack")
		bot = p.key("support-bot")
		auditor = p.auditor("agent-passport-auditor")
	})

	It("knows a token fresh from one at the other, on its first call", func() {
		for range 5 {
			m := p.mission(first, bot)
			Expect(m.call(second, "slack", slack.url+"/api/test")).To(Equal(http.StatusOK))
		}
	})

	It("refuses what is revoked within a second, at both", func(ctx SpecContext) {
		var took []time.Duration
		for range 20 {
			m := p.mission(first, bot)
			for _, g := range []*gateway.Gateway{first, second} {
				Expect(m.call(g, "slack", slack.url+"/api/test")).To(Equal(http.StatusOK))
			}
			patch := []byte(`{"spec":{"revocation":{"reason":"It went astray"}}}`)
			Expect(p.Admin().Patch(ctx, m.object(), client.RawPatch("application/merge-patch+json", patch))).To(Succeed())
			since := time.Now()
			for _, g := range []*gateway.Gateway{first, second} {
				Eventually(ctx, func() int { return m.call(g, "slack", slack.url+"/api/test") }).
					WithPolling(5 * time.Millisecond).Should(Equal(http.StatusUnauthorized))
			}
			took = append(took, time.Since(since))
		}
		slices.Sort(took)
		AddReportEntry("from revoke to refusal at both gateways", fmt.Sprintf("median %s, worst %s", took[len(took)/2], took[len(took)-1]))
		// The worst is the machine's, which does other things too: `make bench` measures it.
		Expect(took[len(took)/2]).To(BeNumerically("<", time.Second))
	})

	It("has what is revoked in the status list, for services that verify by themselves", func(ctx SpecContext) {
		https, err := second.Client()
		Expect(err).NotTo(HaveOccurred())
		m := p.mission(first, bot)
		for where, base := range map[string]string{"the issuer": calm.issuer, "a gateway": second.URL} {
			verifier, err := passport.NewVerifier(calm.issuer, gateway.Audience, passport.WithBaseURL(base), passport.WithHTTPClient(https))
			Expect(err).NotTo(HaveOccurred())
			claims, err := verifier.Verify(ctx, m.Token)
			Expect(err).NotTo(HaveOccurred(), where)
			Expect(claims.Allows("slack")).To(BeTrue())
		}
		patch := []byte(`{"spec":{"revocation":{"reason":"It went astray"}}}`)
		Expect(p.Admin().Patch(ctx, m.object(), client.RawPatch("application/merge-patch+json", patch))).To(Succeed())
		Eventually(ctx, func() error {
			// One that has fetched no list yet.
			verifier, err := passport.NewVerifier(calm.issuer, gateway.Audience, passport.WithBaseURL(second.URL), passport.WithHTTPClient(https))
			Expect(err).NotTo(HaveOccurred())
			_, err = verifier.Verify(ctx, m.Token)
			return err
		}).Should(MatchError(passport.ErrRevoked))
	})

	It("puts the trace of a call into its record", func(ctx SpecContext) {
		m := p.mission(first, bot)
		header := http.Header{"X-Passport-Token": {m.Token}, "Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}
		status, body, err := first.Ask(ctx, http.MethodGet, "/proxy/slack/api/api.test", m.key, header, "")
		Expect(err).NotTo(HaveOccurred())
		Expect(status).To(Equal(http.StatusOK), body)
		got := slack.requests()
		Expect(got[len(got)-1].Header.Get("Traceparent")).To(Equal(header.Get("Traceparent")), "it goes on as it came")
		Eventually(ctx, func() string {
			_, rows := p.export(auditor, "namespace="+p.namespace+"&jti="+m.JTI)
			return rows
		}).Should(ContainSubstring(`"trace_id":"0af7651916cd43dd8448eb211c80319c"`))
	})

	It("uses a credential that was rotated within a second", func(ctx SpecContext) {
		m := p.mission(first, bot)
		p.kubectl("patch", "secret", "slack-credential", "--patch", `{"stringData":{"token":"rotated"}}`)
		since := time.Now()
		Eventually(ctx, func() []string {
			Expect(m.call(second, "slack", slack.url+"/api/test")).To(Equal(http.StatusOK))
			got := slack.requests()
			return got[len(got)-1].Header.Values("Authorization")
		}).WithPolling(5 * time.Millisecond).Should(Equal([]string{"Bearer rotated"}))
		AddReportEntry("from rotation to use", time.Since(since).String())
	})

	It("says what lets it read a credential, and goes by that", func(ctx SpecContext) {
		p.kubectl("create", "secret", "generic", "github-credential", "--from-literal=token=of-github")
		p.connect(&v1alpha1.ServiceConnection{Spec: v1alpha1.ServiceConnectionSpec{
			BaseURL: slack.url, AllowedAddresses: []v1alpha1.AddressRange{v1alpha1.RangeLoopback},
			Credential: &v1alpha1.ServiceCredential{SecretName: "github-credential"},
		}}, "github")
		m := p.mission(first, bot)
		var said string
		Eventually(ctx, func() string {
			said = p.kubectl("get", "serviceconnection", "github", "--output=jsonpath={.status.conditions[?(@.type=='CredentialReadable')].message}")
			return said
		}).Should(ContainSubstring("kubectl apply"))
		Expect(m.call(first, "github", slack.url+"/repos/example/one")).To(Equal(http.StatusServiceUnavailable))

		out, err := p.Shell(ctx, regexp.MustCompile(`echo '.*' \| kubectl apply [^&|;]*-f -`).FindString(said))
		Expect(err).NotTo(HaveOccurred(), "%s: %s", said, out)
		p.ready("github")
		Eventually(ctx, func() int { return m.call(first, "github", slack.url+"/repos/example/one") }).Should(Equal(http.StatusOK))
	})

	It("revokes a mission that reaches for what it was not given, and blocks its agent", func(ctx SpecContext) {
		q := newPlace(context.WithoutCancel(ctx), Default, calm)
		m := q.mission(first, q.key("support-bot"))
		Expect(m.call(second, "jira", "https://jira.example.com/")).To(Equal(http.StatusForbidden))
		Eventually(ctx, q.kubectl).WithArguments("get", "passport", m.Name).
			Should(MatchRegexp(`Revoked +(SignalRaised|AgentBlocked) `))
		Eventually(ctx, q.kubectl).WithArguments("get", "agentblocks").Should(ContainSubstring("credential_outside_scope"))
		Expect(m.call(first, "slack", slack.url+"/")).To(BeElementOf(http.StatusUnauthorized, http.StatusForbidden))
	})

	It("goes on while the audit log is away, and loses no record when it is killed", func(ctx SpecContext) {
		m := p.mission(first, bot)
		third := startGateway(ctx, "pair-2")
		calm.auditLog.Kill()
		for range 7 {
			Expect(m.call(third, "slack", slack.url+"/while-away")).To(Equal(http.StatusOK))
		}
		third.Kill()
		Expect(calm.auditLog.Again(ctx)).To(Succeed())
		Expect(third.Again(ctx)).To(Succeed())
		Eventually(ctx, func() int {
			calls := 0
			for _, row := range p.trail(auditor, m.JTI) {
				if row.Action == "credential.proxy" && row.Outcome == "success" {
					calls++
				}
			}
			return calls
		}).Should(Equal(7))
		Expect(third.Stop(ctx)).To(Succeed())
	})
})

// httpMission is a mission that was asked for over HTTP.
type httpMission struct {
	*place
	JTI, Name, Token, key string
}

// mission asks a gateway for a passport of the guide.
func (p *place) mission(g *gateway.Gateway, key string) *httpMission {
	GinkgoHelper()
	status, body, err := g.Ask(p.ctx, http.MethodPost, "/v1/passports/issue", key, nil, `{
		"agent_id": "support-bot", "ttl_seconds": 900, "checkpoint_interval_seconds": 300,
		"intent": {"summary": "Answer one customer ticket", "services": ["slack", "github"]}}`)
	p.g.Expect(err).NotTo(HaveOccurred())
	p.g.Expect(status).To(BeElementOf(http.StatusOK, http.StatusCreated), body)
	m := &httpMission{place: p, key: key}
	var issued struct{ JTI, Name, Token string }
	p.g.Expect(json.Unmarshal([]byte(body), &issued)).To(Succeed())
	m.JTI, m.Name, m.Token = issued.JTI, issued.Name, issued.Token
	return m
}

func (m *httpMission) object() *v1alpha1.Passport {
	object := &v1alpha1.Passport{}
	object.Namespace, object.Name = m.namespace, m.Name
	return object
}

// call sends a GET through POST /v1/proxy, and gives the gateway's status.
func (m *httpMission) call(g *gateway.Gateway, service, url string) int {
	GinkgoHelper()
	body, err := json.Marshal(map[string]string{"service": service, "method": http.MethodGet, "url": url})
	m.g.Expect(err).NotTo(HaveOccurred())
	header := http.Header{"X-Passport-Token": {m.Token}, "Content-Type": {"application/json"}}
	status, answer, err := g.Ask(m.ctx, http.MethodPost, "/v1/proxy", m.key, header, string(body))
	m.g.Expect(err).NotTo(HaveOccurred())
	m.g.Expect(strings.Contains(answer, "credential-of-")).To(BeFalse(), "the answer holds the credential")
	return status
}
