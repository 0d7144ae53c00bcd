package bench

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/client-go/kubernetes"
)

// requests counts what an API server answered, by verb and resource, such as "PUT passports/status".
type requests map[string]float64

// settled is for how long nothing is to be written before a count is final: Events come late.
const settled = 2 * time.Second

// requests counts what is asked of the API server while do runs, and in its wake.
func (w world) requests(ctx context.Context, b *testing.B, do func()) requests {
	b.Helper()
	before := w.answered(ctx, b)
	do()
	after := w.answered(ctx, b)
	for {
		select {
		case <-ctx.Done():
			b.Fatal(ctx.Err())
		case <-time.After(settled):
		}
		later := w.answered(ctx, b)
		if later["POST events"] == after["POST events"] {
			break
		}
		after = later
	}
	maps.DeleteFunc(after, func(what string, count float64) bool { return count == before[what] })
	for what := range after {
		after[what] -= before[what]
	}
	return after
}

func (w world) answered(ctx context.Context, b *testing.B) requests {
	b.Helper()
	clients, err := kubernetes.NewForConfig(w.server.Config(""))
	check(b, err)
	text, err := clients.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	check(b, err)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	check(b, err)
	counts := requests{}
	for _, metric := range families["apiserver_request_total"].GetMetric() {
		labels := map[string]string{}
		for _, label := range metric.GetLabel() {
			labels[label.GetName()] = label.GetValue()
		}
		what := labels["verb"] + " " + labels["resource"]
		if labels["subresource"] != "" {
			what += "/" + labels["subresource"]
		}
		counts[what] += metric.GetCounter().GetValue()
	}
	return counts
}

// each gives the requests for each of n passports.
func (r requests) each(n int) map[string]float64 {
	each := map[string]float64{}
	for what, count := range r {
		each[what] = count / float64(n)
	}
	return each
}

// table lists what was asked at least once in a hundred passports.
func (r requests) table(n int) string {
	var rows strings.Builder
	each := r.each(n)
	for _, what := range slices.Sorted(maps.Keys(each)) {
		if each[what] >= 0.01 {
			fmt.Fprintf(&rows, "  %-28s %.3f\n", what, each[what])
		}
	}
	return rows.String()
}
