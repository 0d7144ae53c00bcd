//go:build linux

// Package docs plays what the pages of the documentation tell a reader to type, on a cluster whose node runs what
// `make deploy` and then Helm install.
package docs

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/klog/v2"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/test/cluster"
	"agentpassport.dev/operator/test/process"
)

func TestMain(m *testing.M) {
	cluster.Enter()
	os.Exit(m.Run())
}

func TestDocs(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "The documentation")
}

const (
	// long bounds what takes minutes on a busy machine.
	long = 10 * time.Minute
	// image is the operator's, as the pages name it.
	image = "registry.example.com/agent-passport-operator"
)

var (
	// root of the project, and bin with its binaries.
	root, bin string
	server    *cluster.Cluster
)

var _ = BeforeSuite(func(ctx SpecContext) {
	logf.SetLogger(GinkgoLogr)
	klog.SetLogger(GinkgoLogr)
	EnforceDefaultTimeoutsWhenUsingContexts()
	var err error
	root, err = filepath.Abs("../..")
	Expect(err).NotTo(HaveOccurred())
	bin = filepath.Join(GinkgoT().TempDir(), "bin")
	// What is built in one directory is up to date for the same project in another.
	GinkgoT().Setenv("GOFLAGS", "-buildvcs=false")
	for _, command := range []string{"manager", "auditlog", "gateway", "mission", "kubectl-passport"} {
		_, err := process.Build(ctx, root, bin, command)
		Expect(err).NotTo(HaveOccurred())
	}
	helm := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(bin, "helm"), "helm.sh/helm/v4/cmd/helm")
	helm.Dir, helm.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	out, err := helm.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	server, err = cluster.Start(ctx, cluster.Options{
		Images: images, Hosts: []string{"slack.com", "api.github.com"}, Serve: http.HandlerFunc(service), Log: GinkgoWriter,
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() error { return server.Stop() })
}, NodeTimeout(long))

// images are those that the node has: the operator's, of what was just built, and a busybox, for which this machine's own
// tools stand.
func images(reference string) (cluster.Image, bool) {
	switch {
	case strings.HasPrefix(reference, image):
		of := cluster.Image{Entrypoint: []string{"/manager"}, Files: map[string]string{"/etc/ssl/certs/ca-certificates.crt": cluster.Authorities()}}
		for _, command := range []string{"manager", "auditlog", "gateway"} {
			of.Files["/"+command] = filepath.Join(bin, command)
		}
		return of, true
	case strings.HasPrefix(reference, "busybox:"):
		return cluster.MachineImage(), true
	}
	return cluster.Image{}, false
}

// service answers what agents call.
func service(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"ok": true}`))
}
