package judge

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"agentpassport.dev/operator/internal/gateway/decision"
)

// Metrics count what was judged. The zero value and nil count nothing.
type Metrics struct {
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// NewMetrics registers them.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "agent_passport_gateway_calls_total",
			Help: "Calls by the front that they came in by, and by what became of them: allowed, or why they were refused.",
		}, []string{"front", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "agent_passport_gateway_judge_duration_seconds",
			Help:    "How long a call takes to be judged and recorded, without the service's own time.",
			Buckets: []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1},
		}, []string{"front"}),
	}
	registry.MustRegister(m.calls, m.duration)
	return m
}

// judged counts one call. What it became after it was judged takes no time of ours.
func (m *Metrics) judged(front string, code decision.Code, took time.Duration) {
	if m == nil {
		return
	}
	m.calls.WithLabelValues(front, string(code)).Inc()
	if took > 0 {
		m.duration.WithLabelValues(front).Observe(took.Seconds())
	}
}
