package chart

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/cli"
	release "helm.sh/helm/v4/pkg/release/v1"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/test/apiserver"
	"agentpassport.dev/operator/test/auditlog"
	"agentpassport.dev/operator/test/manager"
)

func TestRelease(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "The release of a chart")
}

// soon is how long anything may take that is done at once, on a busy machine.
const soon = 30 * time.Second

var (
	// server is what the specs of one container share.
	server *apiserver.Server
	// binary of the manager, logBinary of the audit log.
	binary, logBinary string
)

var _ = BeforeSuite(func(ctx SpecContext) {
	logf.SetLogger(GinkgoLogr)
	EnforceDefaultTimeoutsWhenUsingContexts()
	SetDefaultEventuallyTimeout(soon)
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	dir := GinkgoT().TempDir()
	var err error
	binary, err = manager.Build(ctx, root, dir)
	Expect(err).NotTo(HaveOccurred())
	logBinary, err = auditlog.Build(ctx, root, dir)
	Expect(err).NotTo(HaveOccurred())
})

// startEmpty starts an empty API server for the specs of a container.
func startEmpty() {
	GinkgoHelper()
	var err error
	server, err = apiserver.StartEmpty()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(server.Stop)
}

// helm gives what Helm's actions need: the API server as an administrator sees it.
func helm() *action.Configuration {
	GinkgoHelper()
	settings := cli.New()
	settings.KubeConfig = server.AdminKubeconfig()
	settings.SetNamespace(namespace)
	configuration := action.NewConfiguration(action.ConfigurationSetLogger(slog.NewTextHandler(GinkgoWriter, nil)))
	Expect(configuration.Init(settings.RESTClientGetter(), namespace, "secret")).To(Succeed())
	return configuration
}

// operator is a manager and its audit log, as the ServiceAccounts that the chart gives them.
type operator struct {
	dir      string
	manager  *manager.Manager
	auditLog *auditlog.AuditLog
	// logs is where they log to, beside the suite's own.
	logs io.Writer
}

// start starts what Pods would run, the manager with further flags.
func (o *operator) start(ctx SpecContext, flags ...string) {
	GinkgoHelper()
	var err error
	o.dir, err = os.MkdirTemp("", "operator-")
	Expect(err).NotTo(HaveOccurred())
	kubeconfig := filepath.Join(o.dir, "manager.kubeconfig")
	Expect(server.ManagerKubeconfig(ctx, kubeconfig)).To(Succeed())
	addresses, err := manager.FreeAddresses()
	Expect(err).NotTo(HaveOccurred())
	var logs io.Writer = GinkgoWriter
	if o.logs != nil {
		logs = io.MultiWriter(logs, o.logs)
	}
	o.auditLog, err = auditlog.Start(ctx, logBinary, o.dir, server, logs)
	Expect(err).NotTo(HaveOccurred())
	flags = append(append(o.auditLog.ManagerFlags(), "--leader-elect"), flags...)
	o.manager, err = manager.Start(binary, kubeconfig, addresses, logs, flags...)
	Expect(err).NotTo(HaveOccurred())
	Expect(o.manager.Ready(ctx)).To(Succeed())
}

// stop ends both, where they run.
func (o *operator) stop() {
	if o.manager != nil {
		o.manager.Kill()
	}
	if o.auditLog != nil {
		o.auditLog.Kill()
	}
	_ = os.RemoveAll(o.dir)
}

// releaseOf is the release as Helm has stored it.
func releaseOf() *release.Release {
	GinkgoHelper()
	got, err := action.NewGet(helm()).Run(releaseName)
	Expect(err).NotTo(HaveOccurred())
	of, ok := got.(*release.Release)
	Expect(ok).To(BeTrue())
	return of
}
