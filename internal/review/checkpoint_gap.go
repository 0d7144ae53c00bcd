package review

import (
	"fmt"

	"agentpassport.dev/operator/api/v1alpha1"
)

// checkpointGap is a warning where a mission in mode Logged was silent for more than an interval. In
// mode Enforced such a mission is dead.
func checkpointGap(m Mission, _ Thresholds) ([]Finding, error) {
	if m.Mode != v1alpha1.ModeLogged || m.Interval <= 0 || m.LongestGap <= m.Interval {
		return nil, nil
	}
	return []Finding{{
		Type:     CheckpointGap,
		Severity: v1alpha1.SeverityWarning,
		Message: fmt.Sprintf("Agent made no checkpoint for %d s; one was due every %d s",
			inSeconds(m.LongestGap), inSeconds(m.Interval)),
		Evidence: []v1alpha1.Evidence{
			fact("longestGapSeconds", m.LongestGap),
			fact("checkpointIntervalSeconds", m.Interval),
			fact("checkpoints", m.Checkpoints),
		},
	}}, nil
}
