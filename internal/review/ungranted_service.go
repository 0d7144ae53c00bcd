package review

import (
	"fmt"
	"slices"

	"agentpassport.dev/operator/api/v1alpha1"
)

// ungrantedService is critical for each service that the mission used and its passport does not carry.
func ungrantedService(m Mission, _ Thresholds) ([]Finding, error) {
	var found []Finding
	for _, service := range m.Used() {
		if slices.Contains(m.Granted, service) {
			continue
		}
		found = append(found, Finding{
			Type:     UngrantedService,
			Severity: v1alpha1.SeverityCritical,
			Service:  service,
			Message:  fmt.Sprintf("Agent used %s, which its passport does not carry", service),
			Evidence: []v1alpha1.Evidence{m.namedBy(service), fact("grantedServices", m.Granted)},
		})
	}
	return found, nil
}
