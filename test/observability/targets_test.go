package observability

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// monitor is as much of a ServiceMonitor as says what is scraped.
type monitor struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Spec struct {
		Selector struct {
			MatchLabels map[string]string `json:"matchLabels"`
		} `json:"selector"`
		Endpoints []struct {
			Port            string `json:"port"`
			Scheme          string `json:"scheme"`
			Path            string `json:"path"`
			BearerTokenFile string `json:"bearerTokenFile"`
		} `json:"endpoints"`
	} `json:"spec"`
}

func monitors(t *testing.T) []monitor {
	t.Helper()
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(read(t, "config/prometheus/service_monitor.yaml")), 4096)
	var all []monitor
	for {
		var one monitor
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
}

// Each binary's metrics Service is selected by one ServiceMonitor, and has the port that it asks; its name is the job that
// alerts ask for.
func TestEveryBinaryIsScraped(t *testing.T) {
	jobs := map[string]string{
		"config/manager/metrics_service.yaml":  "agent-passport-metrics",
		"config/gateway/metrics_service.yaml":  "agent-passport-gateway-metrics",
		"config/auditlog/metrics_service.yaml": "agent-passport-auditlog-metrics",
	}
	for file, job := range jobs {
		var service corev1.Service
		if err := yaml.UnmarshalStrict(read(t, file), &service); err != nil {
			t.Fatal(file, err)
		}
		if service.Name != job {
			t.Errorf("%s: the Service is %s; alerts ask for the job %s", file, service.Name, job)
		}
		var by []string
		for _, one := range monitors(t) {
			if one.Metadata.Namespace != service.Namespace || !labels.SelectorFromSet(one.Spec.Selector.MatchLabels).Matches(labels.Set(service.Labels)) {
				continue
			}
			by = append(by, one.Metadata.Name)
			endpoint := one.Spec.Endpoints[0]
			if endpoint.Scheme != "https" || endpoint.Path != "/metrics" || endpoint.BearerTokenFile == "" {
				t.Errorf("%s asks %+v: metrics are served over HTTPS, to a token", one.Metadata.Name, endpoint)
			}
			if !slices.ContainsFunc(service.Spec.Ports, func(port corev1.ServicePort) bool { return port.Name == endpoint.Port }) {
				t.Errorf("%s asks port %s, which Service %s does not have", one.Metadata.Name, endpoint.Port, service.Name)
			}
		}
		if len(by) != 1 {
			t.Errorf("Service %s is scraped by %q, want one ServiceMonitor", service.Name, by)
		}
	}
}
