package review

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
)

const (
	// baselineMissions is how many missions a baseline remembers: beyond, each new one weighs a
	// hundredth, and what is older fades.
	baselineMissions = 100
	// baselineServices is how many services a baseline holds.
	baselineServices = 128
)

// Feeding is what one mission adds to its agent's baseline.
type Feeding struct {
	// UID of the mission's Checkout.
	UID types.UID
	// Actions that the mission took.
	Actions int64
	// Duration of the mission, counted in whole seconds.
	Duration time.Duration
	// Services that the mission used.
	Services []v1alpha1.ServiceName
	// At is when the mission feeds the baseline.
	At time.Time
}

// Feed gives the baseline with one more mission in it, and leaves the one that it is given as it is.
// A mission whose UID is among the fed is in already. The caller sees to it that Fed has room.
func Feed(b *v1alpha1.Baseline, m Feeding) (v1alpha1.Baseline, error) {
	var next v1alpha1.Baseline
	if b != nil {
		b.DeepCopyInto(&next)
	}
	if slices.Contains(next.Fed, m.UID) {
		return next, nil
	}
	var err error
	if next.Actions, err = fed(next.Actions, next.Missions, float64(m.Actions)); err != nil {
		return v1alpha1.Baseline{}, fmt.Errorf("baseline.actions: %w", err)
	}
	if next.DurationSeconds, err = fed(next.DurationSeconds, next.Missions, float64(inSeconds(m.Duration))); err != nil {
		return v1alpha1.Baseline{}, fmt.Errorf("baseline.durationSeconds: %w", err)
	}
	next.Services = counted(next.Services, sorted(m.Services))
	next.Missions++
	next.Fed = append(next.Fed, m.UID)
	if at := metav1.NewTime(m.At.Truncate(time.Second)); next.LastTime == nil || next.LastTime.Before(&at) {
		next.LastTime = &at
	}
	return next, nil
}

// fed is Welford's step, with the weight of the past bounded.
func fed(d v1alpha1.Distribution, missions int64, value float64) (v1alpha1.Distribution, error) {
	mean, variance, err := parseDistribution(d, missions)
	if err != nil {
		return v1alpha1.Distribution{}, err
	}
	weight := float64(min(missions+1, baselineMissions))
	before := value - mean
	mean += before / weight
	variance += (before*(value-mean) - variance) / weight
	return formatDistribution(mean, max(variance, 0))
}

// parseDistribution reads a distribution. It is empty before the first mission and at no other time.
func parseDistribution(d v1alpha1.Distribution, missions int64) (mean, variance float64, err error) {
	if missions == 0 && d == (v1alpha1.Distribution{}) {
		return 0, 0, nil
	}
	if mean, err = parseDecimal(d.Mean); err != nil {
		return 0, 0, fmt.Errorf("mean: %w", err)
	}
	if variance, err = parseDecimal(d.Variance); err != nil {
		return 0, 0, fmt.Errorf("variance: %w", err)
	}
	return mean, variance, nil
}

func formatDistribution(mean, variance float64) (d v1alpha1.Distribution, err error) {
	if d.Mean, err = formatDecimal(mean); err != nil {
		return v1alpha1.Distribution{}, fmt.Errorf("mean: %w", err)
	}
	if d.Variance, err = formatDecimal(variance); err != nil {
		return v1alpha1.Distribution{}, fmt.Errorf("variance: %w", err)
	}
	return d, nil
}

// counted adds a mission's services to the histogram, which is in order of names. Where that is
// full, what was used least goes, the last name first; of the mission's own services only where
// nothing else is left.
func counted(all []v1alpha1.ServiceCount, used []v1alpha1.ServiceName) []v1alpha1.ServiceCount {
	for _, service := range used {
		i := slices.IndexFunc(all, func(known v1alpha1.ServiceCount) bool { return known.Service == service })
		if i < 0 {
			all = append(all, v1alpha1.ServiceCount{Service: service})
			i = len(all) - 1
		}
		all[i].Missions++
	}
	own := func(count v1alpha1.ServiceCount) int {
		if slices.Contains(used, count.Service) {
			return 1
		}
		return 0
	}
	slices.SortFunc(all, func(a, b v1alpha1.ServiceCount) int {
		return cmp.Or(cmp.Compare(own(b), own(a)), cmp.Compare(b.Missions, a.Missions), cmp.Compare(a.Service, b.Service))
	})
	all = all[:min(len(all), baselineServices)]
	slices.SortFunc(all, func(a, b v1alpha1.ServiceCount) int { return cmp.Compare(a.Service, b.Service) })
	return all
}
