package lifecycle

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/capability"
	"agentpassport.dev/operator/internal/policy"
)

const (
	// maxCompatibilityFindings is how many findings a CompatibilityCheck's status lists.
	maxCompatibilityFindings = 100
	// maxPolicyFindings is how many rules of packs it lists.
	maxPolicyFindings = 32
)

// Compatibility gives the status of a CompatibilityCheck: the package, held against the agent and the packs of the
// namespace. Package and agent are nil where they do not exist.
func Compatibility(
	check *v1alpha1.CompatibilityCheck, pkg *v1alpha1.CapabilityPassport, agent *v1alpha1.AgentPassport, packs []v1alpha1.PolicyPack, now time.Time,
) v1alpha1.CompatibilityCheckStatus {
	c := compatibility{check: check, now: now}
	c.status.Conditions = check.DeepCopy().Status.Conditions
	c.status.ObservedGeneration = check.Generation
	if reason, message, missing := missingDocument(check, pkg, agent); missing {
		c.set(v1alpha1.ConditionCompatible, metav1.ConditionUnknown, reason, message)
		c.set(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
		meta.RemoveStatusCondition(&c.status.Conditions, string(v1alpha1.ConditionPolicyWarning))
		return c.status
	}
	pairing := capability.Pair(
		capability.Package{Document: &pkg.Spec.Document, Codes: pkg.Spec.Codes},
		capability.Agent{Document: agent.Spec.Document, Codes: agent.Spec.Codes},
		check.Spec.InstallMode,
	)
	c.status.PackageDigest, c.status.AgentDigest = pkg.Status.DocumentDigest, agent.Status.DocumentDigest
	c.pair(pairing)
	c.ask(policy.AtInstall(packs, policy.Install{
		Package: pkg, Agent: agent, Mode: check.Spec.InstallMode, Coverage: pairing.Coverage(),
	}))
	return c.status
}

// missingDocument says what keeps the two from being paired.
func missingDocument(
	check *v1alpha1.CompatibilityCheck, pkg *v1alpha1.CapabilityPassport, agent *v1alpha1.AgentPassport,
) (reason v1alpha1.Reason, message string, missing bool) {
	switch {
	case pkg == nil:
		return v1alpha1.ReasonPackageNotFound, fmt.Sprintf("CapabilityPassport %s does not exist in namespace %s: apply it, or name another in packageRef",
			check.Spec.PackageRef.Name, check.Namespace), true
	case agent == nil:
		return v1alpha1.ReasonAgentNotFound, fmt.Sprintf("AgentPassport %s does not exist in namespace %s: apply it, or name another in agentRef",
			check.Spec.AgentRef.Name, check.Namespace), true
	case agent.Spec.Document == nil:
		return v1alpha1.ReasonNoDocument, fmt.Sprintf("AgentPassport %s has no spec.document: nothing says what the agent can do; paste its Agent Passport document in",
			agent.Name), true
	default:
		return "", "", false
	}
}

// compatibility is a status in the making.
type compatibility struct {
	check  *v1alpha1.CompatibilityCheck
	status v1alpha1.CompatibilityCheckStatus
	now    time.Time
}

func (c *compatibility) set(kind v1alpha1.ConditionType, value metav1.ConditionStatus, reason v1alpha1.Reason, message string) {
	SetCondition(&c.status.Conditions, c.check.Generation, kind, value, reason, message, c.now)
}

// pair says what came of the pairing.
func (c *compatibility) pair(pairing capability.Pairing) {
	summary := pairing.Summary()
	findings := pairing.Findings()
	c.status.Summary = &summary
	c.status.Findings = findings[:min(len(findings), maxCompatibilityFindings)]
	counts := fmt.Sprintf("of %d declarations of %s, %s covers %d; %d fall outside, %d are unclear",
		*summary.Declarations, c.check.Spec.PackageRef.Name, c.check.Spec.AgentRef.Name, *summary.Covered, *summary.Outside, *summary.Unclear)
	switch {
	case pairing.ApprovalMissing():
		c.set(v1alpha1.ConditionCompatible, metav1.ConditionFalse, v1alpha1.ReasonApprovalMissing, findings[0].Message+"; "+counts)
	case *summary.Outside > 0:
		c.set(v1alpha1.ConditionCompatible, metav1.ConditionFalse, v1alpha1.ReasonOutsideEnvelope, counts+"; first: "+findings[0].Message)
	case *summary.Unclear > 0:
		c.set(v1alpha1.ConditionCompatible, metav1.ConditionUnknown, v1alpha1.ReasonUnclear, counts+": a person has to compare what status.findings lists")
	default:
		c.set(v1alpha1.ConditionCompatible, metav1.ConditionTrue, v1alpha1.ReasonCovered, counts)
	}
}

// ask says what the packs do, and whether the install may go on.
func (c *compatibility) ask(findings []v1alpha1.PolicyFinding) {
	c.status.Policy = findings[:min(len(findings), maxPolicyFindings)]
	if warned := policy.Of(v1alpha1.PolicyWarn, findings); len(warned) > 0 {
		c.set(v1alpha1.ConditionPolicyWarning, metav1.ConditionTrue, v1alpha1.ReasonPolicyWarned, policy.Say(warned))
	} else {
		meta.RemoveStatusCondition(&c.status.Conditions, string(v1alpha1.ConditionPolicyWarning))
	}
	compatible := meta.FindStatusCondition(c.status.Conditions, string(v1alpha1.ConditionCompatible))
	blocked := policy.Of(v1alpha1.PolicyBlock, findings)
	switch {
	case len(blocked) > 0:
		c.set(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonPolicyRefused, policy.Say(blocked))
	case c.check.Spec.Enforcement == v1alpha1.EnforcementBlock && compatible.Status != metav1.ConditionTrue:
		c.set(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNotCompatible,
			"spec.enforcement is Block, and Compatible is "+string(compatible.Status)+": "+compatible.Message)
	default:
		c.set(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonPaired, "the two documents are paired; the condition Compatible says what came of it")
	}
}

// Covers is what the pairing of a check came to, by its counts; empty where it was not paired.
func Covers(check *v1alpha1.CompatibilityCheck) v1alpha1.Coverage {
	switch summary := check.Status.Summary; {
	case summary == nil:
		return ""
	case *summary.Outside > 0:
		return v1alpha1.CoverageOutside
	case *summary.Unclear > 0:
		return v1alpha1.CoverageUnclear
	default:
		return v1alpha1.CoverageCovered
	}
}
