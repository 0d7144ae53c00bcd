package review

import (
	"fmt"

	"agentpassport.dev/operator/api/v1alpha1"
)

// lateCheckout is a warning where the agent checked out and its passport had ended otherwise.
func lateCheckout(m Mission, _ Thresholds) ([]Finding, error) {
	if !m.byAgent() || m.Phase == v1alpha1.PhaseCheckedOut {
		return nil, nil
	}
	return []Finding{{
		Type:     LateCheckout,
		Severity: v1alpha1.SeverityWarning,
		Message: fmt.Sprintf("Agent checked out at %s, when its passport was already %s, since %s",
			stamp(m.Report.At), m.Phase, stamp(m.End)),
		Evidence: m.howItEnded(),
	}}, nil
}

// howItEnded is the evidence on the end of the passport and the checkout after it.
func (m Mission) howItEnded() []v1alpha1.Evidence {
	return []v1alpha1.Evidence{
		fact("phase", m.Phase),
		fact("endTime", m.End),
		fact("checkoutTime", m.Report.At),
	}
}
