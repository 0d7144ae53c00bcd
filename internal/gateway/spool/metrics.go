package spool

import "github.com/prometheus/client_golang/prometheus"

// metrics are what a spool counts.
type metrics struct {
	appended, drained, refused, full, failures, damaged prometheus.Counter
	commit                                              prometheus.Histogram
}

func opts(name, help string) prometheus.CounterOpts {
	return prometheus.CounterOpts{Namespace: "agent_passport", Subsystem: "gateway_spool", Name: name, Help: help}
}

func newMetrics() *metrics {
	return &metrics{
		appended: prometheus.NewCounter(opts("appended_records_total", "Audit records that were put on disk.")),
		drained:  prometheus.NewCounter(opts("drained_records_total", "Audit records that the audit log has taken.")),
		refused: prometheus.NewCounter(opts("refused_records_total",
			"Audit records that the audit log will never take. They are in the file refused of the spool.")),
		full: prometheus.NewCounter(opts("full_total", "Audit records that had no room. The calls that they were of were refused.")),
		failures: prometheus.NewCounter(opts("send_failures_total",
			"Requests to the audit log that it did not answer well. Records wait meanwhile.")),
		damaged: prometheus.NewCounter(opts("damaged_bytes_total",
			"Bytes that were no audit records any more. They are in files of the spool that end in .damaged.")),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "agent_passport", Subsystem: "gateway_spool", Name: "commit_duration_seconds",
			Help:    "Time that one write with its fsync took, in seconds.",
			Buckets: []float64{.0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1, .5, 1},
		}),
	}
}

// register shows them, with what is pending whenever it is asked for, and with how much may be.
func (m *metrics) register(registry prometheus.Registerer, pending func() (records, bytes int64), limit int64) {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts(opts(name, help)), value)
	}
	registry.MustRegister(m.appended, m.drained, m.refused, m.full, m.failures, m.damaged, m.commit,
		gauge("pending_records", "Audit records that are on disk and not yet in the audit log.", func() float64 {
			records, _ := pending()
			return float64(records)
		}),
		gauge("pending_bytes", "Bytes of the audit records that are not yet in the audit log.", func() float64 {
			_, bytes := pending()
			return float64(bytes)
		}),
		gauge("limit_bytes", "Bytes that records may have on disk. At the limit every call is refused.", func() float64 { return float64(limit) }))
}
