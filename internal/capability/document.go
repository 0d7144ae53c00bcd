// Package capability reads the documents that say what an agent can do (Agent Passport v0.1) and what a package will
// do (Capability Passport v0.1), and pairs the two. It is pure: no I/O, no clock.
package capability

import (
	"fmt"
	"slices"
	"strings"

	"agentpassport.dev/operator/api/v1alpha1"
)

// Finding is something that a reader of a document has to know. It never refuses the document.
type Finding struct {
	// Condition that shows the finding on the AgentPassport or the CapabilityPassport.
	Condition v1alpha1.ConditionType
	// Reason of the condition.
	Reason v1alpha1.Reason
	// Message for people.
	Message string
}

// Findings gives what is odd about a document, in a fixed order, at most one finding a condition.
func Findings(document *v1alpha1.AgentDocument) []Finding {
	var findings []Finding
	for _, find := range []func(*v1alpha1.AgentDocument) (Finding, bool){
		agentUnknownFields, sandboxContradiction, writesBeyondSandbox, unprovenClaim,
	} {
		if finding, found := find(document); found {
			findings = append(findings, finding)
		}
	}
	return findings
}

// FindingConditions lists every condition that Findings may raise.
func FindingConditions() []v1alpha1.ConditionType {
	return []v1alpha1.ConditionType{
		v1alpha1.ConditionUnknownFields,
		v1alpha1.ConditionSandboxContradiction,
		v1alpha1.ConditionWritesBeyondSandbox,
		v1alpha1.ConditionUnprovenClaim,
	}
}

func agentUnknownFields(document *v1alpha1.AgentDocument) (Finding, bool) {
	return unknownFields(v1alpha1.DocumentSchema, document.Raw, agentFields)
}

func sandboxContradiction(document *v1alpha1.AgentDocument) (Finding, bool) {
	modes := document.InstallModesSupported
	cloud := slices.Contains(modes, v1alpha1.InstallCloudSandbox)
	local := slices.Contains(modes, v1alpha1.InstallLocalTool)
	finding := Finding{Condition: v1alpha1.ConditionSandboxContradiction}
	switch {
	case document.Sandboxed && !cloud:
		finding.Reason = v1alpha1.ReasonSandboxedWithoutCloudMode
		finding.Message = "sandboxed is true, but install_modes_supported lacks cloud-sandbox: set sandboxed to false, or add the mode"
	case document.Sandboxed && local:
		finding.Reason = v1alpha1.ReasonSandboxedLocalTool
		finding.Message = "sandboxed is true, but install_modes_supported has local-tool, which no provider sandboxes: describe the two as two agents"
	case !document.Sandboxed && cloud && len(modes) == 1:
		finding.Reason = v1alpha1.ReasonCloudModeNotSandboxed
		finding.Message = "sandboxed is false, but cloud-sandbox is the only mode in install_modes_supported: set sandboxed to true, or add the mode that runs outside"
	default:
		return Finding{}, false
	}
	return finding, true
}

func writesBeyondSandbox(document *v1alpha1.AgentDocument) (Finding, bool) {
	if !document.Sandboxed && !slices.Equal(document.InstallModesSupported, []v1alpha1.InstallMode{v1alpha1.InstallCloudSandbox}) {
		return Finding{}, false
	}
	var beyond []string
	for _, statement := range document.Capabilities.CanWrite {
		if !withinSessionSandbox(string(statement)) {
			beyond = append(beyond, fmt.Sprintf("%q", shorten(string(statement))))
		}
	}
	if len(beyond) == 0 {
		return Finding{}, false
	}
	return Finding{
		Condition: v1alpha1.ConditionWritesBeyondSandbox,
		Reason:    v1alpha1.ReasonClaimsOutsideWrites,
		Message:   fmt.Sprintf("a cloud-sandbox agent writes to its session sandbox only, but can_write has %s", some(beyond)),
	}, true
}

// withinSessionSandbox says whether a can_write statement stays inside the session sandbox:
// "session sandbox", alone, with "only" or with a remark in brackets; or a denial ("No ...", "None").
func withinSessionSandbox(statement string) bool {
	words := strings.TrimSuffix(strings.Join(strings.Fields(strings.ToLower(statement)), " "), ".")
	if words == "none" || words == "no" || strings.HasPrefix(words, "no ") || strings.HasPrefix(words, "none ") {
		return true
	}
	rest, ok := strings.CutPrefix(strings.TrimPrefix(words, "the "), "session sandbox")
	if !ok {
		return false
	}
	rest = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(rest), "only"))
	return rest == "" || (strings.HasPrefix(rest, "(") && strings.Index(rest, ")") == len(rest)-1)
}

func unprovenClaim(document *v1alpha1.AgentDocument) (Finding, bool) {
	if !document.Verified {
		return Finding{}, false
	}
	return Finding{
		Condition: v1alpha1.ConditionUnprovenClaim,
		Reason:    v1alpha1.ReasonNoProof,
		Message:   "the document says verified: true, and nothing proves it: no vendor signature was checked; treat the document as self-declared",
	}, true
}

func some(names []string) string {
	if len(names) <= maxNamed {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), len(names)-maxNamed)
}

// shorten keeps a statement quotable in a condition.
func shorten(text string) string {
	const limit = 80
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	return string(runes[:limit-1]) + "…"
}
