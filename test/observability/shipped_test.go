// Package observability checks what watches the operator: its alerts fire when they should and not else, and every
// metric and label that an alert, a dashboard or a page names is one that the operator has.
package observability

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const root = "../.."

// rule is one alert.
type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// rules are the groups of the PrometheusRule, as a rule file of Prometheus has them.
type rules struct {
	Groups []struct {
		Name  string `json:"name"`
		Rules []rule `json:"rules"`
	} `json:"groups"`
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// shippedRules are those of config/prometheus.
func shippedRules(t *testing.T) rules {
	t.Helper()
	var shipped struct {
		APIVersion string         `json:"apiVersion"`
		Kind       string         `json:"kind"`
		Metadata   map[string]any `json:"metadata"`
		Spec       rules          `json:"spec"`
	}
	if err := yaml.UnmarshalStrict(read(t, "config/prometheus/rules.yaml"), &shipped); err != nil {
		t.Fatal(err)
	}
	if shipped.Kind != "PrometheusRule" || len(shipped.Spec.Groups) == 0 {
		t.Fatalf("a %s with %d groups", shipped.Kind, len(shipped.Spec.Groups))
	}
	return shipped.Spec
}

func alerts(t *testing.T) []rule {
	t.Helper()
	var all []rule
	for _, group := range shippedRules(t).Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// dashboard is one page of Grafana.
type dashboard struct {
	UID    string  `json:"uid"`
	Title  string  `json:"title"`
	Panels []panel `json:"panels"`
}

type panel struct {
	ID          int    `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description"`
	GridPos     struct {
		X, Y, W, H int
	} `json:"gridPos"`
	Targets []struct {
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
		RefID        string `json:"refId"`
	} `json:"targets"`
}

// dashboards are those of config/grafana, by file.
func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "config", "grafana", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	all := map[string]dashboard{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var one dashboard
		if err := json.Unmarshal(text, &one); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[filepath.Base(file)] = one
	}
	return all
}

// query is what a panel asks, with Grafana's own variables filled in.
func query(expr string) string { return strings.ReplaceAll(expr, "$__rate_interval", "5m") }
