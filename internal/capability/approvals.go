package capability

import "agentpassport.dev/operator/api/v1alpha1"

// pairApprovals judges the approvals that a package requires, and the gates that what it does needs.
func pairApprovals(pkg Package, agent Agent) []v1alpha1.CompatibilityFinding {
	return pairField(pkg, agent, v1alpha1.FieldApprovals, false)
}
