package review

import (
	"fmt"
	"slices"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
)

// denied are the codes of calls that were refused for what the agent asked for: the service, the target,
// a constraint. What the gateway itself could not do is not among them.
var denied = []decision.Code{
	decision.CodeOutsideScope,
	decision.CodeForeignTarget,
	decision.CodeBadTarget,
	decision.CodeMethod,
	decision.CodeAddressRefused,
	decision.CodeConstraint,
}

// Denied says whether a refusal with this code counts as one of denied_calls.
func Denied(code decision.Code) bool { return slices.Contains(denied, code) }

// deniedCalls is a warning from a few refused calls on, and critical from many on.
func deniedCalls(m Mission, t Thresholds) ([]Finding, error) {
	if m.Observed == nil || m.Observed.Denied < int64(t.DeniedCallsWarning) {
		return nil, nil
	}
	severity := v1alpha1.SeverityWarning
	if m.Observed.Denied >= int64(t.DeniedCallsCritical) {
		severity = v1alpha1.SeverityCritical
	}
	times := "1 call"
	if m.Observed.Denied > 1 {
		times = fmt.Sprintf("%d calls", m.Observed.Denied)
	}
	return []Finding{{
		Type:     DeniedCalls,
		Severity: severity,
		Message:  fmt.Sprintf("Gateways refused %s for the service, the target or a constraint", times),
		Evidence: []v1alpha1.Evidence{fact("callsDenied", m.Observed.Denied), fact("callsSeen", m.Observed.Calls)},
	}}, nil
}
