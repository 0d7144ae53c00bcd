package playground

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestVersionIsTheOneThatTheControlPlaneModuleBuilds(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	list := exec.Command("go", "list", "-m", "-f={{.Version}}", "k8s.io/kubernetes")
	list.Dir = filepath.Join(root, "hack", "controlplane")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(out)); got != KubernetesVersion {
		t.Errorf("hack/controlplane builds %s, KubernetesVersion is %s", got, KubernetesVersion)
	}
}

func TestAssetsTakesTheVariableOnlyWhereItIsComplete(t *testing.T) {
	elsewhere := t.TempDir()
	outside(t)

	t.Setenv(AssetsVariable, programsIn(t, binaries...))
	if dir, err := Assets(t.Context()); err != nil || dir != os.Getenv(AssetsVariable) {
		t.Errorf("complete: got %q, %v", dir, err)
	}

	t.Setenv(AssetsVariable, programsIn(t, "etcd", "kubectl"))
	if dir, err := Assets(t.Context()); err == nil {
		t.Errorf("without kube-apiserver: got %q", dir)
	}

	t.Setenv(AssetsVariable, elsewhere)
	if dir, err := Assets(t.Context()); err == nil {
		t.Errorf("empty directory: got %q", dir)
	}
}

func TestAssetsFindsWhatWasBuilt(t *testing.T) {
	root := outside(t)
	if err := os.WriteFile(filepath.Join(root, "go.mod"), []byte("module agentpassport.dev/operator\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	below := filepath.Join(root, "internal", "controller")
	if err := os.MkdirAll(below, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(below)
	t.Setenv(AssetsVariable, "")

	if _, err := Assets(t.Context()); !errors.Is(err, ErrNoAssets) {
		t.Errorf("nothing built: got %v", err)
	}
	if err := os.MkdirAll(filepath.Dir(builtIn(root)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(programsIn(t, binaries...), builtIn(root)); err != nil {
		t.Fatal(err)
	}
	if dir, err := Assets(t.Context()); err != nil || dir != builtIn(root) {
		t.Errorf("built: got %q, %v", dir, err)
	}
	if _, err := ControllerManager(t.Context()); !errors.Is(err, ErrNoAssets) {
		t.Errorf("controller-manager not built: got %v", err)
	}
}

// outside leaves the repository for an empty directory.
func outside(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	return dir
}

// programsIn makes a directory with the named programs.
func programsIn(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
