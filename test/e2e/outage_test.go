package e2e

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"agentpassport.dev/operator/api/v1alpha1"
)

var _ = Describe("An operator that was down", atTheEnd, func() {
	It("counts a checkpoint that was made in time", func(ctx SpecContext) { outage.end(ctx) })
})

// checkpointWhileDown is a mission whose one checkpoint is made while no manager runs, and whose expiry
// before that checkpoint is long over when one does.
func checkpointWhileDown(p *place) (found string) {
	p.g.Expect(p.start()).To(Succeed())
	issued := p.issueFrom("short-leash.yaml")

	began := time.Now()
	stopping, cancel := context.WithTimeout(p.ctx, soon)
	defer cancel()
	p.g.Expect(p.manager.Stop(stopping)).To(Succeed(), "the exit code")
	stopped := time.Since(began)
	p.g.Expect(p.holder()).To(BeEmpty(), "the lease is released")

	p.pass(issued.Status.IssueTime.Add(40 * time.Second))
	p.applyAsBot("checkpoint.yaml")
	p.pass(issued.Status.ExpirationTime.Add(8 * time.Second)) // the 5 s of grace are over too
	p.g.Expect(p.start()).To(Succeed())

	p.kubectl("wait", "--for=condition=Ready", "--timeout="+soon.String(), "checkpoint/drafting-reply")
	var checkpoint v1alpha1.Checkpoint
	p.read(&checkpoint, "checkpoint", "drafting-reply")
	expiry := checkpoint.CreationTimestamp.Add(time.Minute)
	p.g.Eventually(p.ctx, p.content).Should(HaveField("Expiry", expiry.Unix()))
	back := p.passport()
	p.g.Expect(back.Status.Phase).To(Equal(v1alpha1.PhaseActive))
	p.g.Expect(back.Status.ExpirationTime.Time).To(BeTemporally("==", expiry))
	p.g.Expect(back.Status.Signals).To(BeEmpty())
	p.g.Expect(back.Status.JTI).To(Equal(issued.Status.JTI))
	return fmt.Sprintf("stopped in %s, lease released; the checkpoint made %s after issue was counted",
		stopped.Round(time.Millisecond), checkpoint.CreationTimestamp.Sub(issued.Status.IssueTime.Time))
}
