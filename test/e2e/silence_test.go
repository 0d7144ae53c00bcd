package e2e

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"agentpassport.dev/operator/api/v1alpha1"
)

var _ = Describe("Silence", atTheEnd, func() {
	It("is the end of a mission", func(ctx SpecContext) { silence.end(ctx) })
})

// dieOfSilence is a mission that never checkpoints.
func dieOfSilence(p *place) (found string) {
	expiry := p.issueFrom("short-leash.yaml").Status.ExpirationTime
	p.pass(expiry.Time)
	p.kubectl("wait", "--for=jsonpath={.status.phase}=Expired", "--timeout="+soon.String(), "passport/"+mission)
	passport := p.passport()
	p.g.Expect(passport.Status.EndTime.Equal(expiry)).To(BeTrue(), "it ended at its expiry, whenever that was noticed")
	p.g.Expect(passport.Status.Signals).To(ConsistOf(HaveField("Type", "checkpoint_silence")))
	p.g.Expect(p.kubectl("get", "passports")).To(MatchRegexp(` Expired +%s `, v1alpha1.ReasonCheckpointSilence))
	p.g.Eventually(p.ctx, p.kubectl).WithArguments("get", "secrets").Should(ContainSubstring("No resources found"))
	p.described("Issued", "CheckpointSilence", "Expired")
	return "noticed " + time.Since(expiry.Time).Round(time.Second).String() + " after its expiry, or earlier"
}
