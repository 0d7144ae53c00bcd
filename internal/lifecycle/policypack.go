package lifecycle

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/policy"
)

// maxPolicyHits is how many objects a PolicyPack's status lists.
const maxPolicyHits = 100

// Pack gives the status of a PolicyPack.
func Pack(pack *v1alpha1.PolicyPack, trial policy.Trial, now time.Time) v1alpha1.PolicyPackStatus {
	status := *pack.Status.DeepCopy()
	status.ObservedGeneration = pack.Generation
	status.Refused, status.Warned = &trial.Refused, &trial.Warned
	status.Hits = trial.Hits[:min(len(trial.Hits), maxPolicyHits)]
	reason, message := v1alpha1.ReasonEnforcing, fmt.Sprintf("%d rules count", len(pack.Spec.Rules))
	if pack.Spec.Mode == v1alpha1.PolicyDryRun {
		reason = v1alpha1.ReasonDryRun
		message = fmt.Sprintf("%d rules are tried and do not count; status.hits lists what they would refuse", len(pack.Spec.Rules))
	}
	SetCondition(&status.Conditions, pack.Generation, v1alpha1.ConditionReady, metav1.ConditionTrue, reason, message, now)
	return status
}

// TryPack holds a pack's rules against what is in its namespace: the CompatibilityChecks that can be paired, and
// the Passports that were issued, as their agents are now.
func TryPack(
	pack *v1alpha1.PolicyPack, agents []v1alpha1.AgentPassport, packages []v1alpha1.CapabilityPassport,
	checks []v1alpha1.CompatibilityCheck, passports []v1alpha1.Passport,
) policy.Trial {
	agentOf := byName(agents, func(a *v1alpha1.AgentPassport) string { return a.Name })
	packageOf := byName(packages, func(p *v1alpha1.CapabilityPassport) string { return p.Name })
	var installs []policy.NamedInstall
	for i := range checks {
		check := &checks[i]
		pkg, agent := packageOf[check.Spec.PackageRef.Name], agentOf[check.Spec.AgentRef.Name]
		coverage := Covers(check)
		if pkg == nil || agent == nil || coverage == "" {
			continue
		}
		installs = append(installs, policy.NamedInstall{Name: check.Name, Install: policy.Install{
			Package: pkg, Agent: agent, Mode: check.Spec.InstallMode, Coverage: coverage,
		}})
	}
	var issues []policy.NamedIssue
	for i := range passports {
		passport := &passports[i]
		agent := agentOf[passport.Spec.AgentRef.Name]
		if issued := passport.Status.Issued; issued != nil && agent != nil {
			issues = append(issues, policy.NamedIssue{Name: passport.Name, Issue: policy.Issue{Agent: agent, Services: issued.Services}})
		}
	}
	return policy.Try(pack, installs, issues)
}

func byName[T any](items []T, name func(*T) string) map[string]*T {
	named := make(map[string]*T, len(items))
	for i := range items {
		named[name(&items[i])] = &items[i]
	}
	return named
}
