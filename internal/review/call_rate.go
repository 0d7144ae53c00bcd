package review

import (
	"fmt"
	"math"

	"agentpassport.dev/operator/api/v1alpha1"
)

// UsualCallRate is how many calls a minute are still usual for an agent; false before it has missions
// enough. A baseline holds actions and seconds a mission, from which the rate follows: its mean is the
// one's over the other's, and its relative variance the sum of theirs.
func UsualCallRate(b *v1alpha1.Baseline, t Thresholds) (limit float64, known bool, err error) {
	if b == nil || b.Missions < int64(t.AnomalyMinMissions) {
		return 0, false, nil
	}
	actions, actionsVariance, err := parseDistribution(b.Actions, b.Missions)
	if err != nil {
		return 0, false, fmt.Errorf("baseline.actions: %w", err)
	}
	seconds, secondsVariance, err := parseDistribution(b.DurationSeconds, b.Missions)
	if err != nil {
		return 0, false, fmt.Errorf("baseline.durationSeconds: %w", err)
	}
	// A mission of no time at all took a second, and a mean of nothing varies by the floor alone.
	seconds = max(seconds, 1)
	mean := actions * 60 / seconds
	relative := secondsVariance / (seconds * seconds)
	if actions > 0 {
		relative += actionsVariance / (actions * actions)
	}
	sigma := max(mean*math.Sqrt(relative), float64(t.AnomalySigmaFloorCallRate), mean*float64(t.AnomalySigmaFloorPercent)/100)
	return mean + t.AnomalySigmas*sigma, true, nil
}
