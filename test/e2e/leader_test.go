package e2e

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Two managers", func() {
	const (
		leading  = `(?m)^leader_election_master_status\{name="agent-passport-manager"\} 1$`
		waiting  = `(?m)^leader_election_master_status\{name="agent-passport-manager"\} 0$`
		hasActed = `(?m)^agentpassport_passports_issued_total\{`
	)

	It("take turns: one acts, the other serves the same keys and takes over at once", func(ctx SpecContext) {
		p := newPlace(ctx, Default, calm)
		scrape := p.scraper()
		first, second := calm.addresses, freeAddresses()
		standby, err := calm.startAt(second)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { standby.Kill() })
		Expect(standby.Ready(ctx)).To(Succeed())

		p.issue()
		Expect(scrape(ctx, first)).To(And(MatchRegexp(leading), MatchRegexp(hasActed)))
		Expect(scrape(ctx, second)).To(And(MatchRegexp(waiting), Not(MatchRegexp(hasActed))))
		_, served, err := get(ctx, "http://"+first.Issuer+"/.well-known/jwks.json", "")
		Expect(err).NotTo(HaveOccurred())
		_, alsoServed, err := get(ctx, "http://"+second.Issuer+"/.well-known/jwks.json", "")
		Expect(err).NotTo(HaveOccurred())
		Expect(alsoServed).To(Equal(served))

		leader := p.holder()
		stopping, cancel := context.WithTimeout(ctx, soon)
		defer cancel()
		Expect(calm.manager.Stop(stopping)).To(Succeed(), "the exit code")
		stopped := time.Now()
		Expect(p.holder()).NotTo(Equal(leader), "the lease is released: it need not run out")
		Eventually(ctx, scrape).WithArguments(ctx, second).Should(MatchRegexp(leading))
		AddReportEntry("took over after", time.Since(stopped).Round(10*time.Millisecond).String())

		q := newPlace(ctx, Default, calm)
		q.issue()
		Expect(scrape(ctx, second)).To(MatchRegexp(hasActed))

		Expect(calm.start()).To(Succeed())
		Expect(calm.manager.Ready(ctx)).To(Succeed())
		Expect(scrape(ctx, first)).To(MatchRegexp(waiting))
		Expect(standby.Stop(ctx)).To(Succeed())
		Eventually(ctx, scrape).WithArguments(ctx, first).Should(MatchRegexp(leading))
	})
})

// holder gives which manager holds the lease; nothing where it is released.
func (p *place) holder() string {
	GinkgoHelper()
	return p.kubectl("get", "lease", "agent-passport-manager", "--namespace=agent-passport-system",
		"--output=jsonpath={.spec.holderIdentity}")
}
