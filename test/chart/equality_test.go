package chart

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// The chart installs what config/ installs. What differs, and why, is in sameAs and in onlyInConfig.
func TestEqualsConfig(t *testing.T) {
	for _, is := range []struct{ overlay, kubernetes string }{
		{"config/default", newest},
		{"config/before-1.36", older},
	} {
		t.Run(is.overlay, func(t *testing.T) {
			chart := mustRender(t, target{namespace: namespace, kubernetes: is.kubernetes}, "").objects
			for _, difference := range differences(built(t, is.overlay, "[]"), chart) {
				t.Error(difference)
			}
		})
	}
}

// What the optional parts of config/ add is what the chart adds.
func TestEqualsComponents(t *testing.T) {
	for component, values := range map[string]string{
		"prometheus": "{serviceMonitor: {enabled: true}, prometheusRule: {enabled: true}}",
		"grafana":    "{dashboards: {enabled: true}}",
	} {
		t.Run(component, func(t *testing.T) {
			chart := mustRender(t, here, values).objects
			for key := range mustRender(t, here, "").objects {
				delete(chart, key)
			}
			config := built(t, "config/default", "[../"+component+"]")
			for key := range built(t, "config/default", "[]") {
				delete(config, key)
			}
			if len(config) == 0 {
				t.Fatal("it adds nothing")
			}
			for _, difference := range differences(config, chart) {
				t.Error(difference)
			}
		})
	}
}

// A difference in one field, an object too few and one too many are found.
func TestDifferences(t *testing.T) {
	config := built(t, "config/default", "[]")
	for name, change := range map[string]func(map[string]*unstructured.Unstructured){
		"a field": func(of map[string]*unstructured.Unstructured) {
			_ = unstructured.SetNestedField(of[managerKey].Object, int64(3), "spec", "replicas")
		},
		"a right": func(of map[string]*unstructured.Unstructured) {
			delete(of["ClusterRole//agent-passport-viewer"].Object, "rules")
		},
		"too few":  func(of map[string]*unstructured.Unstructured) { delete(of, "ClusterRole//agent-passport-viewer") },
		"too many": func(of map[string]*unstructured.Unstructured) { of["Secret//surprise"] = &unstructured.Unstructured{} },
	} {
		t.Run(name, func(t *testing.T) {
			chart := mustRender(t, here, "").objects
			change(chart)
			if found := differences(config, chart); len(found) != 1 {
				t.Errorf("found %d differences: %s", len(found), strings.Join(found, "\n"))
			}
		})
	}
}

// onlyInConfig is what the chart leaves to Helm: the namespace is the release's, and `helm install --create-namespace`
// makes it. The notes say which labels config/ has on it.
var onlyInConfig = []string{"Namespace//" + namespace}

// differences says where config/ and the chart differ, object by object.
func differences(config, chart map[string]*unstructured.Unstructured) []string {
	var found []string
	for key, want := range config {
		got := chart[key]
		switch {
		case slices.Contains(onlyInConfig, key):
		case got == nil:
			found = append(found, key+" is in config/, and not in the chart")
		default:
			if diff := cmp.Diff(unfolded(want.Object), unfolded(sameAs(got))); diff != "" {
				found = append(found, key+" differs (- config/, + chart):\n"+diff)
			}
		}
	}
	for key := range chart {
		if config[key] == nil || slices.Contains(onlyInConfig, key) {
			found = append(found, key+" is in the chart, and not in config/")
		}
	}
	return found
}

// sameAs takes from an object of the chart what a chart adds to it:
//   - the labels that say which release of which chart it belongs to;
//   - the annotation that has Helm keep CRDs;
//   - the annotation of Pods that starts new ones when the config file changes, where config/ says `kubectl rollout
//     restart`;
//   - the tag of the image, which config/ leaves to `make deploy`.
func sameAs(chart *unstructured.Unstructured) map[string]any {
	object := chart.DeepCopy().Object
	for _, label := range []string{"app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"} {
		unstructured.RemoveNestedField(object, "metadata", "labels", label)
	}
	unstructured.RemoveNestedField(object, "metadata", "annotations", "helm.sh/resource-policy")
	unstructured.RemoveNestedField(object, "spec", "template", "metadata", "annotations", "checksum/config")
	if containers, found, _ := unstructured.NestedSlice(object, "spec", "template", "spec", "containers"); found {
		for _, container := range containers {
			if of, ok := container.(map[string]any); ok && of["image"] == "agent-passport-operator:v0.1.0" {
				of["image"] = "agent-passport-operator"
			}
		}
		_ = unstructured.SetNestedSlice(object, containers, "spec", "template", "spec", "containers")
	}
	return object
}

// unfolded takes blank lines out of the texts of an object: kustomize adds some where it writes a folded expression with
// lines that are indented further. To CEL they are nothing.
func unfolded(value any) any {
	switch of := value.(type) {
	case map[string]any:
		plain := map[string]any{}
		for key, part := range of {
			plain[key] = unfolded(part)
		}
		return plain
	case []any:
		plain := make([]any, len(of))
		for i := range of {
			plain[i] = unfolded(of[i])
		}
		return plain
	case string:
		return strings.ReplaceAll(of, "\n\n", "\n")
	default:
		return value
	}
}

// built is what kustomize makes of a directory, where config/ has these components.
func built(t *testing.T, dir, components string) map[string]*unstructured.Unstructured {
	t.Helper()
	files := filesys.MakeFsInMemory()
	err := filepath.WalkDir(root+"/config", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		content = bytes.ReplaceAll(content, []byte("\ncomponents: []\n"), []byte("\ncomponents: "+components+"\n"))
		return files.WriteFile(strings.TrimPrefix(path, root), content)
	})
	if err != nil {
		t.Fatal(err)
	}
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, "/"+dir)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := made.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]*unstructured.Unstructured{}
	if err := collect(string(stream), objects); err != nil {
		t.Fatal(err)
	}
	return objects
}
