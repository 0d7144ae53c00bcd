package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"agentpassport.dev/operator/api/v1alpha1"
)

var _ = Describe("Revocation", func() {
	const revoke = `{"spec":{"revocation":{"reason":"it answers tickets that nobody wrote"}}}`

	It("takes a kubectl patch, by a holder of the verb revoke", func(ctx SpecContext) {
		p := newPlace(ctx, Default, calm)
		p.issue()
		out, err := p.run(p.bot, "", "patch", "passport", mission, "--type=merge", "--patch="+revoke)
		Expect(err).To(HaveOccurred(), "%s", out)
		Expect(out).To(ContainSubstring("Forbidden"))

		p.kubectl("create", "rolebinding", "responder", "--clusterrole=agent-passport-responder", "--user=responder")
		p.may("responder", "revoke", "passports")
		out, err = p.run("responder", "", "patch", "passport", mission, "--type=merge", "--patch="+revoke)
		Expect(err).NotTo(HaveOccurred(), "%s", out)
		p.kubectl("wait", "--for=jsonpath={.status.phase}=Revoked", "--timeout=30s", "passport/"+mission)
		Eventually(ctx, p.kubectl).WithArguments("get", "secrets").Should(ContainSubstring("No resources found"))
		Expect(p.passport().Spec.Revocation.By).To(Equal(&v1alpha1.Actor{Username: "responder"}))
		Expect(p.kubectl("get", "passports")).To(MatchRegexp(` Revoked +RevokedByRequest +`))
		p.described("Issued", "Revoked")
	})
})
