package controller_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/apiclock"
	"agentpassport.dev/operator/test/apiserver"
)

// judged reads a checkpoint's reason.
func (w *world) judged(name string) v1alpha1.Reason {
	GinkgoHelper()
	checkpoint := &v1alpha1.Checkpoint{}
	Expect(w.get(name, checkpoint)).To(Succeed())
	return ready(checkpoint.Status.Conditions)
}

var _ = Describe("The leash of an Enforced passport", func() {
	It("moves one interval past each checkpoint, with the same jti", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		w.passport()
		w.clock.Step(-200 * time.Second)
		w.settle()
		w.clock.Step(10 * time.Second)
		w.settle()
		before := w.claims()
		w.wrote()

		checkpoint := w.checkpoint("first")
		w.clock.SetTime(checkpoint.CreationTimestamp.Add(time.Second))
		w.settle()
		Expect(w.wrote()).To(Equal([]string{
			"update status Passport mission", "update Secret mission-token", "update status Checkpoint first",
		}))
		status := w.mission().Status
		Expect(status.ExpirationTime.Time).To(BeTemporally("==", checkpoint.CreationTimestamp.Add(300*time.Second)))
		Expect(status.LastCheckpointTime.Time).To(BeTemporally("==", checkpoint.CreationTimestamp.Time))
		Expect(*status.Checkpoints).To(Equal(int32(1)))
		Expect(status.Actions).To(Equal(int64(3)))
		Expect(status.ServicesUsed).To(HaveExactElements(v1alpha1.ServiceName("slack")))
		after := w.claims()
		Expect(after.ID).To(Equal(before.ID))
		Expect(after.Expiry).To(Equal(status.ExpirationTime.Unix()))
		Expect(w.get("first", checkpoint)).To(Succeed())
		Expect(checkpoint.Status.ExpirationTime.Time).To(BeTemporally("==", status.ExpirationTime.Time))
		Expect(w.judged("first")).To(Equal(v1alpha1.ReasonAccepted))
	})

	// The boundary, to the second: the mission is issued such that it expires so long after the
	// checkpoint was made.
	DescribeTable("counts a checkpoint that was made in time, and no other",
		func(ctx context.Context, left time.Duration, want v1alpha1.Reason) {
			w := newWorld(ctx)
			w.agent()
			w.passport()
			made := w.checkpoint("edge").CreationTimestamp
			w.clock.SetTime(made.Add(left - 300*time.Second))
			w.settle()
			w.clock.SetTime(made.Add(left + 5*time.Second))
			w.settle()
			Expect(w.judged("edge")).To(Equal(want))
			if want == v1alpha1.ReasonAccepted {
				Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseActive))
				Expect(w.mission().Status.ExpirationTime.Time).To(BeTemporally("==", made.Add(300*time.Second)))
			} else {
				Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseExpired))
			}
		},
		Entry("a second before the expiry", time.Second, v1alpha1.ReasonAccepted),
		Entry("in the second of the expiry", time.Duration(0), v1alpha1.ReasonAccepted),
		Entry("a second after it", -time.Second, v1alpha1.ReasonTooLate),
	)

	It("counts a checkpoint made in time however late it is seen: the operator was down", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		w.passport()
		w.clock.Step(-200 * time.Second)
		w.settle()
		made := w.checkpoint("unseen").CreationTimestamp
		w.restart()
		w.clock.SetTime(made.Add(290 * time.Second))
		w.settle()
		Expect(w.judged("unseen")).To(Equal(v1alpha1.ReasonAccepted))
		Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseActive))
	})

	It("counts it also where the operator comes back after the extended expiry", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		w.passport()
		w.clock.Step(-200 * time.Second)
		w.settle()
		made := w.checkpoint("unseen").CreationTimestamp
		w.restart()
		w.clock.SetTime(made.Add(time.Hour))
		w.settle()
		Expect(w.judged("unseen")).To(Equal(v1alpha1.ReasonAccepted))
		status := w.mission().Status
		Expect(status.Phase).To(Equal(v1alpha1.PhaseExpired))
		Expect(status.EndTime.Time).To(BeTemporally("==", made.Add(300*time.Second)))
		Expect(*status.Checkpoints).To(Equal(int32(1)))
	})

	DescribeTable("follows the API server's clock, not its own",
		func(ctx context.Context, skew time.Duration) {
			w := newWorld(ctx)
			local := clocktesting.NewFakePassiveClock(time.Now().Add(skew))
			apiClock := apiclock.New(ticking{local, time.Now()})
			config := server.Config(apiserver.Manager)
			config.Wrap(apiClock.Wrap)
			w.useClient(config, apiClock)
			w.agent()
			created := w.passport().CreationTimestamp.Time
			w.settle()
			status := w.mission().Status
			Expect(status.Phase).To(Equal(v1alpha1.PhaseActive))
			const blur = 5 * time.Second // far less than any skew
			Expect(status.IssueTime.Time).To(And(BeTemporally(">", created.Add(-blur)), BeTemporally("<", time.Now().Add(blur))))
			made := w.checkpoint("skewed").CreationTimestamp
			w.settle()
			Expect(w.judged("skewed")).To(Equal(v1alpha1.ReasonAccepted))
			Expect(w.mission().Status.ExpirationTime.Time).To(BeTemporally("==", made.Add(300*time.Second)))
		},
		Entry("its own is 30 s ahead", 30*time.Second),
		Entry("its own is 30 s behind", -30*time.Second),
		Entry("its own is an hour ahead", time.Hour),
	)

	It("never moves past the mission's limit", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		w.passport(func(p *v1alpha1.Passport) { p.Spec.ActiveDeadlineSeconds = 400 })
		w.clock.Step(-200 * time.Second)
		w.settle()
		issued := w.mission().Status.IssueTime.Time
		w.checkpoint("first")
		w.settle()
		status := w.mission().Status
		Expect(status.ExpirationTime.Time).To(BeTemporally("==", issued.Add(400*time.Second)))
		Expect(status.CheckpointBy).To(BeNil(), "no further checkpoint helps")
		w.clock.SetTime(issued.Add(405 * time.Second))
		w.settle()
		status = w.mission().Status
		Expect(ready(status.Conditions)).To(Equal(v1alpha1.ReasonDeadlineReached))
		Expect(status.Signals).To(BeEmpty(), "the agent was not silent")
	})

	It("folds any number at once, each exactly once, and keeps the last three", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		w.passport()
		w.settle()
		for i := range 9 {
			w.checkpoint(fmt.Sprintf("report-%d", i))
		}
		w.settle()
		status := w.mission().Status
		Expect(*status.Checkpoints).To(Equal(int32(9)))
		Expect(status.Actions).To(Equal(int64(27)))
		kept := &v1alpha1.CheckpointList{}
		Expect(w.admin.List(ctx, kept, inNamespace(w))).To(Succeed())
		Expect(kept.Items).To(HaveLen(3))
		w.clock.Step(10 * time.Second)
		w.settle()
		w.wrote()
		w.restart()
		w.settle()
		Expect(w.wrote()).To(BeEmpty())
	})

	It("forgets the folded ones that it trimmed: bursts never fill the list for good", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		w.passport()
		w.settle()
		for burst := range 3 {
			for i := range 9 {
				w.checkpoint(fmt.Sprintf("report-%d-%d", burst, i))
			}
			w.settle()
		}
		Expect(*w.mission().Status.Checkpoints).To(Equal(int32(27)))
	})

	It("takes twenty of one interval and refuses the rest", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		w.passport()
		w.settle()
		for i := range 22 {
			w.checkpoint(fmt.Sprintf("report-%02d", i))
		}
		w.settle()
		status := w.mission().Status
		Expect(*status.Checkpoints).To(Equal(int32(20)))
		Expect(w.events()).To(ContainElement(ContainSubstring("TooMany")))
		Expect(status.Signals).To(HaveLen(1))
		Expect(status.Signals[0].Type).To(Equal("checkpoint_burst"))
		Expect(status.Signals[0].Count).To(Equal(int32(1)))
	})

	It("refuses another agent's report", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		w.agent(func(a *v1alpha1.AgentPassport) { a.Name = "other" })
		w.passport()
		w.settle()
		w.checkpoint("foreign", func(c *v1alpha1.Checkpoint) { c.Spec.AgentRef.Name = "other" })
		w.settle()
		Expect(w.judged("foreign")).To(Equal(v1alpha1.ReasonNotYours))
		Expect(*w.mission().Status.Checkpoints).To(BeZero())
	})

	It("refuses a report to nobody, and drops it after an hour", func(ctx context.Context) {
		w := newWorld(ctx)
		made := w.checkpoint("lost").CreationTimestamp
		w.settle()
		Expect(w.judged("lost")).To(Equal(v1alpha1.ReasonPassportNotFound))
		w.clock.SetTime(made.Add(time.Hour))
		w.settle()
		Expect(w.get("lost", &v1alpha1.Checkpoint{})).NotTo(Succeed())
	})
})

var _ = Describe("A Logged passport", func() {
	It("records checkpoints without moving its expiry", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent(in(v1alpha1.ModeLogged))
		w.passport()
		w.settle()
		expiry := w.mission().Status.ExpirationTime.Time
		w.wrote()
		w.checkpoint("first")
		w.settle()
		Expect(w.wrote()).NotTo(ContainElement(ContainSubstring("Secret")), "the same expiry, the same token")
		status := w.mission().Status
		Expect(*status.Checkpoints).To(Equal(int32(1)))
		Expect(status.ExpirationTime.Time).To(BeTemporally("==", expiry))
	})

	It("raises checkpoint_silence once for each gap, and lives on", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent(in(v1alpha1.ModeLogged))
		w.passport()
		w.settle()
		w.clock.Step(304 * time.Second)
		w.settle()
		Expect(w.mission().Status.Signals).To(BeEmpty())
		w.clock.Step(time.Second)
		w.settle()
		status := w.mission().Status
		Expect(status.Phase).To(Equal(v1alpha1.PhaseActive))
		Expect(status.Signals).To(HaveLen(1))
		Expect(status.Signals[0].Type).To(Equal("checkpoint_silence"))
		w.clock.Step(100 * time.Second)
		w.settle()
		Expect(w.mission().Status.Signals[0].Count).To(Equal(int32(1)))
		w.clock.Step(600 * time.Second)
		w.settle()
		Expect(ready(w.mission().Status.Conditions)).To(Equal(v1alpha1.ReasonTTLElapsed))
	})
})

var _ = Describe("A Standard passport", func() {
	It("needs no intent, has no checkpoints, and ends at its expiry", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent(in(v1alpha1.ModeStandard))
		w.passport(func(p *v1alpha1.Passport) { p.Spec.Intent = nil })
		w.settle()
		status := w.mission().Status
		Expect(status.Phase).To(Equal(v1alpha1.PhaseActive))
		Expect(status.CheckpointBy).To(BeNil())
		w.checkpoint("unasked")
		w.settle()
		Expect(w.judged("unasked")).To(Equal(v1alpha1.ReasonCheckpointNotAvailable))
		w.clock.SetTime(status.ExpirationTime.Add(5 * time.Second))
		w.settle()
		status = w.mission().Status
		Expect(status.Phase).To(Equal(v1alpha1.PhaseExpired))
		Expect(ready(status.Conditions)).To(Equal(v1alpha1.ReasonTTLElapsed))
		Expect(status.Signals).To(BeEmpty())
	})
})

// ticking is a skewed local clock that runs on with real time.
type ticking struct {
	*clocktesting.FakePassiveClock
	start time.Time
}

func (t ticking) Now() time.Time { return t.FakePassiveClock.Now().Add(time.Since(t.start)) }

var _ clock.PassiveClock = ticking{}
