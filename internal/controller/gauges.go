package controller

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
)

// RegisterGauges shows what is there: live passports, reviews that wait, and when the key that signs is to be
// replaced. Every replica reports them, from its cache and its keys. rotation is how long a key signs. The error is
// that of the registry, where one of them is there already.
func RegisterGauges(registry prometheus.Registerer, cached client.Reader, keys *Keyring, rotation time.Duration) error {
	return errors.Join(
		registry.Register(newLivePassports(cached)),
		registry.Register(newAwaitingReview(cached)),
		registry.Register(newOldestReview(cached)),
		registry.Register(&rotationDue{keys: keys, interval: rotation}),
	)
}

// cacheGauge measures objects by a label whenever it is scraped, from the cache.
type cacheGauge struct {
	desc    *prometheus.Desc
	measure func(context.Context) (map[string]float64, error)
}

func newCacheGauge(name, help, label string, measure func(context.Context) (map[string]float64, error)) *cacheGauge {
	return &cacheGauge{desc: prometheus.NewDesc(prometheus.BuildFQName(metricsNamespace, "", name), help, []string{label}, nil), measure: measure}
}

// Describe implements prometheus.Collector.
func (g *cacheGauge) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- g.desc }

// Collect implements prometheus.Collector. It reports nothing while the cache cannot be read.
func (g *cacheGauge) Collect(collected chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	measured, err := g.measure(ctx)
	if err != nil {
		return
	}
	for label, value := range measured {
		collected <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, value, label)
	}
}

// newLivePassports counts the passports in phase Active.
func newLivePassports(reader client.Reader) *cacheGauge {
	return newCacheGauge("passports_live", "Passports in phase Active, by mode.", "mode", func(ctx context.Context) (map[string]float64, error) {
		var passports v1alpha1.PassportList
		err := reader.List(ctx, &passports, client.UnsafeDisableDeepCopy)
		live := map[string]float64{string(v1alpha1.ModeEnforced): 0, string(v1alpha1.ModeLogged): 0, string(v1alpha1.ModeStandard): 0}
		for i := range passports.Items {
			if status := &passports.Items[i].Status; status.Phase == v1alpha1.PhaseActive {
				live[string(status.Issued.Mode)]++
			}
		}
		return live, err
	})
}

// newAwaitingReview counts the Checkouts that wait for a reviewer.
func newAwaitingReview(reader client.Reader) *cacheGauge {
	const help = "Checkouts that a reviewer has to decide on, by verdict."
	return newCacheGauge("checkouts_awaiting_review", help, "verdict", func(ctx context.Context) (map[string]float64, error) {
		waiting := map[string]float64{string(v1alpha1.VerdictFlagged): 0, string(v1alpha1.VerdictBlocked): 0}
		err := awaitingReview(ctx, reader, func(checkout *v1alpha1.Checkout) { waiting[string(checkout.Status.Verdict)]++ })
		return waiting, err
	})
}

// newOldestReview says since when the Checkout waits that waits the longest; a time, so that the age is right
// whenever it is asked for.
func newOldestReview(reader client.Reader) *cacheGauge {
	const help = "When the Checkout was judged that waits the longest for a reviewer, in seconds since 1970, by verdict; absent where none waits."
	return newCacheGauge("checkouts_awaiting_review_oldest_timestamp_seconds", help, "verdict", func(ctx context.Context) (map[string]float64, error) {
		oldest := map[string]float64{}
		err := awaitingReview(ctx, reader, func(checkout *v1alpha1.Checkout) {
			judged, verdict := checkout.Status.JudgedTime, string(checkout.Status.Verdict)
			if judged == nil {
				return
			}
			if first, known := oldest[verdict]; !known || float64(judged.Unix()) < first {
				oldest[verdict] = float64(judged.Unix())
			}
		})
		return oldest, err
	})
}

// awaitingReview calls found for every Checkout that a reviewer has to decide on.
func awaitingReview(ctx context.Context, reader client.Reader, found func(*v1alpha1.Checkout)) error {
	var checkouts v1alpha1.CheckoutList
	if err := reader.List(ctx, &checkouts, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	for i := range checkouts.Items {
		if checkout := &checkouts.Items[i]; lifecycle.Judged(checkout) && !lifecycle.Decided(checkout) {
			found(checkout)
		}
	}
	return nil
}

// rotationDue says when the key that signs is to be replaced by its interval, whatever holds that up: a time that
// stays in the past is a rotation that does not come.
type rotationDue struct {
	keys     *Keyring
	interval time.Duration
}

var rotationDueDesc = prometheus.NewDesc(prometheus.BuildFQName(metricsNamespace, "", "signing_key_rotation_due_timestamp_seconds"),
	"When the key that signs is to be replaced, in seconds since 1970; absent until there are keys.", nil, nil)

// Describe implements prometheus.Collector.
func (*rotationDue) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- rotationDueDesc }

// Collect implements prometheus.Collector.
func (r *rotationDue) Collect(collected chan<- prometheus.Metric) {
	ring, ok := r.keys.Ring()
	if !ok {
		return
	}
	due := ring.Current.ActivatedAt.Add(r.interval)
	collected <- prometheus.MustNewConstMetric(rotationDueDesc, prometheus.GaugeValue, float64(due.Unix()))
}
