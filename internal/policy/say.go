package policy

import (
	"fmt"
	"strings"

	"agentpassport.dev/operator/api/v1alpha1"
)

// maxSaid is how many rules one message names.
const maxSaid = 5

// Of gives the findings of one action, in their order.
func Of(action v1alpha1.PolicyAction, findings []v1alpha1.PolicyFinding) []v1alpha1.PolicyFinding {
	var of []v1alpha1.PolicyFinding
	for _, finding := range findings {
		if finding.Action == action {
			of = append(of, finding)
		}
	}
	return of
}

// Say names rules with their messages, for people.
func Say(findings []v1alpha1.PolicyFinding) string {
	said := make([]string, 0, maxSaid+1)
	for i, finding := range findings {
		if i == maxSaid {
			said = append(said, fmt.Sprintf("and %d more", len(findings)-maxSaid))
			break
		}
		rule := fmt.Sprintf("rule %s of PolicyPack %s", finding.Rule, finding.Pack)
		if finding.Message != "" {
			rule += " (" + finding.Message + ")"
		}
		said = append(said, rule)
	}
	return strings.Join(said, "; ")
}
