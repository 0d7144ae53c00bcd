package controller

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"agentpassport.dev/operator/api/v1alpha1"
)

const metricsNamespace = "agentpassport"

var (
	passportsIssued  = counter("passports_issued_total", "Passports issued, by mode.", "mode")
	passportsEnded   = counter("passports_ended_total", "Passports that ended, by phase (CheckedOut, Expired, Revoked) and reason.", "phase", "reason")
	passportsRefused = counter("passports_rejected_total",
		"Passports that were never issued, by reason.", "reason")
	checkpointsAccepted = counter("passports_extended_total",
		"Status writes that folded checkpoints into a passport, by mode.", "mode")
	checkpointsRejected = counter("checkpoints_rejected_total", "Checkpoints that do not count, by reason.", "reason")
	checkoutsJudged     = counter("checkouts_judged_total", "Checkouts that got their verdict, by verdict.", "verdict")
	checkoutsRefused    = counter("checkouts_refused_total", "Checkouts that do not count, by reason.", "reason")
	flagsRaised         = counter("flags_total", "Flags on judged Checkouts, by type and severity.", "type", "severity")
	reviewsDecided      = counter("reviews_total", "Reviews carried out, by decision.", "decision")
	signalsRaised       = counter("signals_total", "Signals raised by detectors, by type.", "type")
	waits               = counter("passport_waits_total",
		"Times that a passport began to wait for something, by reason; time or a person mends it.", "reason")
	deliveryProblems = counter("token_delivery_problems_total",
		"Times that a live token could not be written to its Secret, by reason.", "reason")
	auditRefusals = counter("audit_refused_records_total",
		"Records that the audit log refuses as they are, by action; an issue's whenever it is tried, the others once: they are missing for good.",
		"action")
	keyChanges = counter("signing_key_changes_total", "Changes of the signing keys, by event.", "event")

	staleSkips = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: metricsNamespace, Name: "stale_cache_skips_total",
		Help: "Reconciles skipped because the cache had not seen the controller's own last write.",
	})
	auditFailures = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: metricsNamespace, Name: "audit_append_failures_total",
		Help: "Requests to the audit log that it did not answer well. While they fail no passport is issued.",
	})
	issueDuration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: metricsNamespace, Name: "passport_issue_duration_seconds",
		Help:    "Time from a Passport's creation until its token was there, in seconds; creation is cut to a whole second.",
		Buckets: []float64{.1, .25, .5, 1, 1.5, 2, 3, 5, 10, 30, 60, 300, 600},
	})
)

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: metricsNamespace, Name: name, Help: help}, labels)
}

func init() {
	metrics.Registry.MustRegister(passportsIssued, passportsEnded, passportsRefused, checkpointsAccepted,
		checkpointsRejected, checkoutsJudged, checkoutsRefused, flagsRaised, reviewsDecided, signalsRaised, waits, deliveryProblems, keyChanges, staleSkips, auditFailures, auditRefusals, issueDuration)
	// A surge of silence begins at 0, not where the counter first appears: no increase is lost to its alert.
	passportsEnded.WithLabelValues(string(v1alpha1.PhaseExpired), string(v1alpha1.ReasonCheckpointSilence))
}
