// Package plugin runs `kubectl passport` as its users do: against a real API server with the operator's CRDs,
// roles and admission policies, the real manager and the real audit log, each person with a ServiceAccount's own
// kubeconfig and the ClusterRole that is shipped for them.
package plugin

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/klog/v2"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/test/apiserver"
	"agentpassport.dev/operator/test/auditlog"
	"agentpassport.dev/operator/test/manager"
)

func TestPlugin(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "kubectl passport")
}

const root = "../.."

// soon is how long anything may take that the operator does at once, on a busy machine.
const soon = 30 * time.Second

// The world that all specs share.
var (
	server   *apiserver.Server
	auditLog *auditlog.AuditLog
	operator *manager.Manager
)

var _ = BeforeSuite(func(ctx SpecContext) {
	logf.SetLogger(GinkgoLogr)
	klog.SetLogger(GinkgoLogr)
	EnforceDefaultTimeoutsWhenUsingContexts()
	SetDefaultEventuallyTimeout(soon)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	dir := GinkgoT().TempDir()
	binary, err := manager.Build(ctx, root, dir)
	Expect(err).NotTo(HaveOccurred())
	logBinary, err := auditlog.Build(ctx, root, dir)
	Expect(err).NotTo(HaveOccurred())
	server, err = apiserver.Start(context.WithoutCancel(ctx), root, apiserver.AllPolicies)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() error { return server.Stop() })
	kubeconfig := filepath.Join(dir, "manager.kubeconfig")
	Expect(server.ManagerKubeconfig(ctx, kubeconfig)).To(Succeed())
	auditLog, err = auditlog.Start(context.WithoutCancel(ctx), logBinary, dir, server, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { auditLog.Kill() })
	addresses, err := manager.FreeAddresses()
	Expect(err).NotTo(HaveOccurred())
	operator, err = manager.Start(binary, kubeconfig, addresses, GinkgoWriter,
		append(auditLog.ManagerFlags(), "--leader-elect", "--issuer=http://"+addresses.Issuer)...)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { operator.Kill() })
	Expect(operator.Ready(ctx)).To(Succeed())
}, NodeTimeout(5*time.Minute))
