package controller

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
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
	keyChanges = counter("signing_key_changes_total", "Changes of the signing keys, by event.", "event")

	staleSkips = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: metricsNamespace, Name: "stale_cache_skips_total",
		Help: "Reconciles skipped because the cache had not seen the controller's own last write.",
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
		checkpointsRejected, checkoutsJudged, checkoutsRefused, flagsRaised, reviewsDecided, signalsRaised, waits, deliveryProblems, keyChanges, staleSkips, issueDuration)
}

// livePassports counts the passports in phase Active whenever it is scraped, from the cache.
type livePassports struct {
	reader client.Reader
	desc   *prometheus.Desc
}

func newLivePassports(reader client.Reader) *livePassports {
	return &livePassports{reader: reader, desc: prometheus.NewDesc(
		prometheus.BuildFQName(metricsNamespace, "", "passports_live"), "Passports in phase Active, by mode.", []string{"mode"}, nil)}
}

// Describe implements prometheus.Collector.
func (l *livePassports) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- l.desc }

// Collect implements prometheus.Collector. It reports nothing while the cache cannot be read.
func (l *livePassports) Collect(collected chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var passports v1alpha1.PassportList
	if err := l.reader.List(ctx, &passports, client.UnsafeDisableDeepCopy); err != nil {
		return
	}
	live := map[v1alpha1.AccountabilityMode]int{
		v1alpha1.ModeEnforced: 0, v1alpha1.ModeLogged: 0, v1alpha1.ModeStandard: 0,
	}
	for i := range passports.Items {
		if status := passports.Items[i].Status; status.Phase == v1alpha1.PhaseActive {
			live[status.Issued.Mode]++
		}
	}
	for mode, count := range live {
		collected <- prometheus.MustNewConstMetric(l.desc, prometheus.GaugeValue, float64(count), string(mode))
	}
}

// awaitingReview counts the Checkouts that wait for a reviewer whenever it is scraped, from the cache.
type awaitingReview struct {
	reader client.Reader
	desc   *prometheus.Desc
}

func newAwaitingReview(reader client.Reader) *awaitingReview {
	return &awaitingReview{reader: reader, desc: prometheus.NewDesc(
		prometheus.BuildFQName(metricsNamespace, "", "checkouts_awaiting_review"),
		"Checkouts that a reviewer has to decide on, by verdict.", []string{"verdict"}, nil)}
}

// Describe implements prometheus.Collector.
func (a *awaitingReview) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- a.desc }

// Collect implements prometheus.Collector. It reports nothing while the cache cannot be read.
func (a *awaitingReview) Collect(collected chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var checkouts v1alpha1.CheckoutList
	if err := a.reader.List(ctx, &checkouts, client.UnsafeDisableDeepCopy); err != nil {
		return
	}
	waiting := map[v1alpha1.Verdict]int{v1alpha1.VerdictFlagged: 0, v1alpha1.VerdictBlocked: 0}
	for i := range checkouts.Items {
		if checkout := &checkouts.Items[i]; lifecycle.Judged(checkout) && !lifecycle.Decided(checkout) {
			waiting[checkout.Status.Verdict]++
		}
	}
	for verdict, count := range waiting {
		collected <- prometheus.MustNewConstMetric(a.desc, prometheus.GaugeValue, float64(count), string(verdict))
	}
}
