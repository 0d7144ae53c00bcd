package review

import (
	"fmt"

	"agentpassport.dev/operator/api/v1alpha1"
)

// actionsMismatch is a warning where the agent's total is below the sum of its own checkpoints.
func actionsMismatch(m Mission, _ Thresholds) ([]Finding, error) {
	if !m.byAgent() || m.Report.Actions == nil || *m.Report.Actions >= m.CheckpointActions {
		return nil, nil
	}
	return []Finding{{
		Type:     ActionsMismatch,
		Severity: v1alpha1.SeverityWarning,
		Message: fmt.Sprintf("Agent reported %d actions in all, but %d in its checkpoints",
			*m.Report.Actions, m.CheckpointActions),
		Evidence: []v1alpha1.Evidence{
			fact("actionsReported", *m.Report.Actions),
			fact("checkpointActions", m.CheckpointActions),
			fact("checkpoints", m.Checkpoints),
		},
	}}, nil
}
