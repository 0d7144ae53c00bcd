package observability

import (
	"context"
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"agentpassport.dev/operator/internal/audit/forward"
	"agentpassport.dev/operator/internal/audit/service"
	"agentpassport.dev/operator/internal/channel/server"
	"agentpassport.dev/operator/internal/controller"
	"agentpassport.dev/operator/internal/gateway/judge"
	"agentpassport.dev/operator/internal/gateway/signals"
	"agentpassport.dev/operator/internal/gateway/spool"
	"agentpassport.dev/operator/internal/gateway/state"
)

// exposed are the metrics of the three binaries, with their labels: whatever their registries describe, whether it was
// counted yet or not.
func exposed(t *testing.T) map[string][]string {
	t.Helper()
	registry := prometheus.NewRegistry()
	none := func() float64 { return 0 }

	// The manager; what it counts is in the registry of controller-runtime.
	if err := controller.RegisterGauges(registry, nil, &controller.Keyring{}, time.Hour); err != nil {
		t.Fatal(err)
	}
	server.NewMetrics(registry)

	// The gateway.
	judge.NewMetrics(registry)
	new(state.View).Register(registry)
	signals.NewPending("gateway", signals.Left{}).Register(registry)
	records, err := spool.Open(spool.Options{
		Dir: filepath.Join(t.TempDir(), "records"), Log: nowhere{}, Clock: clock.RealClock{}, Metrics: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := records.Close(); err != nil {
			t.Error(err)
		}
	})

	// The audit log.
	service.NewMetrics(registry, none, none)
	if _, err := forward.New(nil, forward.Options{
		URL: "https://events.example.com", Batch: 1, Origin: "log", File: filepath.Join(t.TempDir(), "forward.json"), Registry: registry,
	}); err != nil {
		t.Fatal(err)
	}

	known := map[string][]string{
		// Prometheus' own, and the kubelet's.
		"up":                                   nil,
		"kubelet_volume_stats_available_bytes": {"persistentvolumeclaim"},
		"kubelet_volume_stats_capacity_bytes":  {"persistentvolumeclaim"},
	}
	described(t, registry, known)
	described(t, metrics.Registry.(prometheus.Collector), known)
	return known
}

// nowhere takes no records.
type nowhere struct{}

// AppendRaw implements spool.AuditAppender.
func (nowhere) AppendRaw(ctx context.Context, _ []json.RawMessage) error {
	<-ctx.Done()
	return ctx.Err()
}

var description = regexp.MustCompile(`fqName: "([^"]+)",.* variableLabels: \{([^}]*)\}\}$`)

func described(t *testing.T, registry prometheus.Collector, into map[string][]string) {
	t.Helper()
	descriptions := make(chan *prometheus.Desc)
	go func() {
		registry.Describe(descriptions)
		close(descriptions)
	}()
	for one := range descriptions {
		found := description.FindStringSubmatch(one.String())
		if found == nil {
			t.Fatalf("cannot read %s", one)
		}
		var labels []string
		if found[2] != "" {
			labels = strings.Split(found[2], ",")
		}
		into[found[1]] = labels
	}
}

// onTargets are the labels that Prometheus puts on whatever it scrapes through a ServiceMonitor.
var onTargets = []string{"job", "instance", "namespace", "service", "endpoint", "pod", "container"}

// labelsOf gives the labels of a series, which is a metric, or a part of a histogram.
func labelsOf(known map[string][]string, series string) ([]string, bool) {
	if labels, is := known[series]; is {
		return append(labels[:len(labels):len(labels)], onTargets...), true
	}
	for _, part := range []string{"_bucket", "_sum", "_count"} {
		histogram, is := strings.CutSuffix(series, part)
		if labels, there := known[histogram]; is && there && strings.HasSuffix(histogram, "_seconds") {
			return append(append(labels[:len(labels):len(labels)], onTargets...), "le"), true
		}
	}
	return nil, false
}
