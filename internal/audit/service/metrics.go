package service

import (
	"github.com/prometheus/client_golang/prometheus"
)

const (
	metricsNamespace = "agentpassport"
	metricsSubsystem = "auditlog"
)

// Metrics are what the service counts.
type Metrics struct {
	appended prometheus.Counter
	duration prometheus.Histogram
	refused  *prometheus.CounterVec
}

// NewMetrics registers the metrics of a service. size is how many records the log has, lag how many of
// them the index has not.
func NewMetrics(registry prometheus.Registerer, size, lag func() float64) *Metrics {
	m := &Metrics{
		appended: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "appended_records_total",
			Help: "Records that were answered for, those that were there before among them.",
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "append_duration_seconds",
			Help:    "Time that an append took until it was durable, in seconds.",
			Buckets: []float64{.005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10},
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "refused_requests_total",
			Help: "Requests that were answered with an error, by its code.",
		}, []string{"code"}),
	}
	registry.MustRegister(m.appended, m.duration, m.refused,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "size_records",
			Help: "Records under the published checkpoint.",
		}, size),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "index_lag_records",
			Help: "Records of the log that its index does not have yet.",
		}, lag))
	return m
}
