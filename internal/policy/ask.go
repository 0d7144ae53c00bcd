package policy

import (
	"cmp"
	"slices"

	"agentpassport.dev/operator/api/v1alpha1"
)

// Install is a package that is to be installed into an agent.
type Install struct {
	// Package to be installed.
	Package *v1alpha1.CapabilityPassport
	// Agent that it is installed into.
	Agent *v1alpha1.AgentPassport
	// Mode of the install.
	Mode v1alpha1.InstallMode
	// Coverage is what the pairing of the two came to.
	Coverage v1alpha1.Coverage
}

// Issue is a passport that is about to be issued.
type Issue struct {
	// Agent that the passport is for.
	Agent *v1alpha1.AgentPassport
	// Services that it would carry.
	Services []v1alpha1.IssuedService
}

// AtInstall gives every rule of the packs in force that matches an install: what blocks before what warns, then by
// pack and rule. Packs in a dry run are not asked.
func AtInstall(packs []v1alpha1.PolicyPack, install Install) []v1alpha1.PolicyFinding {
	return ask(packs, func(pack *v1alpha1.PolicyPack, rule *v1alpha1.PolicyRule) bool {
		return matchesInstall(pack, rule, install)
	})
}

// AtIssue gives every rule of the packs in force that matches an issue, in the same order.
func AtIssue(packs []v1alpha1.PolicyPack, issue Issue) []v1alpha1.PolicyFinding {
	return ask(packs, func(_ *v1alpha1.PolicyPack, rule *v1alpha1.PolicyRule) bool {
		return matchesIssue(rule, issue)
	})
}

// ask has every rule that is in force say whether it matches. The packs are a conjunction: each may refuse, and none
// takes back what another refuses.
func ask(packs []v1alpha1.PolicyPack, matches func(*v1alpha1.PolicyPack, *v1alpha1.PolicyRule) bool) []v1alpha1.PolicyFinding {
	var findings []v1alpha1.PolicyFinding
	for i := range packs {
		pack := &packs[i]
		if pack.Spec.Mode == v1alpha1.PolicyDryRun || pack.DeletionTimestamp != nil {
			continue
		}
		for j := range pack.Spec.Rules {
			if rule := &pack.Spec.Rules[j]; matches(pack, rule) {
				findings = append(findings, v1alpha1.PolicyFinding{Pack: pack.Name, Rule: rule.ID, Action: rule.Action, Message: rule.Message})
			}
		}
	}
	slices.SortFunc(findings, func(a, b v1alpha1.PolicyFinding) int {
		return cmp.Or(strictFirst(a.Action, b.Action), cmp.Compare(a.Pack, b.Pack), cmp.Compare(a.Rule, b.Rule))
	})
	return findings
}

func strictFirst(a, b v1alpha1.PolicyAction) int {
	rank := map[v1alpha1.PolicyAction]int{v1alpha1.PolicyBlock: 0, v1alpha1.PolicyWarn: 1}
	return cmp.Compare(rank[a], rank[b])
}
