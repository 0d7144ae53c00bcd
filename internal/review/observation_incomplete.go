package review

import (
	"fmt"
	"strings"

	"agentpassport.dev/operator/api/v1alpha1"
)

// observationIncomplete is a warning where the counts of a gateway that was up did not arrive in time:
// what it saw of the mission was not judged.
func observationIncomplete(m Mission, _ Thresholds) ([]Finding, error) {
	if m.Observed == nil || len(m.Observed.Missing) == 0 {
		return nil, nil
	}
	missing := strings.Join(m.Observed.Missing, ", ")
	return []Finding{{
		Type:     ObservationIncomplete,
		Severity: v1alpha1.SeverityWarning,
		Message:  fmt.Sprintf("What these gateways saw of the mission did not arrive in time: %s", missing),
		Evidence: []v1alpha1.Evidence{fact("gatewaysMissing", missing)},
	}}, nil
}
