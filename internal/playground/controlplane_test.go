package playground

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestStateOutlivesTheControlPlane(t *testing.T) {
	assets, err := Assets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	kept := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}

	first := startedControlPlane(t, assets, state)
	if err := adminOf(t, first).Create(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}

	second := startedControlPlane(t, assets, state)
	if err := adminOf(t, second).Get(t.Context(), client.ObjectKeyFromObject(kept), kept); err != nil {
		t.Errorf("after a restart: %v", err)
	}

	// A kubeconfig opens the cluster for its owner, and can be read by nobody else.
	path := filepath.Join(state, "kubeconfig")
	if err := writeKubeconfig(path, second.admin, "agents"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kubeconfig: %v, %v", info.Mode(), err)
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(cfg, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(kept), kept); err != nil {
		t.Errorf("by kubeconfig: %v", err)
	}
}

func startedControlPlane(t *testing.T, assets, state string) *controlPlane {
	t.Helper()
	plane, err := startControlPlane(assets, state)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = plane.stop() })
	return plane
}

func adminOf(t *testing.T, plane *controlPlane) client.Client {
	t.Helper()
	c, err := client.New(plane.admin, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
