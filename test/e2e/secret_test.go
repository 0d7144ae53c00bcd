package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("A token Secret", func() {
	It("comes back with the same claims when it is deleted or edited by hand", func(ctx SpecContext) {
		p := newPlace(ctx, Default, calm)
		p.issue()
		// Until its expiry, minutes away, nothing but a watch has the operator look at it again.
		first := p.secret()
		restored := And(HaveField("Data", first.Data), HaveField("Labels", first.Labels), HaveField("OwnerReferences", first.OwnerReferences))

		p.kubectl("delete", "secret", mission+"-token")
		Eventually(ctx, p.secret).Should(restored)
		Expect(p.secret().UID).NotTo(Equal(first.UID))

		for _, edit := range []string{
			`{"stringData":{"token":"not a token"}}`,
			`{"stringData":{"more":"of it"}}`,
			`{"data":{"jwks.json":null}}`,
			`{"metadata":{"labels":{"agentpassport.dev/passport-uid":null}}}`,
			`{"metadata":{"labels":{"agentpassport.dev/passport-uid":"another"}}}`,
		} {
			p.kubectl("patch", "secret", mission+"-token", "--type=merge", "--patch="+edit)
			Eventually(ctx, p.secret).Should(restored, edit)
		}
	})
})
