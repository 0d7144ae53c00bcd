package server

import "github.com/prometheus/client_golang/prometheus"

// Metrics are what the channel counts. A nil one counts nothing.
type Metrics struct {
	requests *prometheus.CounterVec
}

// NewMetrics registers the metrics of the channel.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{requests: prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "agentpassport", Subsystem: "channel", Name: "requests_total",
		Help: "Requests of gateways, by what they ask (token, statuslist, signals, connections, other) and outcome: ok or the error's code.",
	}, []string{"request", "outcome"})}
	registry.MustRegister(m.requests)
	return m
}

func (m *Metrics) count(request, outcome string) {
	if m != nil {
		m.requests.WithLabelValues(request, outcome).Inc()
	}
}
