package e2e

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"agentpassport.dev/operator/api/v1alpha1"
)

var _ = Describe("The mission of a support bot", Ordered, func() {
	const rfc3339 = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`
	var p *place
	var issued v1alpha1.Passport

	BeforeAll(func(ctx SpecContext) {
		p = newPlace(context.WithoutCancel(ctx), Default, calm)
	})

	It("begins with a Passport that a short leash is warned of, and that is soon Ready", func() {
		Expect(p.applyAsBot("short-leash.yaml")).To(ContainSubstring("Warning: "))
		Expect(p.kubectl("wait", "--for=condition=Ready", "--timeout=30s", "passport/"+mission)).To(ContainSubstring("condition met"))
		issued = p.passport()
		Expect(issued.Spec.RequestedBy.Username).To(Equal(p.bot))
	})

	It("has its token in a Secret", func() {
		token := p.content()
		Expect(token.ID).To(Equal(issued.Status.JTI))
		Expect(token.Expiry).To(Equal(issued.Status.IssueTime.Unix() + 60))
	})

	It("lives on by a checkpoint, for an interval from when that was made", func() {
		p.applyAsBot("checkpoint.yaml")
		p.kubectl("wait", "--for=condition=Ready", "--timeout=30s", "checkpoint/drafting-reply")
		var checkpoint v1alpha1.Checkpoint
		p.read(&checkpoint, "checkpoint", "drafting-reply")
		expiry := checkpoint.CreationTimestamp.Add(time.Minute)
		extended := p.passport()
		Expect(extended.Status.ExpirationTime.Time).To(BeTemporally("==", expiry))
		Expect(extended.Status.JTI).To(Equal(issued.Status.JTI))
		Eventually(p.content).Should(HaveField("Expiry", expiry.Unix()))
		Expect(p.content().ID).To(Equal(issued.Status.JTI))
	})

	It("is one line that answers the first question", func() {
		Expect(p.kubectl("get", "passports")).To(And(
			MatchRegexp(`^NAME +AGENT +PHASE +REASON +MODE +CHECKPOINT-BY +EXPIRES +CHECKPOINTS +AGE\n`),
			MatchRegexp(`\nanswer-ticket +support-bot +Active +Issued +Enforced +`+rfc3339+` +`+rfc3339+` +1 +\d+s\n`)))
		Expect(p.kubectl("get", "passports", "--output=wide")).To(And(
			MatchRegexp(`^NAME .* AGE +JTI +INTENT\n`),
			MatchRegexp(` `+issued.Status.JTI+` +Answer one customer ticket and post a resolution\n`)))
		Expect(p.kubectl("get", "checkpoints")).To(And(
			MatchRegexp(`^NAME +PASSPORT +ACCEPTED +REASON +EXPIRES +ACTIONS +AGE\n`),
			MatchRegexp(`\ndrafting-reply +answer-ticket +True +Accepted +`+rfc3339+` +3 +\d+s\n`)))
	})

	It("tells its story by Events", func() {
		p.described("Issued", "CheckpointAccepted")
	})

	It("counts among the agent's", func(ctx SpecContext) {
		Expect(p.kubectl("get", "agentpassports")).To(MatchRegexp(`^NAME +VENDOR +MODE +LIVE +BLOCKED +REASON +AGE\n`))
		Eventually(ctx, p.kubectl).WithArguments("get", "agentpassports").
			Should(MatchRegexp(`\nsupport-bot +Example Helpdesk +Enforced +1 +False +Registered +\d+s\n`))
	})

	It("is found by short names and by the category", func() {
		const name = `passport.agentpassport.dev/answer-ticket`
		Expect(p.kubectl("get", "pass", "--output=name")).To(ContainSubstring(name))
		Expect(p.kubectl("get", "apass", "--output=name")).To(ContainSubstring("agentpassport.agentpassport.dev/support-bot"))
		Expect(p.kubectl("get", "ckpt", "--output=name")).To(ContainSubstring("checkpoint.agentpassport.dev/drafting-reply"))
		Expect(p.kubectl("get", "ablock")).To(ContainSubstring("No resources found"))
		Expect(p.kubectl("get", "agentpassport-all", "--output=name")).To(And(
			ContainSubstring(name), ContainSubstring("/support-bot"), ContainSubstring("/drafting-reply")))
	})

	It("is explained field by field, with units and limits", func() {
		Expect(p.kubectl("explain", "passport.spec.ttlSeconds")).To(And(
			ContainSubstring("FIELD: ttlSeconds <integer>"), MatchRegexp(`in\s+seconds,\s+60\s+to\s+3600`)))
	})
})
