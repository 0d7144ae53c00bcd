package chart

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// Every Pod that the chart may start passes the restricted profile, that of the uninstall too.
func TestPodSecurity(t *testing.T) {
	for _, values := range []string{"", "gateway: {autoscaling: {enabled: true}}", "manager: {extraEnv: [{name: A, value: b}]}"} {
		found := 0
		for key, object := range mustRender(t, here, values).all() {
			template, has, err := unstructured.NestedMap(object.Object, "spec", "template")
			if err != nil || !has {
				continue
			}
			found++
			if problems := restricted(t, template); problems != "" {
				t.Errorf("%s: %s", key, problems)
			}
		}
		if found != 4 {
			t.Errorf("with %q there are %d Pods to look at, want 4: manager, audit log, gateway, uninstall", values, found)
		}
	}
	// What would break the profile is found.
	broken, _, _ := unstructured.NestedMap(mustRender(t, here, "manager: {extraVolumes: [{name: host, hostPath: {path: /}}]}").objects[managerKey].Object, "spec", "template")
	if restricted(t, broken) == "" {
		t.Error("a volume of the node passes")
	}
}

// restricted says what a Pod template has against the restricted profile.
func restricted(t *testing.T, template map[string]any) string {
	t.Helper()
	var pod corev1.PodTemplateSpec
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(template, &pod); err != nil {
		t.Fatal(err)
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	result := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec))
	if result.Allowed {
		return ""
	}
	return result.ForbiddenDetail()
}
