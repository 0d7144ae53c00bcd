package e2e

import (
	"regexp"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("A namespace that has not consented", func() {
	It("keeps a Passport waiting, with the command that ends the wait", func(ctx SpecContext) {
		p := newStrangePlace(ctx, Default, calm)
		p.applyAsBot("passport.yaml")
		p.kubectl("wait", "--for=jsonpath={.status.conditions[?(@.type=='Ready')].reason}=NamespaceNotEnabled",
			"--timeout=30s", "passport/"+mission)
		Expect(p.kubectl("get", "passports")).To(MatchRegexp(` Pending +NamespaceNotEnabled `))
		Expect(p.kubectl("get", "secrets")).To(ContainSubstring("No resources found"))

		message := p.kubectl("get", "passport", mission, "--output=jsonpath={.status.conditions[?(@.type=='Ready')].message}")
		command := regexp.MustCompile(`kubectl create .+`).FindString(message)
		Expect(command).NotTo(BeEmpty(), message)
		out, err := p.Shell(ctx, command)
		Expect(err).NotTo(HaveOccurred(), out)
		p.kubectl("wait", "--for=condition=Ready", "--timeout=30s", "passport/"+mission)
		Expect(p.content().ID).To(Equal(p.passport().Status.JTI))
	})
})
