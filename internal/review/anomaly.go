package review

import (
	"math"

	"agentpassport.dev/operator/api/v1alpha1"
)

// usual is what an agent's missions are like in one respect.
type usual struct{ mean, sigma, limit float64 }

// usualOf reads what is usual, with σ no lower than the floor and no lower than its share of the
// mean: missions that are all alike make no later one an anomaly that is a little different.
func usualOf(d v1alpha1.Distribution, missions int64, floor float64, t Thresholds) (usual, error) {
	mean, variance, err := parseDistribution(d, missions)
	if err != nil {
		return usual{}, err
	}
	sigma := max(math.Sqrt(variance), floor, mean*float64(t.AnomalySigmaFloorPercent)/100)
	return usual{mean: mean, sigma: sigma, limit: mean + t.AnomalySigmas*sigma}, nil
}

// evidence of a value that is not usual.
func (u usual) evidence(name string, value, missions int64) []v1alpha1.Evidence {
	return []v1alpha1.Evidence{
		fact(name, value), fact("limit", u.limit), fact("mean", u.mean), fact("sigma", u.sigma), fact("missions", missions),
	}
}

// experienced says whether the agent's baseline rests on enough missions to judge by.
func (m Mission) experienced(t Thresholds) bool {
	return m.Baseline != nil && m.Baseline.Missions >= int64(t.AnomalyMinMissions)
}
