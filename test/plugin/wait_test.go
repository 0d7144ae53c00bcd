package plugin

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/plugin"
)

var _ = Describe("wait", func() {
	var p *place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	// later runs wait as the agent beside what the spec goes on to do.
	later := func(args ...string) <-chan result {
		ended := make(chan result, 1)
		go func() {
			defer GinkgoRecover()
			ended <- p.as(agent, append([]string{"wait", "--timeout=" + soon.String()}, args...)...)
		}()
		return ended
	}

	It("exits with 0 for an accepted mission", func() {
		p.issue("ticket")
		ended := later("ticket")
		Consistently(ended, time.Second).ShouldNot(Receive())
		p.good(agent, "checkout", "ticket", "--services=slack", "--timeout="+soon.String())
		var r result
		Eventually(ended).Should(Receive(&r))
		Expect(r.Code).To(BeZero(), r.Err)
		Expect(r.Out).To(HavePrefix("accepted: checkout ticket-"))
		Expect(r.Err).To(HavePrefix("waiting: passport ticket in namespace " + p.namespace + " is Active"))
		Expect(p.as(agent, "wait", "checkout/"+p.passport("ticket").Status.Checkout.Name).Code).To(BeZero())
	})

	It("exits with 0 for a passport that is issued, and says what that waits for", func() {
		p = newStrangePlace(p.ctx)
		p.good(agent, "issue", "ticket", "--agent=support-bot", "--summary=Answer", "--services=slack", "--wait=false")
		ended := later("ticket", "--for=issued")
		Consistently(ended, time.Second).ShouldNot(Receive())
		p.good(admin, "enable", p.namespace, "--apply", "--yes")
		var r result
		Eventually(ended).Should(Receive(&r))
		Expect(r.Code).To(BeZero(), r.Err)
		Expect(r.Out).To(ContainSubstring("is Active as pp_"))
		Expect(r.Err).To(MatchRegexp(`waiting: passport ticket in namespace \S+ is Pending \(NamespaceNotEnabled: `))
	})

	It("exits with 2 for a passport that was never issued", func() {
		p.as(agent, "issue", "ticket", "--agent=support-bot", "--summary=Answer", "--services=stripe")
		r := p.as(agent, "wait", "ticket")
		Expect(r.Code).To(Equal(2))
		Expect(r.Out).To(ContainSubstring("was never issued (ServiceNotGranted"))
		Expect(p.as(agent, "wait", "passport/ticket", "--for=issued").Code).To(Equal(2))
	})

	It("exits with 2 for a mission that a reviewer blocks its agent for", func() {
		checkout := p.flagged("ticket")
		ended := later("ticket", "--wait-for-review")
		Consistently(ended, time.Second).ShouldNot(Receive())
		p.good(reviewer, "review", "block", checkout.Name, "--notes=Nobody asked for notes", "--yes")
		var r result
		Eventually(ended).Should(Receive(&r))
		Expect(r.Code).To(Equal(2), r.Err)
		Expect(r.Out).To(HavePrefix("not accepted: checkout " + checkout.Name))
	})

	It("exits with 2 for a Checkout that does not count", func() {
		p.issue("ticket")
		p.good(agent, "checkout", "ticket", "--services=slack", "--timeout="+soon.String())
		second := &v1alpha1.Checkout{
			ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: "second"},
			Spec: v1alpha1.CheckoutSpec{
				PassportRef: v1alpha1.PassportReference{Name: "ticket"}, AgentRef: v1alpha1.AgentReference{Name: agent},
				Source: v1alpha1.SourceAgent, Outcome: v1alpha1.OutcomeSucceeded,
			},
		}
		Expect(server.As(p.user(agent), nil).Create(p.ctx, second)).To(Succeed())
		r := p.as(agent, "wait", "checkout/second", "--timeout="+soon.String())
		Expect(r.Code).To(Equal(2))
		Expect(r.Out).To(ContainSubstring("does not count (AlreadyCheckedOut)"))
	})

	It("exits with 3 for a mission that awaits its review, also where nobody decides in time", func() {
		checkout := p.flagged("ticket")
		r := p.as(agent, "wait", "checkout/"+checkout.Name)
		Expect(r.Code).To(Equal(3))
		Expect(r.Out).To(And(HavePrefix("awaiting review: checkout "+checkout.Name), ContainSubstring("kubectl passport review approve "+checkout.Name)))
		began := time.Now()
		Expect(p.as(agent, "wait", "ticket", "--wait-for-review", "--timeout=1s").Code).To(Equal(3))
		Expect(time.Since(began)).To(And(BeNumerically(">=", time.Second), BeNumerically("<", 10*time.Second)))
	})

	It("exits with 4 for what never came, and waits no longer than it was told", func() {
		p.issue("ticket")
		began := time.Now()
		r := p.as(agent, "wait", "ticket", "--timeout=1s")
		Expect(time.Since(began)).To(And(BeNumerically(">=", time.Second), BeNumerically("<", 10*time.Second)))
		Expect(r.Code).To(Equal(4))
		Expect(r.Out).To(MatchRegexp(`^not within 1s: passport ticket in namespace \S+ is Active .* and nobody checked out. See: kubectl passport describe ticket`))
		for _, target := range []string{"nothing", "checkout/nothing"} {
			r = p.as(agent, "wait", target, "--timeout=1h")
			Expect(r.Code).To(Equal(4))
			Expect(r.Out).To(ContainSubstring("it was never created, or it was deleted"))
		}
	})

	It("ends at Ctrl-C, and says how far it got", func(ctx SpecContext) {
		p.issue("ticket")
		waiting, interrupt := context.WithCancel(ctx)
		said, ended := &buffer{}, make(chan int, 1)
		go func() {
			defer GinkgoRecover()
			ended <- p.run(waiting, agent, plugin.Options{
				Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: GinkgoWriter, ErrOut: said},
			}, "wait", "ticket", "--timeout=1h")
		}()
		Eventually(said.String).Should(ContainSubstring("waiting: passport ticket"))
		interrupt()
		Eventually(ended).Should(Receive(Equal(1)))
		Expect(said.String()).To(ContainSubstring("error: interrupted: passport ticket in namespace " + p.namespace + " is Active"))
	})

	It("exits with 1 for whoever may not ask, at once", func() {
		began := time.Now()
		r := p.as(nobody, "wait", "ticket", "--timeout=1h")
		Expect(time.Since(began)).To(BeNumerically("<", soon))
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(ContainSubstring("the ClusterRole agent-passport-viewer holds that right"))
	})
})
