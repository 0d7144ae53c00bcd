// Package e2e runs the operator as its users do: the real binary against a real API server, with
// kubectl. A few stories need a real minute. They are begun before the specs, each in a place of its
// own, and play while the specs run; a spec apiece looks at how they ended.
package e2e

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/test/auditlog"
	"agentpassport.dev/operator/test/gateway"
	"agentpassport.dev/operator/test/manager"
)

func TestEndToEnd(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "End to end")
}

// soon is how long anything may take that the operator does at once, on a busy machine.
const soon = 30 * time.Second

const root = "../.."

var (
	// binary of the manager, logBinary of the audit log, gatewayBinary of the gateway.
	binary, logBinary, gatewayBinary string
	// calm is the cluster that all specs share.
	calm *cluster

	silence, outage, crashes *story
)

var _ = BeforeSuite(func(ctx SpecContext) {
	logf.SetLogger(GinkgoLogr)
	EnforceDefaultTimeoutsWhenUsingContexts()
	SetDefaultEventuallyTimeout(soon)
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	var err error
	binary, err = manager.Build(ctx, root, GinkgoT().TempDir())
	Expect(err).NotTo(HaveOccurred())
	logBinary, err = auditlog.Build(ctx, root, GinkgoT().TempDir())
	Expect(err).NotTo(HaveOccurred())
	gatewayBinary, err = gateway.Build(ctx, root, GinkgoT().TempDir())
	Expect(err).NotTo(HaveOccurred())

	clusters := newClusters(ctx, 3)
	calm = clusters[0]
	quiet, stormy := clusters[1], clusters[2]
	Expect(calm.start()).To(Succeed())
	Expect(calm.manager.Ready(ctx)).To(Succeed())

	stories, end := context.WithCancel(context.Background())
	DeferCleanup(func() {
		end()
		for _, s := range []*story{silence, outage, crashes} {
			<-s.ended
		}
	})
	silence = begin(stories, calm, dieOfSilence)
	outage = begin(stories, quiet, checkpointWhileDown)
	crashes = begin(stories, stormy, killWhileIssuing)
})
