package signals

import "github.com/prometheus/client_golang/prometheus"

// Register shows how many reports wait, and how many were lost.
func (p *Pending) Register(registry prometheus.Registerer) {
	registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "agent_passport_gateway_signals_pending",
			Help: "Signals that the manager does not have yet.",
		}, func() float64 { return float64(p.Waiting()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "agent_passport_gateway_signals_dropped_total",
			Help: "Signals that were lost because too many waited.",
		}, func() float64 { return float64(p.Dropped()) }),
	)
}
