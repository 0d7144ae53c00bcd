package policy

import (
	"slices"

	"k8s.io/utils/ptr"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/signature"
)

// matchesInstall says whether all that a rule gives holds of an install.
func matchesInstall(pack *v1alpha1.PolicyPack, rule *v1alpha1.PolicyRule, install Install) bool {
	return slices.Contains(rule.At, v1alpha1.PolicyAtInstall) &&
		listed(pack.Spec.AppliesTo, install.Mode) &&
		listed(rule.Compatibility, install.Coverage) &&
		matchesPackage(rule.Packages, install.Package) &&
		matchesAgent(rule.Agents, install.Agent) &&
		matchesGrants(rule.Grants, granted(install.Agent))
}

// matchesIssue says whether all that a rule gives holds of an issue. What is known at an install alone is not.
func matchesIssue(rule *v1alpha1.PolicyRule, issue Issue) bool {
	return slices.Contains(rule.At, v1alpha1.PolicyAtIssue) &&
		rule.Packages == nil && len(rule.Compatibility) == 0 &&
		matchesAgent(rule.Agents, issue.Agent) &&
		matchesGrants(rule.Grants, carried(issue.Services))
}

func matchesPackage(match *v1alpha1.PackageMatch, subject *v1alpha1.CapabilityPassport) bool {
	if match == nil {
		return true
	}
	document := &subject.Spec.Document
	return listed(match.Packages, document.Package) &&
		named(match.Publishers, document.Publisher) &&
		listed(match.RiskLevels, document.RiskLevel) &&
		is(match.Verified, ptr.Deref(subject.Status.Verified, false))
}

func matchesAgent(match *v1alpha1.AgentMatch, agent *v1alpha1.AgentPassport) bool {
	if match == nil {
		return true
	}
	vendor, sandboxed := "", false
	if document := agent.Spec.Document; document != nil {
		vendor, sandboxed = document.Agent.Vendor, document.Sandboxed
	}
	return listed(match.Names, agent.Name) &&
		named(match.Vendors, vendor) &&
		listed(match.Modes, agent.Spec.Accountability.Mode) &&
		is(match.Documented, agent.Spec.Document != nil) &&
		is(match.Sandboxed, sandboxed) &&
		is(match.Verified, ptr.Deref(agent.Status.Verified, false))
}

// grant is a service with the scopes inside it.
type grant struct {
	service v1alpha1.ServiceName
	scopes  []v1alpha1.Scope
}

func granted(agent *v1alpha1.AgentPassport) []grant {
	grants := make([]grant, 0, len(agent.Spec.Grants))
	for i := range agent.Spec.Grants {
		grants = append(grants, grant{agent.Spec.Grants[i].Service, agent.Spec.Grants[i].Scopes})
	}
	return grants
}

func carried(services []v1alpha1.IssuedService) []grant {
	grants := make([]grant, 0, len(services))
	for i := range services {
		grants = append(grants, grant{services[i].Service, services[i].Scopes})
	}
	return grants
}

// matchesGrants says whether one grant has all that is given.
func matchesGrants(match *v1alpha1.GrantMatch, grants []grant) bool {
	return match == nil || slices.ContainsFunc(grants, func(g grant) bool {
		return listed(match.Services, g.service) &&
			(len(match.Scopes) == 0 || slices.ContainsFunc(g.scopes, func(s v1alpha1.Scope) bool { return slices.Contains(match.Scopes, s) }))
	})
}

// listed says whether a list, where it is given, has a value.
func listed[T comparable](list []T, value T) bool {
	return len(list) == 0 || slices.Contains(list, value)
}

// named says whether a list of vendors, where it is given, has one, as vendors are compared.
func named(list []string, vendor string) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(name string) bool { return signature.SameVendor(name, vendor) })
}

// is says whether something, where it is asked for, is so.
func is(asked *bool, so bool) bool { return asked == nil || *asked == so }
