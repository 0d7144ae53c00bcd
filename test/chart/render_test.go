// Package chart tests the Helm chart: what it renders, that this is what config/ installs, and that it installs, upgrades
// and uninstalls on a real API server.
package chart

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/loader"
	release "helm.sh/helm/v4/pkg/release/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/test/apiserver"
)

const (
	root      = "../.."
	chartPath = root + "/charts/agent-passport-operator"
	// namespace is where config/ puts the operator.
	namespace = "agent-passport-system"
	// newest is the newest Kubernetes that config/ is for, older one without MutatingAdmissionPolicy v1.
	newest, older = "v1.36.3", "v1.35.0"
)

// target is where, and for what, the chart is rendered.
type target struct {
	namespace, kubernetes string
}

// here is the target of most tests.
var here = target{namespace: namespace, kubernetes: newest}

// rendered is what a chart comes to.
type rendered struct {
	// objects of the release, and hooks, by kind, namespace and name.
	objects, hooks map[string]*unstructured.Unstructured
	notes          string
}

// render renders the chart with values, given as YAML.
func render(to target, values string) (*rendered, error) {
	chart, err := loader.Load(chartPath)
	if err != nil {
		return nil, err
	}
	var given map[string]any
	if err := yaml.UnmarshalStrict([]byte(values), &given); err != nil {
		return nil, err
	}
	kubernetes, err := common.ParseKubeVersion(to.kubernetes)
	if err != nil {
		return nil, err
	}
	install := action.NewInstall(action.NewConfiguration())
	install.DryRunStrategy = action.DryRunClient
	install.ReleaseName, install.Namespace, install.KubeVersion = "passports", to.namespace, kubernetes
	made, err := install.Run(chart, given)
	if err != nil {
		return nil, err
	}
	of, ok := made.(*release.Release)
	if !ok {
		return nil, fmt.Errorf("a release is a %T", made)
	}
	r := &rendered{objects: map[string]*unstructured.Unstructured{}, hooks: map[string]*unstructured.Unstructured{}, notes: of.Info.Notes}
	if err := collect(of.Manifest, r.objects); err != nil {
		return nil, err
	}
	for _, hook := range of.Hooks {
		if err := collect(hook.Manifest, r.hooks); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// collect reads a stream of manifests. Two objects of one name are an error.
func collect(stream string, into map[string]*unstructured.Unstructured) error {
	objects, err := apiserver.Decode([]byte(stream))
	if err != nil {
		return err
	}
	for _, object := range objects {
		key := keyOf(object)
		if into[key] != nil {
			return fmt.Errorf("%s is there twice", key)
		}
		into[key] = object
	}
	return nil
}

func keyOf(object *unstructured.Unstructured) string {
	return strings.Join([]string{object.GetKind(), object.GetNamespace(), object.GetName()}, "/")
}

// mustRender renders what has to render.
func mustRender(t *testing.T, to target, values string) *rendered {
	t.Helper()
	r, err := render(to, values)
	if err != nil {
		t.Fatalf("render with %q: %v", values, err)
	}
	return r
}

// all are the objects and the hooks.
func (r *rendered) all() map[string]*unstructured.Unstructured {
	all := maps.Clone(r.objects)
	maps.Copy(all, r.hooks)
	return all
}

// read reads an object of the release as what it is.
func read[T any](t *testing.T, r *rendered, key string) *T {
	t.Helper()
	object := r.objects[key]
	if object == nil {
		t.Fatalf("%s is not rendered", key)
	}
	typed := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, typed, true); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return typed
}
