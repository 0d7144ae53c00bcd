package e2e

import (
	"context"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"agentpassport.dev/operator/test/manager"
)

var _ = Describe("Metrics", func() {
	It("are for those whom RBAC lets read them", func(ctx SpecContext) {
		p := newPlace(ctx, Default, calm)
		url := "https://" + calm.addresses.Metrics + "/metrics"
		status, _, err := get(ctx, url, "")
		Expect(err).NotTo(HaveOccurred())
		Expect(status).To(Equal(http.StatusUnauthorized))
		stranger, err := calm.Token(ctx, p.namespace, "support-bot")
		Expect(err).NotTo(HaveOccurred())
		status, _, err = get(ctx, url, stranger)
		Expect(err).NotTo(HaveOccurred())
		Expect(status).To(Equal(http.StatusForbidden))
	})

	It("count what becomes of passports", func(ctx SpecContext) {
		p := newPlace(ctx, Default, calm)
		p.issue()
		p.applyAsBot("checkpoint.yaml")
		p.kubectl("wait", "--for=condition=Ready", "--timeout=30s", "checkpoint/drafting-reply")
		p.applyAsBot("rejected.yaml")
		p.kubectl("wait", "--for=jsonpath={.status.phase}=Rejected", "--timeout=30s", "passport/refund-customer")
		p.kubectl("patch", "passport", mission, "--type=merge", `--patch={"spec":{"revocation":{"reason":"enough"}}}`)
		p.kubectl("wait", "--for=jsonpath={.status.phase}=Revoked", "--timeout=30s", "passport/"+mission)

		scrape := p.scraper()
		metrics := scrape(ctx, calm.addresses)
		for _, line := range []string{
			`agentpassport_passports_issued_total\{mode="Enforced"\} `,
			`agentpassport_passports_extended_total\{mode="Enforced"\} `,
			`agentpassport_passports_rejected_total\{reason="ServiceNotGranted"\} `,
			`agentpassport_passports_ended_total\{phase="Revoked",reason="RevokedByRequest"\} `,
			`agentpassport_passports_live\{mode="Enforced"\} `,
			`agentpassport_passport_issue_duration_seconds_bucket\{le="1"\} `,
			`leader_election_master_status\{name="agent-passport-manager"\} 1`,
		} {
			Expect(metrics).To(MatchRegexp(`(?m)^` + line))
		}
		Expect(metrics).NotTo(ContainSubstring(p.passport().Status.JTI))
	})
})

// scraper gives a ServiceAccount of the place the right to read metrics, and a function that does.
func (p *place) scraper() func(context.Context, manager.Addresses) string {
	GinkgoHelper()
	p.kubectl("create", "serviceaccount", "prometheus")
	p.kubectl("create", "clusterrolebinding", "prometheus-"+p.namespace,
		"--clusterrole=agent-passport-metrics-reader", "--serviceaccount="+p.namespace+":prometheus")
	token, err := p.Token(p.ctx, p.namespace, "prometheus")
	p.g.Expect(err).NotTo(HaveOccurred())
	return func(ctx context.Context, a manager.Addresses) (metrics string) {
		GinkgoHelper()
		p.g.Eventually(ctx, func() (status int, err error) {
			status, metrics, err = get(ctx, "https://"+a.Metrics+"/metrics", token)
			return status, err
		}).Should(Equal(http.StatusOK))
		return metrics
	}
}
