// Package playground is a Kubernetes control plane of one's own: etcd, kube-apiserver and kubectl,
// found or built, for `make run`, `make demo` and the test suites.
package playground

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// KubernetesVersion is what hack/controlplane builds. A test keeps it equal to its go.mod.
const KubernetesVersion = "v1.36.3"

// AssetsVariable is the environment variable that names a directory with etcd, kube-apiserver and
// kubectl, as controller-runtime's envtest reads it.
const AssetsVariable = "KUBEBUILDER_ASSETS"

const controllerManager = "kube-controller-manager"

// binaries is what a control plane consists of.
var binaries = []string{"etcd", "kube-apiserver", "kubectl"}

// ErrNoAssets says that no control plane is at hand without building one.
var ErrNoAssets = errors.New(
	"no control plane found: run `make test`, or export " + AssetsVariable + "=$(go run ./hack/playground assets)")

// Assets finds a directory with etcd, kube-apiserver and kubectl without building anything: what
// KUBEBUILDER_ASSETS names, else what an earlier build left in bin/controlplane. It fails with
// ErrNoAssets where there is neither. Test suites call it before they start envtest.
func Assets(_ context.Context) (string, error) {
	if dir := os.Getenv(AssetsVariable); dir != "" && len(missing(dir, binaries)) == 0 {
		return dir, nil
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	if dir := builtIn(root); len(missing(dir, binaries)) == 0 {
		return dir, nil
	}
	return "", ErrNoAssets
}

// ControllerManager finds kube-controller-manager without building it, in the places where Assets
// looks. It fails with ErrNoAssets where there is none; `go run ./hack/playground assets
// --controller-manager` builds it.
func ControllerManager(_ context.Context) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	for _, dir := range []string{os.Getenv(AssetsVariable), builtIn(root)} {
		if dir != "" && len(missing(dir, []string{controllerManager})) == 0 {
			return filepath.Join(dir, controllerManager), nil
		}
	}
	return "", fmt.Errorf("%s: %w", controllerManager, ErrNoAssets)
}

// Root is the directory of the operator's module, found upwards from the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		module, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(module), "module agentpassport.dev/operator\n") {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not inside the operator's repository")
		}
		dir = parent
	}
}

// builtIn is where a build leaves its binaries.
func builtIn(root string) string {
	return filepath.Join(root, "bin", "controlplane", KubernetesVersion)
}

// missing lists which of the programs are not in dir.
func missing(dir string, programs []string) []string {
	var absent []string
	for _, name := range programs {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
			absent = append(absent, name)
		}
	}
	return absent
}
