// Package gate runs docs/gate.sh and the pipeline of docs/pipelines.md as a pipeline does: with the real
// kubectl, as a ServiceAccount with the rights that the docs name, against a real API server with the real
// manager on it.
package gate

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/test/apiserver"
	"agentpassport.dev/operator/test/auditlog"
	"agentpassport.dev/operator/test/manager"
)

func TestGate(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Gate")
}

// soon is how long anything may take that is done at once, on a busy machine.
const soon = 30 * time.Second

const root = "../.."

// server is the one API server of the suite; each spec has a namespace of its own.
var server *apiserver.Server

var _ = BeforeSuite(func(ctx SpecContext) {
	logf.SetLogger(GinkgoLogr)
	EnforceDefaultTimeoutsWhenUsingContexts()
	SetDefaultEventuallyTimeout(soon)
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	dir := GinkgoT().TempDir()
	binary, err := manager.Build(ctx, root, dir)
	Expect(err).NotTo(HaveOccurred())
	server, err = apiserver.Start(ctx, root, apiserver.AllPolicies)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() error { return server.Stop() })

	kubeconfig := filepath.Join(dir, "manager.kubeconfig")
	Expect(server.ManagerKubeconfig(ctx, kubeconfig)).To(Succeed())
	addresses, err := manager.FreeAddresses()
	Expect(err).NotTo(HaveOccurred())
	logBinary, err := auditlog.Build(ctx, root, dir)
	Expect(err).NotTo(HaveOccurred())
	log, err := auditlog.Start(ctx, logBinary, dir, server, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(log.Kill)
	m, err := manager.Start(binary, kubeconfig, addresses, GinkgoWriter, log.ManagerFlags()...)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(m.Kill)
	Expect(m.Ready(ctx)).To(Succeed())
	writeCountedKubectl()
})

// tools is the directory of the kubectl that the specs' shells find first.
var tools string

// writeCountedKubectl writes a kubectl that notes in the file $ASKED what it is asked, and is the real one.
func writeCountedKubectl() {
	GinkgoHelper()
	tools = GinkgoT().TempDir()
	kubectl, err := filepath.Abs(filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"))
	Expect(err).NotTo(HaveOccurred())
	script := "#!/bin/sh\necho \"$*\" >>\"$ASKED\"\nexec '" + kubectl + "' \"$@\"\n"
	Expect(os.WriteFile(filepath.Join(tools, "kubectl"), []byte(script), 0o700)).To(Succeed())
}
