package chart

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/action"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/internal/review"
)

const (
	managerKey  = "Deployment/" + namespace + "/agent-passport-manager"
	gatewayKey  = "StatefulSet/" + namespace + "/agent-passport-gateway"
	auditLogKey = "StatefulSet/" + namespace + "/agent-passport-auditlog"
)

// pods gives the Pod template of each component.
func pods(t *testing.T, r *rendered) map[string]corev1.PodTemplateSpec {
	t.Helper()
	return map[string]corev1.PodTemplateSpec{
		"manager":  read[appsv1.Deployment](t, r, managerKey).Spec.Template,
		"gateway":  read[appsv1.StatefulSet](t, r, gatewayKey).Spec.Template,
		"auditLog": read[appsv1.StatefulSet](t, r, auditLogKey).Spec.Template,
	}
}

func TestImage(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	for values, want := range map[string]string{
		"":                 "agent-passport-operator:v0.1.0",
		"image: {tag: v9}": "agent-passport-operator:v9",
		"image: {registry: registry.example.com/platform, repository: passports}": "registry.example.com/platform/passports:v0.1.0",
		"image: {registry: 'localhost:5000', tag: v9, digest: '" + digest + "'}":  "localhost:5000/agent-passport-operator@" + digest,
	} {
		r := mustRender(t, here, values)
		for name, pod := range pods(t, r) {
			if got := pod.Spec.Containers[0].Image; got != want {
				t.Errorf("%s: the image of the %s is %s, want %s", values, name, got, want)
			}
		}
	}
}

// What a person says of the Pods of a component is in its Pods, and in no other's.
func TestPods(t *testing.T) {
	const of = `
  podLabels: {team: platform}
  podAnnotations: {note: kept}
  priorityClassName: important
  nodeSelector: {disk: ssd}
  tolerations: [{key: dedicated, operator: Exists}]
  affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}}
  resources: {requests: {cpu: 2}, limits: {memory: 3Gi}}
  extraArgs: [--zap-log-level=debug]
  extraEnv: [{name: HTTPS_PROXY, value: "http://proxy:3128"}]
  extraVolumes: [{name: more, emptyDir: {}}]
  extraVolumeMounts: [{name: more, mountPath: /more}]
`
	for _, component := range []string{"manager", "gateway", "auditLog"} {
		t.Run(component, func(t *testing.T) {
			r := mustRender(t, here, component+":"+of)
			for name, pod := range pods(t, r) {
				container := pod.Spec.Containers[0]
				told := []bool{
					pod.Labels["team"] == "platform", pod.Annotations["note"] == "kept", pod.Spec.PriorityClassName == "important",
					pod.Spec.NodeSelector["disk"] == "ssd", len(pod.Spec.Tolerations) == 1, pod.Spec.Affinity != nil,
					container.Resources.Limits.Memory().String() == "3Gi", slices.Contains(container.Args, "--zap-log-level=debug"),
					slices.ContainsFunc(container.Env, func(env corev1.EnvVar) bool { return env.Name == "HTTPS_PROXY" }),
					slices.ContainsFunc(pod.Spec.Volumes, func(volume corev1.Volume) bool { return volume.Name == "more" }),
					slices.ContainsFunc(container.VolumeMounts, func(mount corev1.VolumeMount) bool { return mount.MountPath == "/more" }),
				}
				if slices.Contains(told, name != component) {
					t.Errorf("the values of the %s at the %s: %v", component, name, told)
				}
			}
		})
	}
}

func TestFlags(t *testing.T) {
	r := mustRender(t, here, `
issuer: https://passports.example.com
trustDomain: example.com
gatewayAudience: https://gateway.example.com
keyRotationInterval: 168h
gateway: {url: https://gateway.example.com, servingNames: [gateway.example.com, 192.0.2.1]}
`)
	for component, flags := range map[string][]string{
		"manager": {
			"--issuer=https://passports.example.com", "--trust-domain=example.com", "--gateway-audience=https://gateway.example.com",
			"--key-rotation-interval=168h", "--gateway-url=https://gateway.example.com",
			"--gateway-serving-names=gateway.example.com,192.0.2.1",
		},
		"gateway": {"--issuer=https://passports.example.com", "--audience=https://gateway.example.com"},
	} {
		args := pods(t, r)[component].Spec.Containers[0].Args
		for _, flag := range flags {
			if !slices.Contains(args, flag) {
				t.Errorf("the %s has no %s: %q", component, flag, args)
			}
		}
	}
}

// The namespace is the release's, in policies, bindings and addresses alike; nothing names another.
func TestAnotherNamespace(t *testing.T) {
	for _, elsewhere := range []string{"passports", "4711"} {
		r := mustRender(t, target{namespace: elsewhere, kubernetes: newest}, "consent: {allNamespaces: true}\nserviceMonitor: {enabled: true}")
		for key, object := range r.all() {
			text, err := json.Marshal(object.Object)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), namespace) {
				t.Errorf("%s names %s", key, namespace)
			}
			if got := object.GetNamespace(); got != "" && got != elsewhere {
				t.Errorf("%s is in %s", key, got)
			}
		}
		binding := r.objects["ClusterRoleBinding//agent-passport-manager"]
		if text, _ := json.Marshal(binding.Object); !strings.Contains(string(text), `"namespace":"`+elsewhere+`"`) {
			t.Errorf("the manager is bound elsewhere: %s", text)
		}
	}
}

func TestSwitches(t *testing.T) {
	everything := mustRender(t, here, "")
	for _, is := range []struct {
		values        string
		gone, present []string
	}{
		{
			values: "gateway: {enabled: false}",
			gone: []string{
				gatewayKey, "Service/" + namespace + "/agent-passport-gateway", "ClusterRole//agent-passport-gateway",
				"ServiceAccount/" + namespace + "/agent-passport-gateway", "NetworkPolicy/" + namespace + "/agent-passport-gateway",
				"PodDisruptionBudget/" + namespace + "/agent-passport-gateway",
			},
			present: []string{managerKey},
		},
		{
			values:  "networkPolicy: {enabled: false}",
			gone:    []string{"NetworkPolicy/" + namespace + "/agent-passport-manager", "NetworkPolicy/" + namespace + "/agent-passport-auditlog"},
			present: []string{managerKey, gatewayKey, auditLogKey},
		},
		{
			values:  "crds: {install: false}",
			gone:    []string{"CustomResourceDefinition//passports.agentpassport.dev"},
			present: []string{managerKey},
		},
		{
			values: "{manager: {podDisruptionBudget: {enabled: false}}, gateway: {podDisruptionBudget: {enabled: false}}}",
			gone:   []string{"PodDisruptionBudget/" + namespace + "/agent-passport-manager", "PodDisruptionBudget/" + namespace + "/agent-passport-gateway"},
		},
	} {
		t.Run(is.values, func(t *testing.T) {
			r := mustRender(t, here, is.values)
			for _, key := range is.gone {
				if everything.objects[key] == nil {
					t.Errorf("%s is not there by default: the test looks for nothing", key)
				}
				if r.objects[key] != nil {
					t.Errorf("%s is still there", key)
				}
			}
			for _, key := range is.present {
				if r.objects[key] == nil {
					t.Errorf("%s is gone", key)
				}
			}
		})
	}
}

// Without gateways no token Secret names one.
func TestNoGateway(t *testing.T) {
	manager := read[appsv1.Deployment](t, mustRender(t, here, "gateway: {enabled: false}"), managerKey)
	for _, arg := range manager.Spec.Template.Spec.Containers[0].Args {
		if strings.HasPrefix(arg, "--gateway-url") {
			t.Errorf("the manager has %s", arg)
		}
	}
}

func TestAutoscaling(t *testing.T) {
	const key = "HorizontalPodAutoscaler/" + namespace + "/agent-passport-gateway"
	fixed := mustRender(t, here, "gateway: {replicas: 5}")
	if fixed.objects[key] != nil || *read[appsv1.StatefulSet](t, fixed, gatewayKey).Spec.Replicas != 5 {
		t.Error("without autoscaling there are not 5 gateways")
	}
	scaled := mustRender(t, here, "gateway: {autoscaling: {enabled: true, minReplicas: 3, maxReplicas: 7, targetCPUUtilizationPercentage: 60}}")
	if replicas := read[appsv1.StatefulSet](t, scaled, gatewayKey).Spec.Replicas; replicas != nil {
		t.Errorf("an upgrade would put %d replicas back", *replicas)
	}
	autoscaler := read[autoscalingv2.HorizontalPodAutoscaler](t, scaled, key).Spec
	if autoscaler.ScaleTargetRef.Kind != "StatefulSet" || autoscaler.ScaleTargetRef.Name != "agent-passport-gateway" ||
		*autoscaler.MinReplicas != 3 || autoscaler.MaxReplicas != 7 || *autoscaler.Metrics[0].Resource.Target.AverageUtilization != 60 {
		t.Errorf("the autoscaler is %+v", autoscaler)
	}
}

// By default nobody has consented; with the value, all have.
func TestConsent(t *testing.T) {
	const key = "ClusterRoleBinding//agent-passport-secrets"
	for key, object := range mustRender(t, here, "").objects {
		if ref, _, _ := unstructured.NestedString(object.Object, "roleRef", "name"); ref == "agent-passport-secrets" {
			t.Errorf("%s consents for somebody", key)
		}
	}
	binding := read[rbacv1.ClusterRoleBinding](t, mustRender(t, here, "consent: {allNamespaces: true}"), key)
	if binding.RoleRef.Name != "agent-passport-secrets" || len(binding.Subjects) != 1 || binding.Subjects[0].Name != "agent-passport-manager" {
		t.Errorf("the binding is %+v", binding)
	}
}

// With named namespaces nothing that is bound for all of the cluster reaches into one, and flags, the policy of finalizers
// and the uninstall know them. The operator's own namespace may be one of them.
func TestWatchNamespaces(t *testing.T) {
	works := []string{"bots", namespace}
	r := mustRender(t, here, "{watchNamespaces: [bots, "+namespace+"], consent: {allNamespaces: true}}")
	for component, want := range map[string]bool{"manager": true, "gateway": true, "auditLog": false} {
		if got := slices.Contains(pods(t, r)[component].Spec.Containers[0].Args, "--watch-namespaces=bots,"+namespace); got != want {
			t.Errorf("the %s is told: %v", component, got)
		}
	}
	bound := map[string][]string{}
	for _, object := range r.all() {
		role, _, _ := unstructured.NestedString(object.Object, "roleRef", "name")
		kind, _, _ := unstructured.NestedString(object.Object, "roleRef", "kind")
		if kind == "ClusterRole" {
			bound[role] = append(bound[role], object.GetNamespace())
		}
	}
	for role, where := range bound {
		slices.Sort(where)
		want := slices.Sorted(slices.Values(works))
		if role == "agent-passport-metrics-auth" {
			want = []string{"", "", ""} // manager, audit log, gateway
		}
		if role == "agent-passport-audit-writer" || role == "agent-passport-vendor-keys" {
			want = []string{""} // of the cluster
		}
		if !slices.Equal(where, want) {
			t.Errorf("%s is bound in %q, want %q", role, where, want)
		}
	}
	if len(bound) != 8 {
		t.Errorf("%d ClusterRoles are bound: %v", len(bound), bound)
	}
	selected, _, _ := unstructured.NestedSlice(r.objects["MutatingAdmissionPolicyBinding//agent-passport-finalizer"].Object,
		"spec", "matchResources", "namespaceSelector", "matchExpressions")
	if len(selected) != 1 || !slices.Equal(selected[0].(map[string]any)["values"].([]any), []any{"bots", namespace}) {
		t.Errorf("finalizers are put on in %v", selected)
	}
	job, err := json.Marshal(r.hooks["Job/"+namespace+"/agent-passport-uninstall"].Object)
	if err != nil || !strings.Contains(string(job), `"--watch-namespaces=bots,`+namespace+`"`) {
		t.Errorf("the uninstall: %s, %v", job, err)
	}
}

// What is given of the config file is laid over the rest of it, and a change of it starts new Pods.
func TestConfig(t *testing.T) {
	sums := map[string]bool{}
	for values, want := range map[string]review.Thresholds{
		"": review.DefaultThresholds(),
		"config: {review: {anomalyMinMissions: 12, scopeDriftCall: 0.5, anomalySigmaFloorActions: 1000000}}": func() review.Thresholds {
			thresholds := review.DefaultThresholds()
			thresholds.AnomalyMinMissions, thresholds.ScopeDriftCall, thresholds.AnomalySigmaFloorActions = 12, 0.5, 1_000_000
			return thresholds
		}(),
	} {
		r := mustRender(t, here, values)
		config := read[corev1.ConfigMap](t, r, "ConfigMap/"+namespace+"/agent-passport-config")
		got, err := review.ParseConfig([]byte(config.Data["config.yaml"]))
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", values, got, err)
		}
		for _, component := range []string{"manager", "gateway"} {
			sums[component+pods(t, r)[component].Annotations["checksum/config"]] = true
		}
	}
	if len(sums) != 4 {
		t.Errorf("the Pods stay when the config file changes: %v", sums)
	}
}

// CRDs outlive the release unless somebody says otherwise.
func TestKeepsCRDs(t *testing.T) {
	bases, err := filepath.Glob(root + "/config/crd/bases/*.yaml")
	if err != nil || len(bases) == 0 {
		t.Fatalf("%d CRDs in config/, %v", len(bases), err)
	}
	for values, want := range map[string]string{"": "keep", "crds: {keep: false}": ""} {
		found := 0
		for _, object := range mustRender(t, here, values).objects {
			if object.GetKind() != "CustomResourceDefinition" {
				continue
			}
			found++
			if got := object.GetAnnotations()["helm.sh/resource-policy"]; got != want {
				t.Errorf("%q: the policy of %s is %q, want %q", values, object.GetName(), got, want)
			}
		}
		if found != len(bases) {
			t.Errorf("%q: %d CRDs, want %d", values, found, len(bases))
		}
	}
}

// Stamps come with Kubernetes 1.36; vendors add to a version.
func TestStamps(t *testing.T) {
	for kubernetes, want := range map[string]bool{
		"v1.30.0": false, "v1.35.9": false, "v1.36.0": true, "v1.36.1-gke.1000": true, "v1.36.0-alpha.1": true, "v1.40.2+k3s1": true,
	} {
		r := mustRender(t, target{namespace: namespace, kubernetes: kubernetes}, "")
		if got := r.objects["MutatingAdmissionPolicy//agent-passport-author"] != nil; got != want {
			t.Errorf("stamps on %s: %v", kubernetes, got)
		}
		if r.objects["ValidatingAdmissionPolicy//agent-passport-author"] == nil {
			t.Errorf("nothing is validated on %s", kubernetes)
		}
	}
	if _, err := render(target{namespace: namespace, kubernetes: "v1.29.9"}, ""); err == nil || !strings.Contains(err.Error(), ">=1.30.0-0") {
		t.Errorf("on 1.29: %v", err)
	}
}

func TestNotes(t *testing.T) {
	consent := "kubectl create rolebinding agent-passport-secrets --namespace agents \\\n" +
		"       --clusterrole agent-passport-secrets --serviceaccount " + namespace + ":agent-passport-manager"
	for _, is := range []struct{ kubernetes, values, says, saysNot string }{
		{newest, "", consent, "Before 1.36"},
		{older, "", "Before 1.36", ""},
		{newest, "consent: {allNamespaces: true}", "may read every Secret", "create rolebinding"},
		{newest, "watchNamespaces: [bots]", "namespaces alone, and has no rights in others: bots", "namespace agents"},
		{newest, "uninstall: {endMissions: false}", "leaves missions behind", "ends every mission first"},
		{newest, "", "It leaves the CRDs", "connection goes with the CRDs"},
		{newest, "crds: {keep: false}", "connection goes with the CRDs", "It leaves the CRDs"},
	} {
		notes := mustRender(t, target{namespace: namespace, kubernetes: is.kubernetes}, is.values).notes
		if !strings.Contains(notes, is.says) || (is.saysNot != "" && strings.Contains(notes, is.saysNot)) {
			t.Errorf("with %q on %s the notes say:\n%s", is.values, is.kubernetes, notes)
		}
	}
}

// Wrong values are refused with the place and what is wrong.
func TestRefuses(t *testing.T) {
	for values, says := range map[string][]string{
		"replicas: 3":                                    {"replicas", "additional properties"},
		"manager: {replica: 3}":                          {"/manager", "replica"},
		"manager: {replicas: 0}":                         {"/manager/replicas", "minimum"},
		"manager: {replicas: '2'}":                       {"/manager/replicas", "want integer"},
		"manager: {extraArgs: --zap-log-level=debug}":    {"/manager/extraArgs", "want array"},
		"manager: {extraArgs: [debug]}":                  {"/manager/extraArgs/0", "pattern"},
		"manager: {resources: {limits: {memory: null}}}": {"/manager/resources/limits", "memory"},
		"image: {digest: v1}":                            {"/image/digest", "pattern"},
		"image: {tag: 'a b'}":                            {"/image/tag", "pattern"},
		"issuer: passports.example.com":                  {"/issuer", "pattern"},
		"gateway: {url: 'https://a.example/?b'}":         {"/gateway/url", "pattern"},
		"gateway: {service: {type: ExternalName}}":       {"/gateway/service/type", "ClusterIP"},
		"gateway: {persistence: {size: large}}":          {"/gateway/persistence/size", "pattern"},
		"gateway: {autoscaling: {enabled: true, minReplicas: 4, maxReplicas: 3}}": {"maxReplicas is 3", "minReplicas, which is 4"},
		"keyRotationInterval: 30d":                    {"/keyRotationInterval", "pattern"},
		"uninstall: {patience: ''}":                   {"/uninstall/patience"},
		"config: {review: {anomalyMinMission: 3}}":    {"/config/review", "anomalyMinMission"},
		"config: {review: {anomalyMinMissions: 101}}": {"/config/review/anomalyMinMissions", "maximum"},
		"config: {thresholds: {}}":                    {"/config", "thresholds"},
		"serviceMonitor: {enabled: 'yes'}":            {"/serviceMonitor/enabled", "want boolean"},
		"commonLabels: {team: 7}":                     {"/commonLabels/team", "want string"},
		"watchNamespaces: agents":                     {"/watchNamespaces", "want array"},
		"watchNamespaces: [a, a]":                     {"/watchNamespaces", "equal"},
		"watchNamespaces: ['*']":                      {"/watchNamespaces/0", "pattern"},
		"imagePullSecrets: [registry]":                {"/imagePullSecrets/0", "want object"},
	} {
		_, err := render(here, values)
		if err == nil {
			t.Errorf("%s is taken", values)
			continue
		}
		for _, part := range says {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: want %q in: %v", values, part, err)
			}
		}
	}
	if _, err := render(here, "global: {registry: example.com}"); err != nil {
		t.Errorf("a chart within a chart: %v", err)
	}
}

// Every value is in the schema, and nothing else is; the limits of thresholds are those that the manager takes.
func TestSchema(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal([]byte(text(t, "charts/agent-passport-operator/values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.UnmarshalStrict([]byte(text(t, "charts/agent-passport-operator/values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	values["global"] = map[string]any{} // Helm's own
	covers(t, "values", resolve(schema, schema), values, schema)

	thresholds := at(t, schema, "properties", "config", "properties", "review", "properties")
	var config struct {
		Review map[string]float64 `json:"review"`
	}
	if err := yaml.Unmarshal([]byte(text(t, "charts/agent-passport-operator/files/config.yaml")), &config); err != nil {
		t.Fatal(err)
	}
	if len(thresholds) != len(config.Review) {
		t.Errorf("the schema has %d thresholds, the config file %d", len(thresholds), len(config.Review))
	}
	for name := range config.Review {
		limits := at(t, thresholds, name)
		for _, end := range []struct {
			limit  string
			beyond float64
		}{{"minimum", -1}, {"maximum", 1}} {
			limit, _ := limits[end.limit].(float64)
			if problem := threshold(name, limit); problem != "" {
				t.Errorf("the manager does not take the %s of the schema: %s", end.limit, problem)
			}
			if threshold(name, limit+end.beyond) == "" {
				t.Errorf("the manager takes review.%s beyond the %s of the schema, %v", name, end.limit, limit)
			}
		}
	}
}

// threshold says what the manager has against a value of one threshold, by itself.
func threshold(name string, value float64) string {
	_, err := review.ParseConfig(fmt.Appendf(nil, "review: {%s: %v}", name, int64(value)))
	if value != float64(int64(value)) {
		_, err = review.ParseConfig(fmt.Appendf(nil, "review: {%s: %v}", name, value))
	}
	if err == nil || !strings.Contains(err.Error(), "within") {
		return ""
	}
	return err.Error()
}

// covers fails where a map of values and what the schema has for it differ.
func covers(t *testing.T, path string, schema, values, whole map[string]any) {
	t.Helper()
	properties, closed := schema["properties"].(map[string]any)
	if !closed {
		return
	}
	if schema["additionalProperties"] != false {
		t.Errorf("%s: the schema lets anything through", path)
	}
	for name, property := range properties {
		value, given := values[name]
		if !given && path != "values.config" && !strings.HasSuffix(path, "resources") {
			t.Errorf("%s.%s is in the schema, and not in values.yaml", path, name)
		}
		nested, isMap := value.(map[string]any)
		of, _ := property.(map[string]any)
		if isMap {
			covers(t, path+"."+name, resolve(of, whole), nested, whole)
		}
	}
	for name := range values {
		if properties[name] == nil {
			t.Errorf("%s.%s is in values.yaml, and not in the schema", path, name)
		}
	}
}

// resolve follows a reference within a schema.
func resolve(schema, whole map[string]any) map[string]any {
	ref, _ := schema["$ref"].(string)
	definitions, _ := whole["definitions"].(map[string]any)
	if definition, ok := definitions[strings.TrimPrefix(ref, "#/definitions/")].(map[string]any); ok {
		return definition
	}
	return schema
}

func at(t *testing.T, value map[string]any, path ...string) map[string]any {
	t.Helper()
	for _, name := range path {
		next, ok := value[name].(map[string]any)
		if !ok {
			t.Fatalf("no %s in the schema", name)
		}
		value = next
	}
	return value
}

// text is what a file of the project says.
func text(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(root + "/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// Helm's own linter has nothing against the chart but that it has no icon.
func TestLint(t *testing.T) {
	lint := action.NewLint()
	lint.Namespace = namespace
	result := lint.Run([]string{chartPath}, map[string]any{})
	for _, err := range result.Errors {
		t.Error(err)
	}
	for _, message := range result.Messages {
		if !strings.Contains(message.Error(), "icon is recommended") {
			t.Error(message)
		}
	}
}
