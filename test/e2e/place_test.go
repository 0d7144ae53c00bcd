package e2e

import (
	"context"
	"encoding/json"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"

	"agentpassport.dev/operator/api/v1alpha1"
)

// place is a namespace of a cluster, where one spec or story plays.
type place struct {
	*cluster
	ctx       context.Context
	g         types.Gomega
	namespace string
	// bot is the user that may act as the support bot.
	bot string
}

// mission is the name of the Passport in testdata/passport.yaml, and in short-leash.yaml, whose minute
// is for specs about the leash: others may take longer.
const mission = "answer-ticket"

// newPlace makes a namespace that has consented, with the support bot in it.
func newPlace(ctx context.Context, g types.Gomega, c *cluster) *place {
	GinkgoHelper()
	p := newStrangePlace(ctx, g, c)
	p.apply("consent.yaml")
	return p
}

// newStrangePlace makes a namespace that has not consented, with the support bot in it.
func newStrangePlace(ctx context.Context, g types.Gomega, c *cluster) *place {
	GinkgoHelper()
	namespace := &corev1.Namespace{}
	namespace.GenerateName = "place-"
	g.Expect(c.Admin().Create(ctx, namespace)).To(Succeed())
	p := &place{
		cluster: c, ctx: ctx, g: g, namespace: namespace.Name,
		bot: "system:serviceaccount:" + namespace.Name + ":support-bot",
	}
	p.apply("support-bot.yaml")
	p.may(p.bot, "use", "agentpassports/support-bot")
	p.may(p.bot, "create", "passports")
	return p
}

// may waits until RBAC, which the API server loads in its own time, gives a user a right.
func (p *place) may(user, verb, what string) {
	GinkgoHelper()
	p.g.Eventually(p.ctx, func() (string, error) {
		return p.run(user, "", "auth", "can-i", verb, what)
	}).Should(ContainSubstring("yes"))
}

// run runs kubectl in the namespace, as a user; as an administrator where user is empty.
func (p *place) run(user, stdin string, args ...string) (string, error) {
	return p.Kubectl(p.ctx, user, stdin, append([]string{"--namespace=" + p.namespace}, args...)...)
}

// kubectl runs kubectl in the namespace as an administrator, and gives what it printed.
func (p *place) kubectl(args ...string) string {
	GinkgoHelper()
	out, err := p.run("", "", args...)
	p.g.Expect(err).NotTo(HaveOccurred(), "%s", out)
	return out
}

// apply applies a file of testdata as an administrator.
func (p *place) apply(file string) {
	GinkgoHelper()
	p.kubectl("apply", "--filename="+filepath.Join("testdata", file))
}

// applyAsBot applies a file of testdata as the support bot, and gives what kubectl printed.
func (p *place) applyAsBot(file string) string {
	GinkgoHelper()
	out, err := p.run(p.bot, "", "apply", "--filename="+filepath.Join("testdata", file))
	p.g.Expect(err).NotTo(HaveOccurred(), "%s", out)
	return out
}

// issue has the support bot ask for its Passport, and waits until it is Ready.
func (p *place) issue() v1alpha1.Passport {
	GinkgoHelper()
	return p.issueFrom("passport.yaml")
}

// issueFrom is issue with another file of testdata.
func (p *place) issueFrom(file string) v1alpha1.Passport {
	GinkgoHelper()
	p.applyAsBot(file)
	p.kubectl("wait", "--for=condition=Ready", "--timeout="+soon.String(), "passport/"+mission)
	return p.passport()
}

// passport reads the mission's Passport.
func (p *place) passport() (passport v1alpha1.Passport) {
	GinkgoHelper()
	p.read(&passport, "passport", mission)
	return passport
}

// token reads the mission's token out of its Secret.
func (p *place) token() string {
	GinkgoHelper()
	return string(p.secret().Data[v1alpha1.SecretKeyToken])
}

// secret reads the mission's Secret; it is empty where there is none.
func (p *place) secret() (secret corev1.Secret) {
	GinkgoHelper()
	p.read(&secret, "secret", mission+"-token", "--ignore-not-found")
	return secret
}

func (p *place) read(object any, kind, name string, flags ...string) {
	GinkgoHelper()
	out := p.kubectl(append([]string{"get", kind, name, "--output=json"}, flags...)...)
	if out != "" {
		p.g.Expect(json.Unmarshal([]byte(out), object)).To(Succeed())
	}
}

// described waits until `kubectl describe` of the mission's Passport shows Events of these reasons.
func (p *place) described(reasons ...string) {
	GinkgoHelper()
	for _, reason := range reasons {
		p.g.Eventually(p.ctx, p.run).WithArguments("", "", "describe", "passport", mission).
			Should(MatchRegexp(`(?s)\nEvents:.*\n +(Normal|Warning) +%s `, reason))
	}
}
