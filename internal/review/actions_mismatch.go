package review

import (
	"fmt"

	"agentpassport.dev/operator/api/v1alpha1"
)

// actionsMismatch is a warning where the agent's total is below the sum of its own checkpoints, and one
// where it is far from what the gateways saw.
func actionsMismatch(m Mission, t Thresholds) ([]Finding, error) {
	if !m.byAgent() {
		return nil, nil
	}
	var found []Finding
	if m.Report.Actions != nil && *m.Report.Actions < m.CheckpointActions {
		found = append(found, Finding{
			Type:     ActionsMismatch,
			Severity: v1alpha1.SeverityWarning,
			Message: fmt.Sprintf("Agent reported %d actions in all, but %d in its checkpoints",
				*m.Report.Actions, m.CheckpointActions),
			Evidence: []v1alpha1.Evidence{
				fact("actionsReported", *m.Report.Actions),
				fact("checkpointActions", m.CheckpointActions),
				fact("checkpoints", m.Checkpoints),
			},
		})
	}
	if reported, seen, far := m.miscounted(t); far {
		found = append(found, Finding{
			Type:     ActionsMismatch,
			Severity: v1alpha1.SeverityWarning,
			Message:  fmt.Sprintf("Agent reported %d actions, but the gateways saw %d calls", reported, seen),
			Evidence: []v1alpha1.Evidence{fact("actionsReported", reported), fact("callsSeen", seen)},
		})
	}
	return found, nil
}

// miscounted says whether what the agent reports is far from what the gateways saw. A mission that made
// no call through them counts other things, and while a gateway's counts are missing, only what is known
// to have been left out is held against it.
func (m Mission) miscounted(t Thresholds) (reported, seen int64, far bool) {
	if m.Observed == nil || m.Observed.Calls == 0 {
		return 0, 0, false
	}
	reported, seen = m.Actions(), m.Observed.Calls
	if m.Report.Actions != nil {
		reported = *m.Report.Actions
	}
	apart := seen - reported
	if apart < 0 && len(m.Observed.Missing) == 0 {
		apart = -apart
	}
	far = apart > int64(t.ActionsMismatchActions) && float64(apart)*100 > float64(seen)*float64(t.ActionsMismatchPercent)
	return reported, seen, far
}
