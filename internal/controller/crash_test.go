package controller_test

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/channel/wire"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/token"
)

// errCrash is what a write gives whose answer the operator does not live to see.
var errCrash = errors.New("the operator crashed")

// crash ends the operator at one write: before it lands, or after. Nothing is written from then on
// until restart.
type crash struct {
	at    int
	after bool
	dead  bool
}

func (c *crash) fault(number int, _ string, land func() error) error {
	if c.dead {
		return errCrash
	}
	if number != c.at {
		return land()
	}
	c.dead = true
	if c.after {
		if err := land(); err != nil {
			return err
		}
	}
	return errCrash
}

// scenario is something that happens, once what came before it is settled.
type scenario struct {
	name   string
	before func(*world)
	event  func(*world)
}

var scenarios = append(documentScenarios, []scenario{
	{"an issue", registered, func(w *world) { w.passport() }},
	{"a rejection", registered, func(w *world) { w.passport(func(p *v1alpha1.Passport) { p.Spec.Intent = nil }) }},
	{"checkpoints that extend and are trimmed", issued, func(w *world) {
		for i := range 5 {
			w.checkpoint(fmt.Sprintf("report-%d", i))
		}
	}},
	{"a refused checkpoint", issued, func(w *world) {
		w.checkpoint("foreign", func(c *v1alpha1.Checkpoint) { c.Spec.AgentRef.Name = "other" })
	}},
	{"silence", issued, func(w *world) { w.clock.Step(time.Hour) }},
	{"a checkpoint, then silence", issued, func(w *world) {
		w.checkpoint("last")
		w.clock.Step(time.Hour)
	}},
	{"a revocation", issued, func(w *world) { w.revoke() }},
	{"a block", issued, func(w *world) { w.block("stop") }},
	{"a signal that revokes and blocks", issued, func(w *world) {
		w.checkpoint("odd", func(c *v1alpha1.Checkpoint) { c.Spec.ServicesUsed = []v1alpha1.ServiceName{"stripe"} })
	}},
	{"a signal that blocks a Logged mission's agent", func(w *world) {
		w.agent(in(v1alpha1.ModeLogged), func(a *v1alpha1.AgentPassport) { a.Spec.Accountability.OnWarning = v1alpha1.EscalateBlock })
		w.passport()
	}, func(w *world) {
		w.checkpoint("odd", func(c *v1alpha1.Checkpoint) { c.Spec.ServicesUsed = []v1alpha1.ServiceName{"stripe"} })
	}},
	{"a deletion", issued, func(w *world) {
		w.checkpoint("last")
		Expect(w.admin.Delete(w.ctx, w.mission())).To(Succeed())
	}},
	{"a deletion long after the end", func(w *world) {
		issued(w)
		w.settle()
		w.revoke()
	}, func(w *world) {
		w.clock.Step(2 * time.Hour)
		Expect(w.admin.Delete(w.ctx, w.mission())).To(Succeed())
	}},
	{"a deletion before the issue", registered, func(w *world) {
		Expect(w.admin.Delete(w.ctx, w.passport())).To(Succeed())
	}},
	{"an abandoned mission", issued, func(w *world) {
		w.checkpoint("last")
		w.clock.Step(48 * time.Hour)
	}},
	{"an abandoned mission that blocks its agent", func(w *world) {
		// Issued so long ago that the block is stamped after its expiry.
		w.clock.Step(-400 * time.Second)
		w.agent(func(a *v1alpha1.AgentPassport) { a.Spec.Accountability.OnWarning = v1alpha1.EscalateBlock })
		w.passport()
	}, func(w *world) { w.clock.Step(48 * time.Hour) }},
	{"a clean checkout", issued, func(w *world) {
		w.checkpoint("report")
		w.checkout("done")
	}},
	{"a checkout that is flagged", issued, func(w *world) { w.checkout("done", using("slack", "notion")) }},
	{"a checkout that blocks the agent", issued, func(w *world) { w.checkout("done", using("stripe")) }},
	{"a late checkout, and a second one", func(w *world) {
		w.clock.Step(-400 * time.Second)
		issued(w)
		w.settle()
		w.clock.Step(400 * time.Second)
	}, func(w *world) {
		w.checkout("done")
		w.checkout("done-again")
	}},
	{"an approval that lifts a block", checkedOut("stripe"), func(w *world) { w.review("done", v1alpha1.DecisionApproved, "agreed") }},
	{"a review that blocks", checkedOut("notion"), func(w *world) { w.review("done", v1alpha1.DecisionBlocked, "no") }},
	{"a review that takes the place of a block", checkedOut("stripe"), func(w *world) { w.review("done", v1alpha1.DecisionBlocked, "no") }},
	{"a deletion after the checkout", checkedOut("notion"), func(w *world) { Expect(w.admin.Delete(w.ctx, w.mission())).To(Succeed()) }},
	{"a connection whose credential is gone", func(w *world) {
		w.connection()
		w.says("gateway-0", w.edit(func(*v1alpha1.ServiceConnection) {}), v1alpha1.ReasonCredentialRead)
	}, func(w *world) {
		// It says so again to a manager that has just begun.
		w.again = func() {
			w.says("gateway-0", w.edit(func(*v1alpha1.ServiceConnection) {}), v1alpha1.ReasonCredentialNotFound)
		}
		w.again()
	}},
	{"a connection that is changed", func(w *world) { w.connection() }, func(w *world) { w.edit(open) }},
	{"a drift that a gateway reports", issued, func(w *world) { w.saw(w.mission(), "scope_drift") }},
	{"a drift that revokes and blocks", watched(v1alpha1.ModeEnforced), func(w *world) { w.saw(w.mission(), "scope_drift") }},
	{"a report that blocks a Logged mission's agent", watched(v1alpha1.ModeLogged), func(w *world) {
		// The world's clock catches up with the API server's, which stamped the report: what is seen comes after it.
		w.clock.SetTime(w.checkpoint("report").CreationTimestamp.Time)
		w.saw(w.mission(), "constraint_violation", func(s *wire.Signal) { s.Count = 3 })
		w.saw(w.mission(), "credential_burst", func(s *wire.Signal) { s.Gateway = "gateway-1" })
	}},
	{"a use after the checkout", checkedOut("slack"), func(w *world) { w.saw(w.mission(), "use_after_checkout") }},
	{"a checkout that gateways saw", issued, func(w *world) {
		w.gateways.up = []string{"gateway-0", "gateway-1"}
		w.called(w.mission(), "slack", decision.Allowed, 9)
		w.called(w.mission(), "slack", decision.CodeConstraint, 1)
		w.checkout("done")
	}},
	{"a checkout whose gateway says nothing", issued, func(w *world) {
		w.gateways.up, w.gateways.silent = []string{"gateway-0"}, true
		w.checkout("done")
	}},
	{"a clean-up after a clean checkout", checkedOut("slack"), func(w *world) { w.clock.Step(48 * time.Hour) }},
}...)

// checkedOut is a mission that used these services, and is judged.
func checkedOut(services ...v1alpha1.ServiceName) func(*world) {
	return func(w *world) {
		issued(w)
		w.settle()
		w.checkout("done", using(services...))
	}
}

// watched is a mission of an agent that every warning blocks.
func watched(mode v1alpha1.AccountabilityMode) func(*world) {
	return func(w *world) {
		w.agent(in(mode), func(a *v1alpha1.AgentPassport) { a.Spec.Accountability.OnWarning = v1alpha1.EscalateBlock })
		w.passport()
	}
}

func registered(w *world) { w.agent() }

func issued(w *world) {
	w.agent()
	w.passport()
}

// play takes a world through a scenario. Where the operator crashes on the way, it comes back, and
// goes on. It gives the number of writes that the event brought.
func (s scenario) play(w *world, c *crash) int {
	GinkgoHelper()
	s.before(w)
	w.settle()
	w.attempts, w.fault = 0, c.fault
	s.event(w)
	err := w.settleUntil(40)
	if c.dead {
		w.restart()
		c.dead, c.at = false, 0
		if w.again != nil {
			w.again()
		}
		err = w.settleUntil(40)
	}
	Expect(err).NotTo(HaveOccurred())
	attempts := w.attempts
	w.fault = nil
	// Sums on the agent are written ten seconds later at most.
	w.clock.Step(10 * time.Second)
	w.settle()
	return attempts
}

// crashAt plays the scenario with a crash after one write, and compares how it ends.
func (s scenario) crashAt(ctx context.Context, at int, want endState) {
	GinkgoHelper()
	w := newWorld(ctx)
	check := w.watchTokens()
	s.play(w, &crash{at: at, after: true})
	Expect(w.endState()).To(Equal(want), "with a crash after write %d", at)
	check()
	w.wrote()
	w.restart()
	w.settle()
	Expect(w.wrote()).To(BeEmpty(), "quiet means no writes")
}

// endState is all of a world that must be the same whatever happened on the way.
type endState struct {
	Phase       v1alpha1.Phase
	Reason      v1alpha1.Reason
	Leash       time.Duration
	Checkpoints int32
	Actions     int64
	Signals     []string
	Reports     []string
	Blocks      []string
	Checkouts   []string
	Connections []string
	Documents   []string
	Baseline    int64
	HasSecret   bool
	// Listed is what the status list says of the passport; empty where none was issued.
	Listed string
	// Trail is what the audit log tells of the passports, in order, and of what is set up.
	Trail, Setup []string
}

func (w *world) endState() endState {
	GinkgoHelper()
	var end endState
	mission := &v1alpha1.Passport{}
	switch err := w.get("mission", mission); {
	case apierrors.IsNotFound(err):
		end.Phase = "Gone"
	default:
		Expect(err).NotTo(HaveOccurred())
		status := mission.Status
		end.Phase, end.Reason, end.Actions = status.Phase, ready(status.Conditions), status.Actions
		if status.Checkpoints != nil {
			end.Checkpoints = *status.Checkpoints
		}
		if status.IssueTime != nil {
			Expect(status.JTI).To(Equal(token.JTI(string(mission.UID))))
			last := status.IssueTime
			if status.LastCheckpointTime != nil && status.Issued.Mode == v1alpha1.ModeEnforced {
				last = status.LastCheckpointTime
			}
			end.Leash = status.ExpirationTime.Sub(last.Time)
		}
		for _, signal := range status.Signals {
			end.Signals = append(end.Signals, fmt.Sprintf("%s %s %d", signal.Type, signal.Severity, signal.Count))
		}
		if status.Phase == v1alpha1.PhaseActive {
			Expect(w.claims().ID).To(Equal(status.JTI))
			Expect(w.claims().Expiry).To(Equal(status.ExpirationTime.Unix()))
		}
	}
	end.HasSecret = !w.secretGone()
	end.Listed = w.mayBeListed()
	end.Trail, end.Setup = w.log.told(), w.log.configured()
	reports := &v1alpha1.CheckpointList{}
	Expect(w.admin.List(w.ctx, reports, inNamespace(w))).To(Succeed())
	for i := range reports.Items {
		end.Reports = append(end.Reports, string(ready(reports.Items[i].Status.Conditions)))
	}
	sort.Strings(end.Reports)
	blocks := &v1alpha1.AgentBlockList{}
	Expect(w.admin.List(w.ctx, blocks, inNamespace(w))).To(Succeed())
	for i := range blocks.Items {
		block, cause := &blocks.Items[i], "a person"
		if block.Spec.Cause != nil {
			cause = block.Spec.Cause.Kind
		}
		end.Blocks = append(end.Blocks, string(ready(block.Status.Conditions))+" by "+cause)
	}
	sort.Strings(end.Blocks)
	checkouts := &v1alpha1.CheckoutList{}
	Expect(w.admin.List(w.ctx, checkouts, inNamespace(w))).To(Succeed())
	for i := range checkouts.Items {
		checkout := &checkouts.Items[i]
		line := fmt.Sprintf("%s %s %s %s", checkout.Spec.Source, ready(checkout.Status.Conditions), checkout.Status.Verdict, accepted(checkout))
		for _, flag := range checkout.Status.Flags {
			line += " " + flag.Type
		}
		end.Checkouts = append(end.Checkouts, line)
	}
	sort.Strings(end.Checkouts)
	if w.get("github", &v1alpha1.ServiceConnection{}) == nil {
		end.Connections = w.conditions()
	}
	if w.documents {
		end.Documents = w.documentEnds()
	}
	agent := &v1alpha1.AgentPassport{}
	if err := w.get("support-bot", agent); err == nil && agent.Status.Baseline != nil {
		end.Baseline = agent.Status.Baseline.Missions
	}
	return end
}

// watchTokens records every token that reaches the mission's Secret, and holds them to one claim set
// for one expiry.
func (w *world) watchTokens() (check func()) {
	GinkgoHelper()
	watcher, err := server.Watch(w.ctx, &corev1.SecretList{}, w.namespace)
	Expect(err).NotTo(HaveOccurred())
	return func() {
		GinkgoHelper()
		defer watcher.Stop()
		ring, _ := w.keys.Ring()
		seen := map[int64]*token.Claims{}
		// The Secret made now is the last that the watch brings: all before it were seen.
		fence := &corev1.Secret{}
		fence.Namespace, fence.Name = w.namespace, "fence"
		Expect(w.admin.Create(w.ctx, fence)).To(Succeed())
		for event := range watcher.ResultChan() {
			secret, ok := event.Object.(*corev1.Secret)
			Expect(ok).To(BeTrue())
			if secret.Name == fence.Name {
				return
			}
			claims, err := token.VerifySignature(string(secret.Data[v1alpha1.SecretKeyToken]), ring)
			Expect(err).NotTo(HaveOccurred())
			if before, again := seen[claims.Expiry]; again {
				Expect(claims).To(Equal(before), "two claim sets for one expiry")
			}
			seen[claims.Expiry] = claims
		}
		Fail("the watch ended early")
	}
}

// The sweep of models of failure: count the writes of each scenario, then crash after each of them,
// which is before the next, drop all memory, and go on. The end is the same, with one jti and one set of
// claims.
var _ = Describe("A crash", func() {
	for _, s := range scenarios {
		It("at any write of "+s.name+" changes nothing about its end", crashSweep, func(ctx context.Context) {
			aSweep()
			w := newWorld(ctx)
			attempts := s.play(w, &crash{})
			want := w.endState()
			Expect(attempts).To(BeNumerically(">", 0))
			// Each in a namespace of its own, a few at a time: the API server answers several at once.
			var playing sync.WaitGroup
			places := make(chan struct{}, 8)
			for at := 1; at <= attempts; at++ {
				places <- struct{}{}
				playing.Go(func() {
					defer GinkgoRecover()
					defer func() { <-places }()
					s.crashAt(ctx, at, want)
				})
			}
			playing.Wait()
		})
	}
})
