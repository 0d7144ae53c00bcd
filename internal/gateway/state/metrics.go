package state

import "github.com/prometheus/client_golang/prometheus"

// Register shows whether what is known is fresh.
func (v *View) Register(registry prometheus.Registerer) {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "agent_passport_gateway_state_lost",
		Help: "1 while what the gateway knows may be old, and it lets nothing out; else 0.",
	}, func() float64 {
		if v.Lost() != "" {
			return 1
		}
		return 0
	}))
}
