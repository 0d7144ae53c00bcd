package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"agentpassport.dev/operator/api/v1alpha1"
)

// The life of a passport as the guide tells it, step by step, each by whose step it is: the agent
// issues, checkpoints and checks out, a reviewer decides, a responder lifts a block. Each holds the
// ClusterRole that is shipped for them, and no other right.
var _ = Describe("The guide: issue, checkpoint, checkout, review", Ordered, func() {
	const (
		reviewer  = "reviewer"
		responder = "responder"
		notes     = "Notion use was ancillary; accept"
	)
	var p *place
	var issued v1alpha1.Passport

	BeforeAll(func(ctx SpecContext) {
		p = newPlace(context.WithoutCancel(ctx), Default, calm)
		for _, who := range []string{reviewer, responder} {
			p.kubectl("create", "rolebinding", who, "--clusterrole=agent-passport-"+who, "--user="+who)
		}
		p.may(reviewer, "review", "checkouts")
		p.may(responder, "patch", "agentblocks")
	})

	It("1. refuses to issue without an intent", func() {
		p.by(p.bot, "create", `
kind: Passport
metadata: {name: no-intent}
spec: {agentRef: {name: support-bot}}`)
		p.as(p.bot, "wait", "--for=jsonpath={.status.phase}=Rejected", "--timeout=30s", "passport/no-intent")
		Expect(p.as(p.bot, "get", "passports")).To(MatchRegexp(`\nno-intent +support-bot +Rejected +AccountabilityRequired `))
	})

	It("1. issues a passport for a declared intent", func() {
		Expect(p.ask("ticket-1")).To(Equal("passport.agentpassport.dev/ticket-1 created\n"))
		p.as(p.bot, "wait", "--for=condition=Ready", "--timeout=30s", "passport/ticket-1")
		p.read(&issued, "passport", "ticket-1")
		Expect(issued.Status.JTI).To(HavePrefix("pp_"))
		Expect(issued.Status.ExpirationTime.Sub(issued.Status.IssueTime.Time)).To(Equal(300 * time.Second))
		Expect(p.kubectl("get", "secrets", "--output=name")).To(Equal("secret/ticket-1-token\n"))
	})

	It("3. extends it by a checkpoint, for an interval from when that was made", func() {
		p.by(p.bot, "create", `
kind: Checkpoint
metadata: {name: ticket-1-drafting}
spec:
  passportRef: {name: ticket-1}
  agentRef: {name: support-bot}
  servicesUsed: [slack, github]
  actionsCount: 3
  summary: Pulled ticket context; drafting reply`)
		p.as(p.bot, "wait", "--for=condition=Ready", "--timeout=30s", "checkpoint/ticket-1-drafting")
		var checkpoint v1alpha1.Checkpoint
		p.read(&checkpoint, "checkpoint", "ticket-1-drafting")
		var extended v1alpha1.Passport
		p.read(&extended, "passport", "ticket-1")
		Expect(extended.Status.ExpirationTime.Time).To(BeTemporally("==", checkpoint.CreationTimestamp.Add(300*time.Second)))
		Expect(extended.Status.JTI).To(Equal(issued.Status.JTI))
	})

	It("4. ends at the checkout, which flags what the intent did not name", func() {
		Expect(p.checkOut("ticket-1", "slack, github, notion")).To(Equal("checkout.agentpassport.dev/ticket-1 created\n"))
		p.as(p.bot, "wait", "--for=condition=Ready", "--timeout=30s", "checkout/ticket-1")
		Expect(p.as(p.bot, "get", "checkouts")).To(And(
			MatchRegexp(`^NAME +PASSPORT +AGENT +VERDICT +FLAGS? +ACCEPTED +REASON +AGE\n`),
			MatchRegexp(`\nticket-1 +ticket-1 +support-bot +Flagged +undeclared_service +Unknown +AwaitingReview +\d+s\n`)))
		Expect(p.as(p.bot, "get", "passports")).To(MatchRegexp(`\nticket-1 +support-bot +CheckedOut +CheckedOut +Enforced `))
		Eventually(p.kubectl).WithArguments("get", "secrets").Should(ContainSubstring("No resources found"))
	})

	It("5. shows the flag with its evidence", func() {
		described := p.as(reviewer, "describe", "checkout", "ticket-1")
		Expect(described).To(MatchRegexp(`\n  Flags:
    Evidence:
      Name: +reportedBy
      Value: +checkout
      Name: +declaredServices
      Value: +slack, github
    Message: +Agent used notion but did not declare it in intent
    Service: +notion
    Severity: +warning
    Type: +undeclared_service\n`))
		for _, line := range []string{
			`Jti: +` + issued.Status.JTI, `Mode: +Enforced`, `Phase: +CheckedOut`, `Actions: +12`, `Checkpoint Actions: +3`, `Checkpoints: +1`,
		} {
			Expect(described).To(MatchRegexp(`\n +` + line + `\n`))
		}
		Eventually(p.kubectl).WithArguments("events", "--for=checkout/ticket-1").Should(MatchRegexp(` Warning +VerdictFlagged `))
		Eventually(p.kubectl).WithArguments("events", "--for=passport/ticket-1").Should(And(
			MatchRegexp(` Issued `), MatchRegexp(` CheckpointAccepted `), MatchRegexp(` Normal +CheckedOut `)))
	})

	It("5. is decided by a reviewer, with the command that the checkout shows, and not by its agent", func() {
		decide := command(p.message("checkout/ticket-1", "Accepted"), notes)
		out, err := p.shellAs(p.bot, decide)
		Expect(err).To(HaveOccurred(), out)
		Expect(out).To(ContainSubstring("Forbidden"))
		out, err = p.shellAs(reviewer, decide)
		Expect(err).NotTo(HaveOccurred(), out)

		p.as(p.bot, "wait", "--for=condition=Accepted", "--timeout=30s", "checkout/ticket-1")
		Expect(p.as(reviewer, "get", "checkouts")).To(MatchRegexp(`\nticket-1 .* Flagged +undeclared_service +True +Approved `))
		Expect(p.message("checkout/ticket-1", "Accepted")).To(And(ContainSubstring(reviewer), ContainSubstring(notes)))
		Expect(p.as(reviewer, "get", "agentblocks")).To(ContainSubstring("No resources found"))

		out, err = p.shellAs(reviewer, strings.Replace(decide, "Approved", "Blocked", 1))
		Expect(err).To(HaveOccurred(), out)
		Expect(out).To(ContainSubstring("spec.review is set once and does not change"))
	})

	It("5. blocks the agent where the reviewer says so", func() {
		p.ask("ticket-2")
		p.as(p.bot, "wait", "--for=condition=Ready", "--timeout=30s", "passport/ticket-2")
		p.checkOut("ticket-2", "slack, github, notion")
		p.as(reviewer, "wait", "--for=condition=Ready", "--timeout=30s", "checkout/ticket-2")
		p.as(reviewer, "patch", "checkout", "ticket-2", "--type=merge",
			`--patch={"spec":{"review":{"decision":"Blocked","notes":"It read notes of another customer"}}}`)
		p.as(reviewer, "wait", "--for=condition=Accepted=False", "--timeout=30s", "checkout/ticket-2")

		block := p.block()
		Expect(p.message("checkout/ticket-2", "Accepted")).To(And(
			ContainSubstring(reviewer), ContainSubstring("It read notes of another customer"), ContainSubstring("AgentBlock "+block)))
		Expect(p.as(reviewer, "get", "checkouts")).To(MatchRegexp(`\nticket-2 .* Flagged +undeclared_service +False +Blocked `))
		Eventually(p.kubectl).WithArguments("get", "agentblocks").
			Should(MatchRegexp(`\n%s +support-bot +Blocking +reviewer .*It read notes of another customer +\d+s\n`, block))
		Eventually(p.kubectl).WithArguments("get", "agentpassports").Should(MatchRegexp(`\nsupport-bot .* 0 +True +Blocked `))
	})

	It("5. issues nothing to a blocked agent, and says which block it is", func() {
		p.ask("ticket-3")
		p.as(p.bot, "wait", "--for=jsonpath={.status.phase}=Rejected", "--timeout=30s", "passport/ticket-3")
		Expect(p.as(p.bot, "get", "passports")).To(MatchRegexp(`\nticket-3 +support-bot +Rejected +PassportBlocked `))
		Expect(p.message("passport/ticket-3", "Ready")).To(And(
			ContainSubstring("AgentBlock "+p.block()), ContainSubstring("It read notes of another customer"), ContainSubstring("lifted")))
		Expect(p.kubectl("get", "secrets")).To(ContainSubstring("No resources found"))
	})

	It("5. issues again once a responder has lifted the block", func() {
		lift := []string{
			"patch", "agentblock", p.block(), "--type=merge",
			`--patch={"spec":{"lifted":{"reason":"The notes were in the ticket"}}}`,
		}
		out, err := p.run(p.bot, "", lift...)
		Expect(err).To(HaveOccurred(), out)
		Expect(out).To(ContainSubstring("Forbidden"))
		p.as(responder, lift...)

		p.ask("ticket-4")
		p.as(p.bot, "wait", "--for=condition=Ready", "--timeout=30s", "passport/ticket-4")
		Eventually(p.kubectl).WithArguments("get", "agentblocks", "--output=wide").
			Should(MatchRegexp(`\n%s +support-bot +Lifted +reviewer .* responder +The notes were in the ticket +ticket-2\n`, p.block()))
	})

	It("4. lets a clean mission through without anybody's review", func() {
		p.checkOut("ticket-4", "slack, github")
		p.as(p.bot, "wait", "--for=condition=Accepted", "--timeout=30s", "checkout/ticket-4")
		Expect(p.as(p.bot, "get", "checkouts")).To(MatchRegexp(`\nticket-4 +ticket-4 +support-bot +Clean +True +Clean +\d+s\n`))
		Expect(p.as(p.bot, "get", "ckout", "--field-selector=status.verdict=Clean", "--output=name")).
			To(Equal("checkout.agentpassport.dev/ticket-4\n"))
	})

	It("6. is told whole by the audit export", func(ctx SpecContext) {
		auditor := p.auditor("agent-passport-auditor")
		var export string
		Eventually(ctx, func() string {
			_, export = p.export(auditor, "namespace="+p.namespace+"&"+day(time.Now()))
			return export
		}).Should(ContainSubstring("passport.review_decide"))
		var told []row
		for decoder := json.NewDecoder(strings.NewReader(jq(ctx, export, `.rows[] | select(.passport_jti == "`+issued.Status.JTI+`")`))); ; {
			var one row
			if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				Fail(err.Error())
			}
			told = append(told, one)
		}
		Expect(actions(told)).To(Equal([]string{
			"passport.issue success", "passport.checkpoint success", "passport.checkout pending", "passport.review_decide success",
		}))
		Expect(told[0].Actor.Username).To(Equal(p.bot))
		Expect(told[2].Facts.Verdict).To(Equal("Flagged"))
		Expect(told[3].Actor.Username).To(Equal(reviewer))
		Expect(told[3].Facts.Decision).To(Equal("Approved"))
	})

	It("4. feeds the agent's baseline with what was clean or approved", func(ctx SpecContext) {
		Eventually(ctx, p.kubectl).WithArguments("get", "agentpassport", "support-bot", "--output=jsonpath={.status.baseline.missions}").
			Should(Equal("2"))
	})
})

// as runs kubectl as a user, and gives what it printed.
func (p *place) as(user string, args ...string) string {
	GinkgoHelper()
	out, err := p.run(user, "", args...)
	p.g.Expect(err).NotTo(HaveOccurred(), "%s", out)
	return out
}

// by runs a kubectl command on a manifest as a user, and gives what it printed.
func (p *place) by(user, verb, manifest string) string {
	GinkgoHelper()
	out, err := p.run(user, "apiVersion: agentpassport.dev/v1alpha1"+manifest, verb, "--filename=-")
	p.g.Expect(err).NotTo(HaveOccurred(), "%s", out)
	return out
}

// ask has the support bot ask for the passport of the guide, under a name.
func (p *place) ask(name string) string {
	GinkgoHelper()
	return p.by(p.bot, "create", fmt.Sprintf(`
kind: Passport
metadata: {name: %s}
spec:
  agentRef: {name: support-bot}
  intent:
    summary: Answer one customer ticket and post a resolution
    services: [slack, github]
    estimatedDurationSeconds: 900
    willDelegate: false
  ttlSeconds: 900
  checkpointIntervalSeconds: 300`, name))
}

// checkOut has the support bot check out of a passport, under its name.
func (p *place) checkOut(name, servicesUsed string) string {
	GinkgoHelper()
	return p.by(p.bot, "create", fmt.Sprintf(`
kind: Checkout
metadata: {name: %s}
spec:
  passportRef: {name: %[1]s}
  agentRef: {name: support-bot}
  servicesUsed: [%s]
  actionsCount: 12
  summary: Ticket resolved; PR merged; customer notified`, name, servicesUsed))
}

// block gives the name of the one AgentBlock that there is.
func (p *place) block() string {
	GinkgoHelper()
	return strings.TrimSpace(p.kubectl("get", "agentblocks", "--output=jsonpath={.items[*].metadata.name}"))
}

// message gives that of a condition.
func (p *place) message(object, condition string) string {
	GinkgoHelper()
	return p.kubectl("get", object, "--output=jsonpath={.status.conditions[?(@.type=='"+condition+"')].message}")
}

// command is the first `kubectl patch` in a message, with words in place of its dots.
func command(message, words string) string {
	GinkgoHelper()
	found := regexp.MustCompile(`kubectl patch .+? -p '[^']+'`).FindString(message)
	Expect(found).To(ContainSubstring("..."), message)
	return strings.Replace(found, "...", words, 1)
}

// shellAs runs a line of shell in which kubectl is a user's, and gives what it printed.
func (p *place) shellAs(user, line string) (string, error) {
	return p.Shell(p.ctx, strings.Replace(line, "kubectl ", "kubectl --as="+user+" --as-group=system:authenticated ", 1))
}
