// Package upgrade tests that whoever runs a released version can go to this one: what is stored stays readable and valid,
// and a mission that is alive lives on. A release adds its CRDs, and objects as it stored them, to testdata.
package upgrade

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/test/apiserver"
)

func TestUpgrade(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Upgrade")
}

const (
	root = "../.."
	// today are the CRDs of the working tree.
	today = root + "/config/crd/bases"
	// soon is how long anything may take that is done at once, on a busy machine.
	soon = 30 * time.Second
)

var _ = BeforeSuite(func() {
	logf.SetLogger(GinkgoLogr)
	EnforceDefaultTimeoutsWhenUsingContexts()
	SetDefaultEventuallyTimeout(soon)
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
})

// releases are the directories of testdata, one for each release.
func releases() []string {
	found, err := filepath.Glob("testdata/v*")
	if err != nil || len(found) == 0 {
		panic("no release in testdata")
	}
	return found
}

// crds reads the CRDs in a directory, by name.
func crds(dir string) (map[string]*apiextensionsv1.CustomResourceDefinition, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	found := map[string]*apiextensionsv1.CustomResourceDefinition{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(text, crd); err != nil {
			return nil, err
		}
		found[crd.Name] = crd
	}
	return found, nil
}

// apply applies the CRDs in a directory as an upgrade does, and returns once they are served.
func apply(ctx context.Context, server *apiserver.Server, dir string) {
	GinkgoHelper()
	out, err := server.Kubectl(ctx, "", "", "apply", "--server-side", "--force-conflicts", "--filename="+dir)
	Expect(err).NotTo(HaveOccurred(), out)
	out, err = server.Kubectl(ctx, "", "", "wait", "--for=condition=Established", "--timeout=30s", "--filename="+dir)
	Expect(err).NotTo(HaveOccurred(), out)
}
