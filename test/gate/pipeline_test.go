package gate

import (
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"

	"agentpassport.dev/operator/api/v1alpha1"
)

// documented gives the pipeline of docs/pipelines.md, as it is run in a place.
func documented(p *place) string {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "pipelines.md"))
	Expect(err).NotTo(HaveOccurred())
	_, rest, found := strings.Cut(string(text), "```sh\nset -eu\n")
	lines, _, closed := strings.Cut(rest, "\n```\n")
	Expect(found && closed).To(BeTrue(), "there is a pipeline in docs/pipelines.md")
	return strings.NewReplacer("-n agents", "-n "+p.namespace, "--timeout=1m", "--timeout=5s").Replace("set -eu\n" + lines)
}

// play runs the documented pipeline with an agent that checkpoints once and ends with a code.
func (p *place) play(code string) *run {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	docs, err := filepath.Abs(filepath.Join(root, "docs"))
	Expect(err).NotTo(HaveOccurred())
	Expect(os.Symlink(docs, filepath.Join(dir, "docs"))).To(Succeed())
	agent := `#!/bin/sh
kubectl create -f - <<YAML
apiVersion: agentpassport.dev/v1alpha1
kind: Checkpoint
metadata:
  generateName: $1-
spec:
  passportRef:
    name: $1
  agentRef:
    name: support-bot
  servicesUsed: [slack]
  actionsCount: 3
YAML
exit ` + code + "\n"
	Expect(os.WriteFile(filepath.Join(dir, "run-the-agent"), []byte(agent), 0o700)).To(Succeed())
	return p.shell(pipeline, dir, "sh", "-c", documented(p))
}

var _ = Describe("The documented pipeline", func() {
	It("goes on where the agent did its work, and nothing was found", func(ctx SpecContext) {
		run := newPlace(ctx).play("0")
		Eventually(run.session).WithContext(ctx).Should(gexec.Exit(0))
		Expect(run.session.Out).To(gbytes.Say(`gate: accepted: checkout answer-ticket-\w+ \(Succeeded\) of passport answer-ticket-\w+ .*: verdict Clean`))
	})

	It("stops where the agent failed, and checks out all the same", func(ctx SpecContext) {
		run := newPlace(ctx).play("7")
		Eventually(run.session).WithContext(ctx).Should(gexec.Exit(1))
		Expect(run.session.Out).To(gbytes.Say(`gate: accepted: checkout answer-ticket-\w+ \(Failed\) `))
	})

	It("stops where the Passport is not issued, and says why", func(ctx SpecContext) {
		p := newPlace(ctx)
		p.create(&v1alpha1.AgentBlock{
			ObjectMeta: p.named("stop"),
			Spec:       v1alpha1.AgentBlockSpec{AgentRef: &v1alpha1.AgentReference{Name: supportBot}, Reason: "looks odd"},
		})
		run := p.play("0")
		Eventually(run.session).WithContext(ctx).Should(gexec.Exit(2))
		Expect(run.session.Out).To(gbytes.Say(`gate: passport answer-ticket-\w+ .* was never issued \(PassportBlocked: `))
	})
})

var _ = Describe("kubectl wait alone", func() {
	It("ends for what is accepted, and hangs on the rest", func(ctx SpecContext) {
		p := newPlace(ctx)
		wait := func(checkout string) *gexec.Session {
			return p.shell(pipeline, root, "kubectl", "wait", "-n", p.namespace, "--for=condition=Accepted", "checkout/"+checkout, "--timeout=1s").session
		}
		p.finish("clean", asDeclared)
		Eventually(wait("clean")).WithContext(ctx).Should(gexec.Exit(0))

		p.checkOut("second", "clean", supportBot, asDeclared)
		p.finish("flagged", undeclared)
		p.finish("blocked", undeclared)
		p.decide("blocked", v1alpha1.DecisionBlocked, "Nobody asked for Notion")
		p.says("blocked", v1alpha1.ConditionAccepted, v1alpha1.ReasonBlocked)
		for _, checkout := range []string{"second", "flagged", "blocked"} {
			session := wait(checkout)
			Eventually(session).WithContext(ctx).Should(gexec.Exit(1))
			Expect(session.Err).To(gbytes.Say("timed out waiting for the condition on checkouts/" + checkout))
		}
	})
})
