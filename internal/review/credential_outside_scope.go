package review

import (
	"fmt"
	"slices"
	"time"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/scope"
)

// OutsideScope looks at the services that a checkpoint reports: one that is neither in the intent
// nor carried by the passport is critical and revokes where the mode is Enforced, a warning where it
// is Logged. One finding a service.
func OutsideScope(
	terms v1alpha1.IssuedTerms, intent *v1alpha1.Intent, used []v1alpha1.ServiceName, checkpoint string, at time.Time,
) []Finding {
	var findings []Finding
	for _, service := range scope.Missing(terms.Services, used) {
		if intent != nil && slices.Contains(intent.Services, service) {
			continue
		}
		finding := Finding{
			Type:     CredentialOutsideScope,
			Severity: v1alpha1.SeverityWarning,
			Service:  service,
			At:       at,
			Message: clip(fmt.Sprintf("checkpoint %s reports the use of %s, which is neither granted nor in the intent",
				checkpoint, service), maxMessage),
		}
		if terms.Mode == v1alpha1.ModeEnforced {
			finding.Severity, finding.Revokes = v1alpha1.SeverityCritical, true
		}
		findings = append(findings, finding)
	}
	return findings
}
