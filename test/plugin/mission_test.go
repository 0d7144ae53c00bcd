package plugin

import (
	"context"
	"encoding/json"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/plugin"
)

var _ = Describe("A mission", func() {
	var p *place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	It("is issued, and says where its token is and never what it is", func() {
		r := p.as(agent, "issue", "ticket", "--agent=support-bot", "--summary=Answer one customer ticket", "--services=slack",
			"--ttl=15m", "--interval=2m", "--deadline=1h")
		Expect(r.Code).To(BeZero(), r.Err)
		passport := p.passport("ticket")
		Expect(r.Out).To(And(
			ContainSubstring("passport ticket in namespace "+p.namespace+" is Active"),
			ContainSubstring(passport.Status.JTI),
			ContainSubstring(passport.Status.ExpirationTime.UTC().Format("2006-01-02T15:04:05Z")),
			ContainSubstring("in Secret ticket-token, key token"),
		))
		Expect(r.Out + r.Err).NotTo(ContainSubstring("eyJ"))
		Expect(passport.Spec.CheckpointIntervalSeconds).To(BeEquivalentTo(120))
		Expect(passport.Spec.RequestedBy.Username).To(Equal(p.user(agent)))
		Expect(passport.ManagedFields).To(ContainElement(HaveField("Manager", "kubectl-passport")))
	})

	It("is issued with its token alone on standard output, where that is asked for", func() {
		r := p.as(admin, "issue", "ticket", "--agent=support-bot", "--summary=Answer", "--services=slack", "--print-token")
		Expect(r.Code).To(BeZero(), r.Err)
		Expect(strings.TrimSpace(r.Out)).To(MatchRegexp(`^eyJ[^.\s]+\.[^.\s]+\.[^.\s]+$`))
		Expect(r.Err).NotTo(ContainSubstring("eyJ"))

		r = p.as(agent, "issue", "--agent=support-bot", "--summary=Answer", "--services=slack", "--print-token")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(And(ContainSubstring("is Active, and its token cannot be read"), ContainSubstring("may not get secrets in namespace "+p.namespace)))
	})

	It("is refused with 2 where it asks for what the agent is not granted", func() {
		r := p.as(agent, "issue", "ticket", "--agent=support-bot", "--summary=Answer", "--services=stripe")
		Expect(r.Code).To(Equal(2))
		Expect(r.Err).To(And(ContainSubstring("was never issued (ServiceNotGranted"), ContainSubstring("mend that, and create another")))
	})

	It("says which right is missing, and what gives it", func() {
		r := p.as(viewer, "issue", "ticket", "--agent=support-bot", "--summary=Answer", "--services=slack")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(And(
			ContainSubstring(p.user(viewer)+" may not create passports.agentpassport.dev in namespace "+p.namespace),
			ContainSubstring("--clusterrole=agent-passport-agent --serviceaccount="+p.namespace+":viewer"),
		))
		p.kubectl("create", "rolebinding", "half", "--clusterrole=agent-passport-agent", "--serviceaccount="+p.namespace+":viewer")
		p.may(viewer, "create", "passports")
		r = p.as(viewer, "issue", "ticket", "--agent=support-bot", "--summary=Answer", "--services=slack")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(HavePrefix("error: " + p.user(viewer) + " may not act as agent support-bot"))
		Expect(r.Err).NotTo(ContainSubstring("ValidatingAdmissionPolicy"))
	})

	It("refuses a command line that makes no sense with 64", func() {
		for _, args := range [][]string{
			{"issue", "ticket"},
			{"issue", "--agent=support-bot", "--ttl=1500ms"},
			{"issue", "--agent=support-bot", "--no-secret", "--print-token"},
			{"nonsense"},
			{"list", "--phase=Dead"},
			{"list", "--output=nonsense"},
			{"list", "extra"},
			{"wait"},
			{"wait", "a/b/c"},
			{"wait", "ticket", "--for=rain"},
			{"checkout", "ticket", "--outcome=Meh"},
			{"revoke", "ticket"},
			{"revoke", "--reason=x"},
			{"revoke", "ticket", "--all", "--reason=x"},
			{"block", "--reason=x"},
			{"unblock", "support-bot"},
			{"review", "approve", "--notes=x"},
			{"review", "approve", "ticket"},
			{"enable", "agents", "--yes"},
			{"audit", "export", "--from=yesterday"},
			{"verify", "--leeway=1h", "x"},
			{"watch", "--every=0s"},
		} {
			r := p.as(agent, args...)
			Expect(r.Code).To(Equal(64), "%s\n%s", strings.Join(args, " "), r.Err)
			Expect(r.Err).To(HavePrefix("error: "))
			Expect(r.Out).To(BeEmpty())
		}
	})

	It("is listed with the time that it has left", func() {
		p.issue("ticket")
		p.issue("other", "--interval=10m", "--ttl=10m")
		out := p.good(viewer, "list")
		Expect(out).To(MatchRegexp(`(?m)^NAME +AGENT +PHASE +REASON +MODE +LEFT +CHECKPOINT-BY +CHECKPOINTS +AGE$`))
		Expect(out).To(MatchRegexp(`(?m)^ticket +support-bot +Active +Issued +Enforced +4m\d+s +\d\d:\d\d:\d\d +0 `))
		Expect(out).To(MatchRegexp(`(?m)^other +support-bot +Active +Issued +Enforced +9m\d+s `))
		Expect(p.good(viewer, "list", "-o", "wide")).To(ContainSubstring("Answer one customer ticket"))
		Expect(p.good(viewer, "list", "-o", "name")).To(Equal("passport.agentpassport.dev/other\npassport.agentpassport.dev/ticket\n"))
		Expect(p.good(viewer, "list", "--agent=other-bot", "-o", "name")).To(BeEmpty())
		Expect(p.good(viewer, "list", "--phase=Expired", "-o", "name")).To(BeEmpty())
		Expect(p.good(viewer, "list", "--phase=live", "--agent=support-bot", "-o", "yaml")).To(ContainSubstring("kind: Passport\n"))
		var list v1alpha1.PassportList
		Expect(json.Unmarshal([]byte(p.good(viewer, "list", "-o", "json", "--session="+p.passport("ticket").Status.SessionID)), &list)).To(Succeed())
		Expect(list.Items).To(ConsistOf(HaveField("Name", "ticket")))
		Expect(list.Kind).To(Equal("PassportList"))
		Expect(p.good(admin, "list", "-A")).To(MatchRegexp(`(?m)^` + p.namespace + ` +ticket `))
		r := p.as(viewer, "list", "-A")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(ContainSubstring("may not list passports.agentpassport.dev in any namespace: the ClusterRole agent-passport-viewer holds that right"))
	})

	It("is kept alive by checkpoints, and told why one does not count", func() {
		p.issue("ticket")
		out := p.good(agent, "checkpoint", "ticket", "--services=slack", "--actions=3", "--summary=Read the ticket")
		Expect(out).To(ContainSubstring("is accepted: the passport expires at " + p.passport("ticket").Status.ExpirationTime.UTC().Format("2006-01-02T15:04:05Z")))
		Expect(p.passport("ticket").Status.Actions).To(BeEquivalentTo(3))
		Expect(p.good(agent, "checkpoint", "ticket", "--wait=false")).To(ContainSubstring("created"))
		p.good(responder, "revoke", "ticket", "--reason=Wrong ticket", "--yes")
		Expect(p.as(viewer, "wait", "ticket", "--for=issued").Code).To(Equal(2))
		r := p.as(agent, "checkpoint", "ticket")
		Expect(r.Code).To(Equal(2))
		Expect(r.Out).To(ContainSubstring("does not count (PassportEnded)"))
		Expect(p.as(agent, "checkpoint", "nothing").Err).To(ContainSubstring("kubectl passport list -A"))
	})

	It("ends with a checkout, once", func() {
		p.issue("ticket")
		out := p.good(agent, "checkout", "ticket", "--services=slack,github", "--summary=Ticket resolved", "--timeout="+soon.String())
		Expect(out).To(HavePrefix("accepted: checkout ticket-"))
		Expect(p.passport("ticket").Status.Phase).To(Equal(v1alpha1.PhaseCheckedOut))
		r := p.as(agent, "checkout", "ticket")
		Expect(r.Code).To(Equal(2))
		Expect(r.Err).To(ContainSubstring("is checked out already, by checkout " + p.passport("ticket").Status.Checkout.Name))
	})

	It("is told on one screen", func() {
		p.issue("ticket")
		p.good(agent, "checkpoint", "ticket", "--services=slack", "--actions=3", "--summary=Read the ticket")
		Eventually(func() string { return p.good(reviewer, "describe", "ticket") }).Should(And(
			ContainSubstring("Passport ticket in namespace "+p.namespace+": Active (Issued"),
			MatchRegexp(`(?m)^agent +support-bot \(Enforced\)$`),
			MatchRegexp(`(?m)^mission +Answer one customer ticket$`),
			MatchRegexp(`(?m)^leash +a checkpoint every 300s; expires .* \(4m\d+s left\); checkpoint by .*; at most until `),
			MatchRegexp(`(?m)^checkpoints +1 accepted, 3 actions, used: slack$`),
			MatchRegexp(`(?m)Accepted, 3 actions, slack: Read the ticket$`),
			MatchRegexp(`(?m)^trail .*Issued: `),
			MatchRegexp(`(?m)^next +the agent checkpoints by `),
		))
		p.as(agent, "checkout", "ticket", "--services=slack,notion", "--timeout="+soon.String())
		Expect(p.good(reviewer, "describe", "ticket")).To(And(
			MatchRegexp(`(?m)^checkout +ticket-\w+ at .* by `+p.user(agent)+`: Succeeded, used notion, slack|slack, notion: `),
			MatchRegexp(`(?m)^verdict +Flagged$`),
			MatchRegexp(`(?m)^flags +warning +undeclared_service notion: `),
			MatchRegexp(`(?m)^review +awaited since `),
			MatchRegexp(`(?m)^next +a reviewer decides: kubectl passport review approve ticket-`),
		))
		Expect(p.good(agent, "describe", "ticket")).To(MatchRegexp(`(?m)^note +the trail is not shown: .* may not list events`))
	})

	It("can be watched: a line for each change, and Ctrl-C ends it well", func(ctx SpecContext) {
		watching, interrupt := context.WithCancel(ctx)
		out, ended := &buffer{}, make(chan int, 1)
		go func() {
			defer GinkgoRecover()
			ended <- p.run(watching, viewer, plugin.Options{Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: out, ErrOut: GinkgoWriter}}, "watch")
		}()
		p.issue("ticket")
		Eventually(out.String).Should(MatchRegexp(`(?m)^\S+Z  %s/ticket  support-bot  Active  Issued  expires \S+Z$`, p.namespace))
		p.good(responder, "revoke", "ticket", "--reason=Wrong ticket", "--yes")
		Eventually(out.String).Should(MatchRegexp(`(?m)^\S+Z  %s/ticket  support-bot  Revoked  RevokedByRequest$`, p.namespace))
		interrupt()
		Eventually(ended).Should(Receive(BeZero()))
	})

	It("can be watched on a terminal, with a countdown that goes on by itself", func(ctx SpecContext) {
		p.issue("ticket")
		watching, interrupt := context.WithCancel(ctx)
		out, ended := &buffer{}, make(chan int, 1)
		go func() {
			defer GinkgoRecover()
			ended <- p.run(watching, viewer, plugin.Options{
				Terminal: true, Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: out, ErrOut: GinkgoWriter},
			}, "watch", "--every=100ms")
		}()
		Eventually(func() int { return strings.Count(out.String(), "\x1b[H\x1b[J1 passport, in namespace "+p.namespace) }).Should(BeNumerically(">", 12))
		interrupt()
		Eventually(ended).Should(Receive(BeZero()))
		Expect(out.String()).To(MatchRegexp(`(?m)^ticket +support-bot +Active +Issued +Enforced +4m\d+s `))
	})
})
