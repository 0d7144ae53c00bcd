package review

import (
	"fmt"
	"slices"

	"agentpassport.dev/operator/api/v1alpha1"
)

// novelService is information on each service that no earlier mission of the agent used.
func novelService(m Mission, t Thresholds) ([]Finding, error) {
	if !m.experienced(t) {
		return nil, nil
	}
	var found []Finding
	for _, service := range m.Used() {
		if slices.ContainsFunc(m.Baseline.Services, func(known v1alpha1.ServiceCount) bool { return known.Service == service }) {
			continue
		}
		found = append(found, Finding{
			Type:     NovelService,
			Severity: v1alpha1.SeverityInfo,
			Service:  service,
			Message:  fmt.Sprintf("Agent used %s for the first time in %d missions", service, m.Baseline.Missions+1),
			Evidence: []v1alpha1.Evidence{m.namedBy(service), fact("missions", m.Baseline.Missions)},
		})
	}
	return found, nil
}
