package review

import (
	"fmt"

	"agentpassport.dev/operator/api/v1alpha1"
)

// actionVolumeAnomaly is a warning where the mission took far more actions than the agent's others.
func actionVolumeAnomaly(m Mission, t Thresholds) ([]Finding, error) {
	if !m.experienced(t) {
		return nil, nil
	}
	u, err := usualOf(m.Baseline.Actions, m.Baseline.Missions, float64(t.AnomalySigmaFloorActions), t)
	if err != nil {
		return nil, fmt.Errorf("baseline.actions: %w", err)
	}
	actions := m.Actions()
	if float64(actions) <= u.limit {
		return nil, nil
	}
	return []Finding{{
		Type:     ActionVolumeAnomaly,
		Severity: v1alpha1.SeverityWarning,
		Message: fmt.Sprintf("Mission took %d actions; this agent's missions take %s on average, and up to %s is usual",
			actions, rounded(u.mean), rounded(u.limit)),
		Evidence: u.evidence("actions", actions, m.Baseline.Missions),
	}}, nil
}
