package review

import (
	"fmt"
	"slices"

	"agentpassport.dev/operator/api/v1alpha1"
)

// unreportedService is a finding for each service that gateways let calls through to and that no report
// names: critical where the intent does not name it either, a warning where it does. Without a report by
// the agent nobody knows what it would have named.
func unreportedService(m Mission, _ Thresholds) ([]Finding, error) {
	if !m.byAgent() {
		return nil, nil
	}
	var found []Finding
	named := m.Services()
	for _, service := range m.seen() {
		if slices.Contains(named, service) {
			continue
		}
		severity, where := v1alpha1.SeverityCritical, "outside"
		if slices.Contains(m.declared(), service) {
			severity, where = v1alpha1.SeverityWarning, "inside"
		}
		found = append(found, Finding{
			Type:     UnreportedService,
			Severity: severity,
			Service:  service,
			Message:  fmt.Sprintf("Agent called %s, %s its intent, and no report says so", service, where),
			Evidence: []v1alpha1.Evidence{fact("callsSeen", m.callsTo(service)), fact("servicesReported", named)},
		})
	}
	return found, nil
}

// callsTo counts the calls to a service that gateways let through.
func (m Mission) callsTo(service v1alpha1.ServiceName) int64 {
	for _, seen := range m.Observed.Services {
		if seen.Service == service {
			return seen.Calls
		}
	}
	return 0
}
