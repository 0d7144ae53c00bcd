package review

import (
	"fmt"

	"agentpassport.dev/operator/api/v1alpha1"
)

// durationAnomaly is information where the mission took far longer than the agent's others.
func durationAnomaly(m Mission, t Thresholds) ([]Finding, error) {
	if !m.experienced(t) {
		return nil, nil
	}
	u, err := usualOf(m.Baseline.DurationSeconds, m.Baseline.Missions, float64(t.AnomalySigmaFloorSeconds), t)
	if err != nil {
		return nil, fmt.Errorf("baseline.durationSeconds: %w", err)
	}
	took := inSeconds(m.Duration())
	if float64(took) <= u.limit {
		return nil, nil
	}
	return []Finding{{
		Type:     DurationAnomaly,
		Severity: v1alpha1.SeverityInfo,
		Message: fmt.Sprintf("Mission took %d s; this agent's missions take %s s on average, and up to %s s is usual",
			took, rounded(u.mean), rounded(u.limit)),
		Evidence: u.evidence("durationSeconds", took, m.Baseline.Missions),
	}}, nil
}
