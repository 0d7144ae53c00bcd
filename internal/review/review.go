// Package review holds the detectors: what in a mission deserves a second look. Each is a pure
// function in a file of its own, from what is known to findings; none reads a clock or does I/O.
package review

import (
	"fmt"
	"time"

	"agentpassport.dev/operator/api/v1alpha1"
)

// The types of the signals that are raised while a mission runs.
const (
	// CheckpointSilence: an interval passed without a checkpoint.
	CheckpointSilence = "checkpoint_silence"
	// CredentialOutsideScope: a service was used that is neither in the intent nor granted.
	CredentialOutsideScope = "credential_outside_scope"
	// CheckpointBurst: more checkpoints in one interval than an agent at work makes.
	CheckpointBurst = "checkpoint_burst"
)

// Finding is what a detector saw.
type Finding struct {
	// Type of the signal, one of the constants of this package.
	Type string
	// Severity: info, warning or critical.
	Severity v1alpha1.Severity
	// Message is the evidence in words, at most 512 characters.
	Message string
	// Service that the finding is about; empty where it is about none.
	Service v1alpha1.ServiceName
	// At is when what was seen happened, by the API server's clock.
	At time.Time
	// Revokes says that the finding ends the passport.
	Revokes bool
}

// Accept turns a finding that a standing exception covers into information, and says so in its
// message. An exception covers findings that happened before it ends.
func Accept(finding Finding, exceptions []v1alpha1.StandingException) Finding {
	if finding.Severity == v1alpha1.SeverityInfo {
		return finding
	}
	for _, exception := range exceptions {
		if exception.Type != finding.Type || (exception.Service != "" && exception.Service != finding.Service) {
			continue
		}
		if !finding.At.Before(exception.Until.Time) {
			continue
		}
		finding.Message = clip(fmt.Sprintf("%s; accepted until %s: %s",
			finding.Message, exception.Until.UTC().Format(time.RFC3339), exception.Reason))
		finding.Severity = v1alpha1.SeverityInfo
		finding.Revokes = false
		return finding
	}
	return finding
}

// Blocks says whether a finding of this severity blocks the agent.
func Blocks(severity v1alpha1.Severity, accountability v1alpha1.Accountability) bool {
	switch severity {
	case v1alpha1.SeverityCritical:
		return accountability.OnCritical == v1alpha1.EscalateBlock
	case v1alpha1.SeverityWarning:
		return accountability.OnWarning == v1alpha1.EscalateBlock
	default:
		return false
	}
}

// Worse gives the higher of two severities.
func Worse(a, b v1alpha1.Severity) v1alpha1.Severity {
	rank := map[v1alpha1.Severity]int{
		v1alpha1.SeverityInfo: 1, v1alpha1.SeverityWarning: 2, v1alpha1.SeverityCritical: 3,
	}
	if rank[a] >= rank[b] {
		return a
	}
	return b
}

// maxMessage is the longest message that a Signal holds, in characters.
const maxMessage = 512

func clip(text string) string {
	runes := []rune(text)
	if len(runes) <= maxMessage {
		return text
	}
	return string(runes[:maxMessage-1]) + "…"
}
