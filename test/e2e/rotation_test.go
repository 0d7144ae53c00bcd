package e2e

import (
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"agentpassport.dev/operator/test/gateway"
)

const keySecret = "agent-passport-signing-keys"

var _ = Describe("Rotation of the signing keys", func() {
	It("in an emergency signs live tokens again at once, and drops the old key", func(ctx SpecContext) {
		p := newPlace(ctx, Default, calm)
		p.issue()
		old, before := p.token(), p.content()
		p.rotate("emergency")
		Eventually(p.content).ShouldNot(HaveField("KeyID", before.KeyID))
		Expect(p.content().Claims).To(Equal(before.Claims))

		keys, err := jwk.Fetch(ctx, discover(ctx, calm.issuer))
		Expect(err).NotTo(HaveOccurred())
		_, err = jwt.ParseString(p.token(), jwt.WithKeySet(keys), jwt.WithIssuer(calm.issuer), jwt.WithAudience(gateway.Audience))
		Expect(err).NotTo(HaveOccurred())
		_, err = jwt.ParseString(old, jwt.WithKeySet(keys))
		Expect(err).To(HaveOccurred(), "the token of the dropped key")
		Eventually(ctx, p.kubectl).WithArguments("events", "--for=secret/"+keySecret, "--namespace=agent-passport-system").
			Should(ContainSubstring("KeyDropped"))
	})

	It("now waits until verifiers know the next key, and ends no token", func(ctx SpecContext) {
		p := newPlace(ctx, Default, calm)
		p.issue()
		before := p.content()
		p.rotate("now")
		keys := p.kubectl("get", "secret", keySecret, "--namespace=agent-passport-system", "--output=go-template={{index .data \"keys.json\" | base64decode}}")
		Expect(keys).To(MatchRegexp(`"[rR]otation_?[rR]equested": *true`))
		Expect(p.content()).To(Equal(before))
	})
})

// rotate asks for a rotation by the annotation, and waits until it is taken off: the request is stored.
func (p *place) rotate(how string) {
	GinkgoHelper()
	p.kubectl("annotate", "secret", keySecret, "--namespace=agent-passport-system", "agentpassport.dev/rotate="+how)
	p.g.Eventually(p.ctx, p.kubectl).WithArguments("get", "secret", keySecret, "--namespace=agent-passport-system",
		"--output=jsonpath={.metadata.annotations}").ShouldNot(ContainSubstring("rotate"))
}
