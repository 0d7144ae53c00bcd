package capability

import (
	"slices"

	"k8s.io/utils/ptr"

	"agentpassport.dev/operator/api/v1alpha1"
)

// Package is what a package says that it will do. Document is never nil.
type Package struct {
	Document *v1alpha1.PackageDocument
	// Codes say the document once more, for machines; nil where there are none.
	Codes *v1alpha1.CapabilityCodes
}

// Agent is what an agent says that it can do. Document is never nil.
type Agent struct {
	Document *v1alpha1.AgentDocument
	// Codes say the document once more, for machines; nil where there are none.
	Codes *v1alpha1.CapabilityCodes
}

// Pairing is a package held against an agent.
type Pairing struct {
	// Declarations are all that were judged, those that are Covered included: approvals first (Outside, Unclear,
	// Covered), then what a sandbox and the install mode forbid, then reads, writes, accesses, spends and exposes,
	// each in the order of the document.
	Declarations []v1alpha1.CompatibilityFinding
}

// Pair holds a package against an agent, for an install in the mode given (Agent Passport v0.1, section 4).
func Pair(pkg Package, agent Agent, mode v1alpha1.InstallMode) Pairing {
	both := newMatcher(pkg, agent, mode)
	approvals := append(both.gates(), both.field(v1alpha1.FieldApprovals)...)
	forbidden := pairInstallMode(agent.Document, mode)
	var others []v1alpha1.CompatibilityFinding
	for _, field := range envelopeFields {
		for _, declared := range both.field(field) {
			if declared.Field == v1alpha1.FieldSandbox {
				forbidden = append(forbidden, declared)
			} else {
				others = append(others, declared)
			}
		}
	}
	return Pairing{Declarations: slices.Concat(byCoverage(approvals), sandboxFirst(forbidden), others)}
}

// Findings are the declarations that are not Covered, in the order of Declarations.
func (p Pairing) Findings() []v1alpha1.CompatibilityFinding {
	var findings []v1alpha1.CompatibilityFinding
	for _, declared := range p.Declarations {
		if declared.Coverage != v1alpha1.CoverageCovered {
			findings = append(findings, declared)
		}
	}
	return findings
}

// Summary counts the declarations.
func (p Pairing) Summary() v1alpha1.CompatibilitySummary {
	counts := map[v1alpha1.Coverage]int32{}
	for _, declared := range p.Declarations {
		counts[declared.Coverage]++
	}
	return v1alpha1.CompatibilitySummary{
		Declarations: ptr.To(int32(len(p.Declarations))), //nolint:gosec // six lists of at most 1000
		Covered:      ptr.To(counts[v1alpha1.CoverageCovered]),
		Outside:      ptr.To(counts[v1alpha1.CoverageOutside]),
		Unclear:      ptr.To(counts[v1alpha1.CoverageUnclear]),
	}
}

// Coverage of the whole: Outside where anything is, else Unclear where anything is, else Covered.
func (p Pairing) Coverage() v1alpha1.Coverage {
	whole := v1alpha1.CoverageCovered
	for _, declared := range p.Declarations {
		if severity(declared.Coverage) < severity(whole) {
			whole = declared.Coverage
		}
	}
	return whole
}

// ApprovalMissing says whether the package needs an approval that the agent does not ask for: a finding of the
// approvals is Outside.
func (p Pairing) ApprovalMissing() bool {
	return slices.ContainsFunc(p.Declarations, func(declared v1alpha1.CompatibilityFinding) bool {
		return declared.Field == v1alpha1.FieldApprovals && declared.Coverage == v1alpha1.CoverageOutside
	})
}

// severity sorts the worst first.
func severity(coverage v1alpha1.Coverage) int {
	switch coverage {
	case v1alpha1.CoverageOutside:
		return 0
	case v1alpha1.CoverageUnclear:
		return 1
	default:
		return 2
	}
}

func byCoverage(declared []v1alpha1.CompatibilityFinding) []v1alpha1.CompatibilityFinding {
	slices.SortStableFunc(declared, func(a, b v1alpha1.CompatibilityFinding) int {
		return severity(a.Coverage) - severity(b.Coverage)
	})
	return declared
}

func sandboxFirst(declared []v1alpha1.CompatibilityFinding) []v1alpha1.CompatibilityFinding {
	slices.SortStableFunc(declared, func(a, b v1alpha1.CompatibilityFinding) int {
		return sandboxRank(a.Field) - sandboxRank(b.Field)
	})
	return declared
}

func sandboxRank(field v1alpha1.CapabilityField) int {
	if field == v1alpha1.FieldSandbox {
		return 0
	}
	return 1
}
