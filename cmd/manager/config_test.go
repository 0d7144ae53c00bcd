package main

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/internal/review"
)

func parsed(args ...string) (*flags, error) {
	set := flag.NewFlagSet("manager", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	return parse(set, args)
}

func written(t *testing.T, config string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigFile(t *testing.T) {
	some := review.DefaultThresholds()
	some.CheckpointBurst = 20
	for name, tc := range map[string]struct {
		args []string
		want review.Thresholds
	}{
		"without one":  {nil, review.DefaultThresholds()},
		"an empty one": {[]string{"--config-file=" + written(t, "")}, review.DefaultThresholds()},
		"one":          {[]string{"--config-file=" + written(t, "review:\n  checkpointBurst: 20\n")}, some},
	} {
		f, err := parsed(tc.args...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(tc.want, f.thresholds); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// A bad config file ends the manager: it does not run with thresholds that nobody set.
func TestBadConfigFile(t *testing.T) {
	bad := written(t, "review:\n  checkpointBurst: 0\n  bursts: 1\n")
	missing := filepath.Join(t.TempDir(), "config.yaml")
	for path, want := range map[string]string{
		bad: "--config-file " + bad + ": review.checkpointBurst: 0 is not a whole number within 1 to 1000\n" +
			"review.bursts: there is no such key",
		missing: "--config-file: open " + missing + ": no such file or directory",
	} {
		if _, err := parsed("--config-file=" + path); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// What is installed has the defaults spelled out, at the path that the manager reads.
func TestTheShippedConfig(t *testing.T) {
	var configMap corev1.ConfigMap
	manifest(t, "config.yaml", &configMap)
	config := configMap.Data["config.yaml"]
	got, err := review.ParseConfig([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(review.DefaultThresholds(), got); diff != "" {
		t.Error(diff)
	}
	spelledOut, everything := keys(t, []byte(config)), keys(t, marshalled(t, map[string]any{"review": got}))
	if diff := cmp.Diff(everything, spelledOut); diff != "" {
		t.Errorf("not every threshold is spelled out: %s", diff)
	}

	var deployment appsv1.Deployment
	manifest(t, "deployment.yaml", &deployment)
	pod := deployment.Spec.Template.Spec
	volume, mount := pod.Volumes[0], pod.Containers[0].VolumeMounts[0]
	if volume.ConfigMap == nil || volume.ConfigMap.Name != configMap.Name || deployment.Namespace != configMap.Namespace {
		t.Errorf("volume %+v is not ConfigMap %s/%s", volume, configMap.Namespace, configMap.Name)
	}
	if mount.Name != volume.Name || !mount.ReadOnly {
		t.Errorf("mount %+v", mount)
	}
	option := "--config-file=" + mount.MountPath + "/config.yaml"
	if args := strings.Join(pod.Containers[0].Args, " "); !strings.Contains(args, option) {
		t.Errorf("%s has no %s", args, option)
	}
	var kustomization struct {
		Resources []string `json:"resources"`
	}
	text, err := os.ReadFile("../../config/manager/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &kustomization); err != nil || !strings.Contains(strings.Join(kustomization.Resources, " "), "config.yaml") {
		t.Errorf("config.yaml is not installed: %v %v", kustomization.Resources, err)
	}
}

func manifest(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile("../../config/manager/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		t.Fatal(err)
	}
}

func marshalled(t *testing.T, value any) []byte {
	t.Helper()
	text, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// keys gives the thresholds that a config spells out.
func keys(t *testing.T, config []byte) map[string]bool {
	t.Helper()
	var spelledOut struct {
		Review map[string]float64 `json:"review"`
	}
	if err := yaml.UnmarshalStrict(config, &spelledOut); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for name := range spelledOut.Review {
		names[name] = true
	}
	return names
}
