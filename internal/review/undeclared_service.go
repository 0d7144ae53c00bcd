package review

import (
	"fmt"
	"slices"

	"agentpassport.dev/operator/api/v1alpha1"
)

// undeclaredService is a warning for each granted service that the mission used and its intent does
// not name. One that is not granted either is told of as ungranted alone.
func undeclaredService(m Mission, _ Thresholds) ([]Finding, error) {
	var found []Finding
	for _, service := range m.Used() {
		if !slices.Contains(m.Granted, service) || slices.Contains(m.declared(), service) {
			continue
		}
		found = append(found, Finding{
			Type:     UndeclaredService,
			Severity: v1alpha1.SeverityWarning,
			Service:  service,
			Message:  fmt.Sprintf("Agent used %s but did not declare it in intent", service),
			Evidence: []v1alpha1.Evidence{m.namedBy(service), fact("declaredServices", m.declared())},
		})
	}
	return found, nil
}
