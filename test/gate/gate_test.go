package gate

import (
	"os/exec"
	"regexp"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"

	"agentpassport.dev/operator/api/v1alpha1"
)

// shells that a pipeline may have, as far as they are here.
var shells = [][]string{{"dash"}, {"busybox", "sh"}, {"bash", "--posix"}}

var _ = Describe("The gate", func() {
	Context("opens", func() {
		It("for a mission that is Clean", func(ctx SpecContext) {
			p := newPlace(ctx)
			p.finish("clean", asDeclared)
			for _, name := range []string{
				"clean", "passport/clean", "passport.agentpassport.dev/clean", "checkout/clean", "checkout.agentpassport.dev/clean",
			} {
				Expect(p.gate(name, "-n", p.namespace).ends(ctx, 0)).To(Equal("gate: accepted: checkout clean (Succeeded) of passport clean in namespace " +
					p.namespace + ": verdict Clean: the detectors found nothing that needs a person\n"))
			}
		})

		for _, shell := range shells {
			It("in "+strings.Join(shell, " "), func(ctx SpecContext) {
				if _, err := exec.LookPath(shell[0]); err != nil {
					Skip("there is no " + shell[0] + " here")
				}
				p := newPlace(ctx)
				p.issue("clean")
				gate := p.shell(pipeline, root, append(shell, script, "clean")...)
				gate.waits(ctx, "passports")
				p.checkOut("clean", "clean", supportBot, asDeclared)
				Expect(gate.ends(ctx, 0)).To(HavePrefix("gate: accepted: "))
			})
		}

		It("for a mission that is Clean with information, and names that", func(ctx SpecContext) {
			p := newPlace(ctx)
			p.finish("idle", nil)
			Expect(p.gate("idle").ends(ctx, 0)).To(ContainSubstring(": verdict Clean, flags: unused_service: "))
		})

		It("while it waits, in the namespace of the kubeconfig", func(ctx SpecContext) {
			p := newPlace(ctx)
			p.issue("late")
			gate := p.gate("late")
			gate.waits(ctx, "passports")
			p.checkOut("end", "late", supportBot, asDeclared)
			Expect(gate.ends(ctx, 0)).To(ContainSubstring("checkout end (Succeeded) of passport late in namespace " + p.namespace))
		})

		It("for one that a reviewer approved", func(ctx SpecContext) {
			p := newPlace(ctx)
			p.finish("approved", undeclared)
			p.decide("approved", v1alpha1.DecisionApproved, "Notion\nwas \x1b[31mpart\r\nof it\naccepted: no")
			p.says("approved", v1alpha1.ConditionAccepted, v1alpha1.ReasonApproved)
			Expect(p.gate("approved").ends(ctx, 0)).To(And(
				ContainSubstring("verdict Flagged, flags: undeclared_service, unused_service: approved (by "+p.user(reviewer)+"): Notion was  [31mpart"),
				Not(ContainSubstring("\x1b"))))
		})

		It("once a reviewer approves, where it waits for that", func(ctx SpecContext) {
			p := newPlace(ctx)
			p.issue("flagged")
			gate := p.gate("flagged", "--wait-for-review")
			gate.waits(ctx, "passports")
			p.checkOut("flagged", "flagged", supportBot, undeclared)
			gate.waits(ctx, "checkouts")
			p.decide("flagged", v1alpha1.DecisionApproved, "Notion was part of it")
			Expect(gate.ends(ctx, 0)).To(ContainSubstring(": approved (by " + p.user(reviewer) + "): Notion was part of it"))
		})
	})

	Context("stays closed, with 3,", func() {
		It("for a mission that awaits its review, and tells the reviewer what to run", func(ctx SpecContext) {
			p := newPlace(ctx)
			p.finish("flagged", undeclared)
			line := p.gate("flagged").ends(ctx, 3)
			Expect(line).To(HavePrefix("gate: awaiting review: checkout flagged (Succeeded) of passport flagged in namespace " +
				p.namespace + ": verdict Flagged, flags: undeclared_service, unused_service. Read it: kubectl get "))

			command := regexp.MustCompile(`kubectl patch .*}'`).FindString(line)
			Expect(command).NotTo(BeEmpty())
			Eventually(p.shell(pipeline, root, "sh", "-c", command).session).WithContext(ctx).Should(gexec.Exit(1), "the pipeline does not review itself")
			Eventually(p.shell(reviewer, root, "sh", "-c", command).session).WithContext(ctx).Should(gexec.Exit(0))
			p.says("flagged", v1alpha1.ConditionAccepted, v1alpha1.ReasonApproved)
			p.gate("flagged").ends(ctx, 0)
		})

		It("for one with a critical flag", func(ctx SpecContext) {
			p := newPlace(ctx)
			p.finish("stripe", ungranted)
			Expect(p.gate("stripe").ends(ctx, 3)).To(ContainSubstring(": verdict Blocked, flags: ungranted_service, unused_service."))
		})

		It("where nobody decides in time", func(ctx SpecContext) {
			p := newPlace(ctx)
			p.finish("flagged", undeclared)
			Expect(p.gate("checkout/flagged", "--wait-for-review", "--timeout", "1").ends(ctx, 3)).
				To(HavePrefix("gate: no decision within 1 s: awaiting review: checkout flagged "))
		})

		It("for a mission that a person revoked: the operator checks out", func(ctx SpecContext) {
			p := newPlace(ctx)
			p.issue("revoked")
			gate := p.gate("revoked")
			gate.waits(ctx, "passports")
			out, err := server.Kubectl(ctx, "", "", "patch", "passport", "revoked", "--namespace="+p.namespace, "--type=merge",
				`--patch={"spec":{"revocation":{"reason":"wrong ticket"}}}`)
			Expect(err).NotTo(HaveOccurred(), "%s", out)
			Expect(gate.ends(ctx, 3)).To(MatchRegexp(`checkout operator-revoked-\w+ \(Aborted\) of passport revoked .* flags: no_checkout`))
		})
	})

	Context("stays closed, with 2,", func() {
		It("for a mission that a reviewer blocked", func(ctx SpecContext) {
			p := newPlace(ctx)
			p.finish("blocked", undeclared)
			gate := p.gate("blocked", "--wait-for-review")
			gate.waits(ctx, "checkouts")
			p.decide("blocked", v1alpha1.DecisionBlocked, "Nobody asked for Notion")
			blocked := MatchRegexp(`^gate: not accepted: checkout blocked .*: verdict Flagged, .*: blocked \(by .*:reviewer\): Nobody asked for Notion; until AgentBlock support-bot-\w+ is lifted`)
			Expect(gate.ends(ctx, 2)).To(blocked)
			Expect(p.gate("blocked").ends(ctx, 2)).To(blocked)
		})

		It("for a Passport that is Rejected", func(ctx SpecContext) {
			p := newPlace(ctx)
			p.passport("rejected", func(s *v1alpha1.PassportSpec) { s.Intent.Services = []v1alpha1.ServiceName{"stripe"} })
			Expect(p.gate("rejected").ends(ctx, 2)).To(MatchRegexp(
				`^gate: passport rejected in namespace .* was never issued \(ServiceNotGranted: .*stripe.*\): mend that, and create another Passport\n$`))
		})

		It("for a second Checkout, and still opens for the first", func(ctx SpecContext) {
			p := newPlace(ctx)
			p.finish("first", asDeclared)
			p.checkOut("second", "first", supportBot, asDeclared)
			Expect(p.gate("checkout/second").ends(ctx, 2)).To(ContainSubstring(
				"does not count (AlreadyCheckedOut): Checkout first of passport first came first"))
			Expect(p.gate("first").ends(ctx, 0)).To(ContainSubstring("checkout first "))
		})

		It("for a mission in mode Standard, which nothing is judged by", func(ctx SpecContext) {
			p := newPlace(ctx)
			p.create(&v1alpha1.AgentPassport{
				ObjectMeta: p.named("free"),
				Spec:       v1alpha1.AgentPassportSpec{Accountability: v1alpha1.Accountability{Mode: v1alpha1.ModeStandard}},
			})
			out, err := server.Kubectl(ctx, "", `{"apiVersion": "agentpassport.dev/v1alpha1", "kind": "Passport",
				"metadata": {"name": "free"}, "spec": {"agentRef": {"name": "free"}}}`, "create", "--namespace="+p.namespace, "--filename=-")
			Expect(err).NotTo(HaveOccurred(), "%s", out)
			Expect(p.gate("free").ends(ctx, 2)).To(ContainSubstring("is in mode Standard"))
		})
	})

	Context("stays closed, with 4,", func() {
		It("where nobody checks out in time, without asking all the time", func(ctx SpecContext) {
			p := newPlace(ctx)
			p.issue("silent")
			p.checkOut("anothers", "silent", otherBot, asDeclared)
			p.says("anothers", v1alpha1.ConditionReady, v1alpha1.ReasonNotYours)
			begun := time.Now()
			gate := p.gate("silent", "--timeout", "5")
			Expect(gate.ends(ctx, 4)).To(MatchRegexp(`^gate: no decision within 5 s: passport silent in namespace .* is Active ` +
				`\(Issued: issued to support-bot, good until .*\), and nobody checked out\. .*\. These Checkouts do not count: anothers \(NotYours\)\n$`))
			Expect(time.Since(begun)).To(BeNumerically(">", 4*time.Second))
			Expect(len(gate.questions("passports"))).To(BeNumerically("<=", 4))
			Expect(p.gate("checkout/anothers").ends(ctx, 2)).To(ContainSubstring("does not count (NotYours): "))
		})

		It("where a Checkout waits for its Passport", func(ctx SpecContext) {
			p := newPlace(ctx)
			p.passport("early", func(s *v1alpha1.PassportSpec) { s.AgentRef.Name = futureBot })
			p.checkOut("early", "early", futureBot, asDeclared)
			Expect(p.gate("checkout/early", "--timeout=0").ends(ctx, 4)).To(MatchRegexp(
				`^gate: no decision within 0 s: checkout early .* has no verdict: it comes when the mission is over\.`))
		})

		DescribeTable("at once where there is no such thing", func(ctx SpecContext, name, line string) {
			p := newPlace(ctx)
			begun := time.Now()
			Expect(p.gate(name, "-n", p.namespace).ends(ctx, 4)).To(HavePrefix("gate: there is no " + line + " in namespace " + p.namespace + ": "))
			Expect(time.Since(begun)).To(BeNumerically("<", soon))
		},
			Entry("Passport", "nothing", "passport nothing"),
			Entry("Checkout", "checkout/nothing", "checkout nothing"))

		It("where the Checkout that it waits for is deleted", func(ctx SpecContext) {
			p := newPlace(ctx)
			p.finish("deleted", undeclared)
			gate := p.gate("deleted", "--wait-for-review")
			gate.waits(ctx, "checkouts")
			Expect(server.Admin().Delete(ctx, &v1alpha1.Checkout{ObjectMeta: p.named("deleted")})).To(Succeed())
			Expect(gate.ends(ctx, 4)).To(HavePrefix("gate: there is no checkout deleted"))
		})
	})

	Context("says that it could not ask, with 1,", func() {
		It("where it has no rights, and by whose roles it has", func(ctx SpecContext) {
			p := newPlace(ctx)
			p.finish("clean", asDeclared)
			for _, name := range []string{"clean", "checkout/clean"} {
				gate := p.gateAs(stranger, name)
				Eventually(gate.session).WithContext(ctx).Should(gexec.Exit(1))
				Expect(gate.session.Out.Contents()).To(BeEmpty())
				Expect(gate.session.Err).To(gbytes.Say(`\(Forbidden\): .*\n(.*\n)*gate: kubectl could not read .* agent-passport-viewer`))
			}
			p.bind(stranger, "ClusterRole", "agent-passport-viewer")
			p.may(stranger, "list", "checkouts")
			p.gateAs(stranger, "clean").ends(ctx, 0)
		})

		It("where there is no API server", func(ctx SpecContext) {
			gate := start(root, "KUBECONFIG=/dev/null", "sh", script, "clean")
			Eventually(gate.session).WithContext(ctx).Should(gexec.Exit(1))
		})
	})

	It("goes on where kubectl is refused for a while after it was answered", func(ctx SpecContext) {
		p := newPlace(ctx)
		p.issue("clean")
		viewer := p.bind(stranger, "ClusterRole", "agent-passport-viewer")
		p.may(stranger, "get", "passports")
		gate := p.gateAs(stranger, "clean")
		gate.waits(ctx, "passports")
		Expect(server.Admin().Delete(ctx, viewer)).To(Succeed())
		Eventually(gate.session.Err).WithContext(ctx).Should(gbytes.Say("Forbidden"))
		p.bind(stranger, "ClusterRole", "agent-passport-viewer")
		p.may(stranger, "get", "checkouts")
		p.checkOut("clean", "clean", supportBot, asDeclared)
		gate.ends(ctx, 0)
	})

	for _, shell := range shells {
		DescribeTable("refuses wrong arguments, with 64, in "+strings.Join(shell, " "), func(ctx SpecContext, why string, args ...string) {
			if _, err := exec.LookPath(shell[0]); err != nil {
				Skip("there is no " + shell[0] + " here")
			}
			gate := start(root, "KUBECONFIG=/dev/null", append(append(shell, script), args...)...)
			Eventually(gate.session).WithContext(ctx).Should(gexec.Exit(64))
			Expect(gate.session.Out.Contents()).To(BeEmpty())
			Expect(string(gate.session.Err.Contents())).To(And(HavePrefix("gate: "+why), ContainSubstring("\nusage: gate.sh ")))
			Expect(gate.asked).NotTo(BeAnExistingFile(), "nothing is asked")
		},
			Entry("none", "which mission?"),
			Entry("an empty name", "which mission?", ""),
			Entry("no name after the kind", "which mission?", "checkout/"),
			Entry("two missions", "one mission at a time", "one", "two"),
			Entry("another kind", "agentblock/one is neither", "agentblock/one"),
			Entry("what is no name", "one two is neither", "one two"),
			Entry("help", "there is no option --help", "--help"),
			Entry("an unknown option", "there is no option --fast", "one", "--fast"),
			Entry("no namespace", "-n needs a value", "one", "-n"),
			Entry("an empty namespace", "-n needs a value", "one", "-n", ""),
			Entry("another empty namespace", "there is no option --namespace=", "one", "--namespace="),
			Entry("no timeout", "--timeout needs a value", "one", "--timeout"),
			Entry("a timeout with a unit", "--timeout 5m: want whole seconds", "one", "--timeout", "5m"),
			Entry("a negative timeout", "--timeout -1: want whole seconds", "one", "--timeout=-1"),
			Entry("a timeout in octal", "--timeout 010: want whole seconds", "one", "--timeout", "010"),
			Entry("an endless timeout", "--timeout 99999999999999999999: want whole seconds", "one", "--timeout", "99999999999999999999"),
		)
	}
})
