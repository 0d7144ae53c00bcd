package plugin

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

var _ = Describe("What people decide", func() {
	var p *place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	phase := func(name string) func() v1alpha1.Phase {
		return func() v1alpha1.Phase { return p.passport(name).Status.Phase }
	}
	decision := func(name string) *v1alpha1.Review { return p.checkout(name).Spec.Review }

	It("shows missions that await a review by agent, flag and service, and approves many at once", func() {
		first, second := p.flagged("first"), p.flagged("second")
		Expect(p.good(reviewer, "review", "list")).To(MatchRegexp(
			`(?m)^%s +support-bot +undeclared_service +notion +warning +2 +\d+s +%s, %s$`, p.namespace, first.Name, second.Name))
		Expect(p.good(reviewer, "review", "list", "-o", "name")).To(Equal(
			"checkout.agentpassport.dev/" + first.Name + "\ncheckout.agentpassport.dev/" + second.Name + "\n"))
		Expect(p.good(reviewer, "review", "list", "--service=slack", "-o", "name")).To(BeEmpty())
		Expect(p.good(reviewer, "review", "show", first.Name)).To(And(
			MatchRegexp(`(?m)^mission +Answer one customer ticket$`),
			MatchRegexp(`(?m)^flag +warning +undeclared_service notion: `),
			MatchRegexp(`(?m)^reported by +`+p.user(agent)+`$`),
			ContainSubstring("awaiting review: "),
		))

		approve := []string{"review", "approve", "--flag=undeclared_service", "--service=notion", "--notes=Notion was part of the task"}
		r := p.answering(reviewer, "n\n", approve...)
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(And(
			MatchRegexp(`(?m)^CHECKOUT +AGENT +VERDICT +FLAGS +AGE +MISSION *$`), ContainSubstring(first.Name), ContainSubstring(second.Name),
			ContainSubstring("Approve 2 missions in namespace "+p.namespace+"? [y/N] "), ContainSubstring("nothing was done: the answer was no"),
		))
		Expect(p.as(reviewer, approve...).Err).To(ContainSubstring("give --yes"))
		Expect(p.good(reviewer, append(approve, "--dry-run")...)).To(ContainSubstring("(dry run: nothing was changed)"))
		Expect(decision(first.Name)).To(BeNil())

		r = p.answering(reviewer, "yes\n", approve...)
		Expect(r.Code).To(BeZero(), r.Err)
		for _, name := range []string{first.Name, second.Name} {
			Expect(r.Out).To(ContainSubstring("checkout " + name + " in namespace " + p.namespace + ": Approved\n"))
			Expect(decision(name)).To(And(HaveField("Decision", v1alpha1.DecisionApproved), HaveField("Reviewer.Username", p.user(reviewer))))
			Expect(p.as(viewer, "wait", "checkout/"+name).Code).To(BeZero())
		}
		Expect(p.as(reviewer, "review", "list").Err).To(ContainSubstring("awaits a review"))
		r = p.as(reviewer, "review", "approve", first.Name, "--notes=Again", "--yes")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(ContainSubstring("nothing was done: no review is awaited: accepted: checkout " + first.Name))
	})

	It("leaves out missions with findings that were not chosen, and names them", func() {
		only := p.flagged("only")
		p.issue("both")
		p.as(agent, "checkout", "both", "--services=slack,notion,stripe", "--timeout="+soon.String())
		both := p.passport("both").Status.Checkout.Name
		r := p.as(reviewer, "review", "approve", "--agent=support-bot", "--flag=undeclared_service", "--service=notion", "--notes=x", "--yes")
		Expect(r.Code).To(BeZero(), r.Err)
		Expect(r.Err).To(ContainSubstring("left out: checkout " + both + " has "))
		Expect(decision(only.Name)).NotTo(BeNil())
		Expect(decision(both)).To(BeNil())
	})

	It("tells whoever may not review, or not this mission, who may", func() {
		checkout := p.flagged("ticket")
		r := p.as(viewer, "review", "approve", checkout.Name, "--notes=x", "--yes")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(And(ContainSubstring("failed: "+checkout.Name), ContainSubstring("may not patch checkouts.agentpassport.dev"), ContainSubstring("--clusterrole=agent-passport-reviewer")))
		p.kubectl("create", "rolebinding", "too", "--clusterrole=agent-passport-reviewer", "--serviceaccount="+p.namespace+":"+agent)
		p.may(agent, "review", "checkouts")
		r = p.as(agent, "review", "approve", checkout.Name, "--notes=x", "--yes")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(ContainSubstring("asked for this mission"))
		Expect(r.Err).NotTo(ContainSubstring("ValidatingAdmissionPolicy"))
	})

	It("blocks an agent by a review, shows the block, and lifts it", func() {
		checkout := p.flagged("ticket")
		out := p.good(reviewer, "review", "block", checkout.Name, "--notes=Nobody asked for notes", "--yes")
		Expect(out).To(Equal("checkout " + checkout.Name + " in namespace " + p.namespace + ": Blocked\n"))
		Expect(p.as(viewer, "wait", "ticket").Code).To(Equal(2))
		r := p.as(agent, "issue", "next", "--agent=support-bot", "--summary=Answer", "--services=slack")
		Expect(r.Code).To(Equal(2))
		Expect(r.Err).To(ContainSubstring("PassportBlocked"))
		Expect(p.good(responder, "describe", "ticket")).To(MatchRegexp(`(?m)^blocked by +support-bot-\w+, since .* by|blocked by +support-bot-\w+, since .*: Nobody asked for notes`))

		r = p.answering(responder, "y\n", "unblock", "support-bot", "--reason=It was in the ticket")
		Expect(r.Code).To(BeZero(), r.Err)
		Expect(r.Err).To(And(MatchRegexp(`(?m)^BLOCK +AGENT +BY +WHY +AGE *$`), ContainSubstring("Lift 1 block in namespace "+p.namespace)))
		Expect(r.Out).To(MatchRegexp(`^agentblock support-bot-\S+ in namespace \S+ lifted\n$`))
		Eventually(func() int {
			return p.as(agent, "issue", "--agent=support-bot", "--summary=Answer", "--services=slack").Code
		}).Should(BeZero())
	})

	It("blocks and unblocks agents by hand, one or all of the namespace", func() {
		p.issue("ticket")
		r := p.answering(responder, "", "block", "support-bot", "--reason=Incident 42")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(And(ContainSubstring("ticket"), ContainSubstring("Block agent support-bot in namespace "+p.namespace+", which ends 1 live passport? [y/N]")))
		Expect(p.good(responder, "block", "support-bot", "--reason=Incident 42", "--yes", "-o", "name")).To(MatchRegexp(`^agentblock.agentpassport.dev/support-bot-\w+\n$`))
		Eventually(phase("ticket")).Should(Equal(v1alpha1.PhaseRevoked))
		Expect(p.good(responder, "block", "--all", "--reason=Incident 42", "--yes")).To(ContainSubstring("every agent in namespace " + p.namespace + " is blocked by agentblock all-agents-"))

		r = p.as(responder, "unblock", "support-bot", "--reason=Mended", "--yes")
		Expect(r.Code).To(BeZero(), r.Err)
		Expect(r.Err).To(ContainSubstring("note: every agent of the namespace is blocked by agentblock/all-agents-"))
		var blocks v1alpha1.AgentBlockList
		Expect(server.Admin().List(p.ctx, &blocks, client.InNamespace(p.namespace))).To(Succeed())
		for _, block := range blocks.Items {
			if block.Spec.AgentRef == nil {
				Expect(p.good(responder, "unblock", "agentblock/"+block.Name, "--reason=Mended", "--yes")).To(ContainSubstring("lifted"))
			}
		}
		r = p.as(responder, "unblock", "--all", "--reason=Mended", "--yes")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(ContainSubstring("no block in force in namespace " + p.namespace))
		r = p.as(viewer, "block", "support-bot", "--reason=x", "--yes")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(ContainSubstring("--clusterrole=agent-passport-responder"))
	})

	It("revokes passports by name, of an agent, of a session, or all, after a preview", func() {
		for _, name := range []string{"one", "two", "three", "four"} {
			p.issue(name)
		}
		r := p.answering(responder, "y\n", "revoke", "one", "--reason=Wrong ticket")
		Expect(r.Code).To(BeZero(), r.Err)
		Expect(r.Err).To(And(MatchRegexp(`(?m)^one +support-bot +Active `), ContainSubstring("Revoke 1 passport in namespace "+p.namespace+"? [y/N] ")))
		Expect(r.Out).To(Equal("passport one in namespace " + p.namespace + " revoked\n"))
		Eventually(phase("one")).Should(Equal(v1alpha1.PhaseRevoked))
		Expect(p.passport("one").Spec.Revocation.By.Username).To(Equal(p.user(responder)))

		Expect(strings.Count(p.good(responder, "revoke", "--all", "--reason=x", "--dry-run"), "revoked (dry run: nothing was changed)\n")).To(Equal(3))
		Expect(p.passport("two").Spec.Revocation).To(BeNil())
		p.good(responder, "revoke", "--session="+p.passport("two").Status.SessionID, "--reason=x", "--yes")
		Eventually(phase("two")).Should(Equal(v1alpha1.PhaseRevoked))
		Expect(p.passport("three").Status.Phase).To(Equal(v1alpha1.PhaseActive))
		Expect(strings.Count(p.good(responder, "revoke", "--agent=support-bot", "--reason=x", "--yes"), "revoked\n")).To(Equal(2))
		Eventually(phase("four")).Should(Equal(v1alpha1.PhaseRevoked))
		r = p.as(responder, "revoke", "--all", "--reason=x", "--yes")
		Expect(r.Code).To(BeZero())
		Expect(r.Err).To(ContainSubstring("nothing to revoke"))
		r = p.as(responder, "revoke", "one", "--reason=x", "--yes")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(ContainSubstring("is Revoked already"))
	})

	It("tells whoever may not revoke who may", func() {
		p.issue("ticket")
		r := p.as(viewer, "revoke", "ticket", "--reason=x", "--yes")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(And(ContainSubstring("--clusterrole=agent-passport-responder"), ContainSubstring("1 of 1 failed")))
	})

	It("completes the names of agents, passports and checkouts", func() {
		checkout := p.flagged("flagged")
		p.issue("ticket")
		complete := func(who string, args ...string) string {
			r := p.completing(who, args...)
			Expect(r.Code).To(BeZero(), r.Err)
			return r.Out
		}
		Expect(complete(viewer, "issue", "--agent", "")).To(HavePrefix("support-bot\n"))
		Expect(complete(viewer, "describe", "")).To(HavePrefix("flagged\nticket\n"))
		Expect(complete(viewer, "checkpoint", "")).To(HavePrefix("ticket\n:"))
		Expect(complete(viewer, "wait", "")).To(ContainSubstring("\ncheckout/" + checkout.Name + "\n"))
		Expect(complete(reviewer, "review", "approve", "")).To(HavePrefix(checkout.Name + "\n:"))
		Expect(complete(nobody, "describe", "")).To(HavePrefix(":"))
		for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
			Expect(p.good(viewer, "completion", shell)).To(ContainSubstring("kubectl-passport"))
		}
	})
})
