package review

import (
	"fmt"

	"agentpassport.dev/operator/api/v1alpha1"
)

// durationOverrun compares the mission's time with the estimate in its intent: information over the
// first threshold, a warning over the second.
func durationOverrun(m Mission, t Thresholds) ([]Finding, error) {
	if m.Intent == nil || m.Intent.EstimatedDurationSeconds <= 0 {
		return nil, nil
	}
	took, estimate := inSeconds(m.Duration()), int64(m.Intent.EstimatedDurationSeconds)
	over := func(percent int32) bool { return took*100 > estimate*int64(percent) }

	severity := v1alpha1.SeverityInfo
	switch {
	case over(t.DurationOverrunWarningPercent):
		severity = v1alpha1.SeverityWarning
	case !over(t.DurationOverrunInfoPercent):
		return nil, nil
	}
	return []Finding{{
		Type:     DurationOverrun,
		Severity: severity,
		Message:  fmt.Sprintf("Mission took %d s, but its intent estimated %d s", took, estimate),
		Evidence: []v1alpha1.Evidence{
			fact("durationSeconds", took),
			fact("estimatedDurationSeconds", estimate),
			fact("percent", took*100/estimate),
		},
	}}, nil
}
