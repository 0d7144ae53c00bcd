// Package plugin runs `kubectl passport` as its users do: against a real API server with the operator's CRDs,
// roles and admission policies, the real manager and the real audit log, each person with a ServiceAccount's own
// kubeconfig and the ClusterRole that is shipped for them.
package plugin

import (
	"bytes"
	"context"
	"path/filepath"
	"sync"
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
	said     = &log{}
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
	auditLog, err = auditlog.Start(context.WithoutCancel(ctx), logBinary, dir, server, said)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { auditLog.Kill() })
	addresses, err := manager.FreeAddresses()
	Expect(err).NotTo(HaveOccurred())
	operator, err = manager.Start(binary, kubeconfig, addresses, said,
		append(auditLog.ManagerFlags(), "--leader-elect", "--issuer=http://"+addresses.Issuer)...)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { operator.Kill() })
	Expect(operator.Ready(ctx)).To(Succeed())
}, NodeTimeout(5*time.Minute))

// log is what the operator said. It shows in the report of a spec that fails.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = GinkgoWriter.Write(line)
	return l.text.Write(line)
}
