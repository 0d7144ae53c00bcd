package review

import (
	"fmt"
	"slices"

	"agentpassport.dev/operator/api/v1alpha1"
)

// unusedService is information on each service that the intent names and the mission did not use.
// Without a report by the agent nobody knows what was not used.
func unusedService(m Mission, _ Thresholds) ([]Finding, error) {
	if !m.byAgent() {
		return nil, nil
	}
	var found []Finding
	used := m.Used()
	for _, service := range m.declared() {
		if slices.Contains(used, service) {
			continue
		}
		found = append(found, Finding{
			Type:     UnusedService,
			Severity: v1alpha1.SeverityInfo,
			Service:  service,
			Message:  fmt.Sprintf("Agent declared %s in intent but did not use it", service),
			Evidence: []v1alpha1.Evidence{fact("servicesUsed", used)},
		})
	}
	return found, nil
}
