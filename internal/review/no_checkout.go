package review

import (
	"fmt"

	"agentpassport.dev/operator/api/v1alpha1"
)

// noCheckout is a warning where the operator had to check out for the agent.
func noCheckout(m Mission, _ Thresholds) ([]Finding, error) {
	if m.byAgent() {
		return nil, nil
	}
	return []Finding{{
		Type:     NoCheckout,
		Severity: v1alpha1.SeverityWarning,
		Message: fmt.Sprintf("Agent did not check out: its passport is %s, since %s, and the operator checked out for it at %s",
			m.Phase, stamp(m.End), stamp(m.Report.At)),
		Evidence: m.howItEnded(),
	}}, nil
}
