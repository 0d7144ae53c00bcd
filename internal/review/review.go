// Package review holds the detectors: what in a mission deserves a second look. Each is a pure
// function in a file of its own, from what is known to findings; none reads a clock or does I/O.
package review

import (
	"fmt"
	"time"
	"unicode/utf8"

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
	// AbandonedMission: the passport expired, and its agent never checked out.
	AbandonedMission = "abandoned_mission"
	// ScopeDrift: calls stray from the intent.
	ScopeDrift = "scope_drift"
	// CredentialBurst: more uses of credentials within half a minute than an agent at work makes.
	CredentialBurst = "credential_burst"
	// ConstraintViolation: a call inside the scope broke a constraint.
	ConstraintViolation = "constraint_violation"
	// UseAfterCheckout: the token was used after its mission checked out.
	UseAfterCheckout = "use_after_checkout"
	// UseAfterRevocation: the token was used after its revocation or expiry.
	UseAfterRevocation = "use_after_revocation"
	// ForeignWorkload: the token was shown by somebody who may not use the agent.
	ForeignWorkload = "foreign_workload"
	// CallRateAnomaly: far more calls a minute than this agent's missions make.
	CallRateAnomaly = "call_rate_anomaly"
)

// The types of the flags that are raised when a mission is judged.
const (
	// UngrantedService: a service was used that the passport does not carry.
	UngrantedService = "ungranted_service"
	// UndeclaredService: a granted service was used that the intent does not name.
	UndeclaredService = "undeclared_service"
	// UnreportedService: the gateways saw calls to a service that no report names.
	UnreportedService = "unreported_service"
	// DeniedCalls: the gateways refused calls for their service, target or a constraint.
	DeniedCalls = "denied_calls"
	// ObservationIncomplete: what a gateway saw of the mission is not known.
	ObservationIncomplete = "observation_incomplete"
	// ActionsMismatch: the checkout reports fewer actions than the checkpoints did, or others than the
	// gateways saw.
	ActionsMismatch = "actions_mismatch"
	// CheckpointGap: in mode Logged, an interval passed without a checkpoint.
	CheckpointGap = "checkpoint_gap"
	// LateCheckout: the agent checked out after its passport had ended.
	LateCheckout = "late_checkout"
	// NoCheckout: the operator had to check out for the agent.
	NoCheckout = "no_checkout"
	// ActionVolumeAnomaly: far more actions than this agent's missions take.
	ActionVolumeAnomaly = "action_volume_anomaly"
	// SignalRaised: a signal was raised for the mission.
	SignalRaised = "signal_raised"
	// DurationOverrun: the mission took longer than its intent estimated.
	DurationOverrun = "duration_overrun"
	// DurationAnomaly: the mission took far longer than this agent's missions do.
	DurationAnomaly = "duration_anomaly"
	// NovelService: a service was used that none of this agent's missions used before.
	NovelService = "novel_service"
	// UnusedService: a service was declared in the intent and not used.
	UnusedService = "unused_service"
	// DetectorError: a detector failed; what it looks for may have been missed.
	DetectorError = "detector_error"
	// FlagsOmitted: there are more flags than a Checkout holds.
	FlagsOmitted = "flags_omitted"
)

// Finding is what a detector saw.
type Finding struct {
	// Type of the signal or flag, one of the constants of this package.
	Type string
	// Severity: info, warning or critical.
	Severity v1alpha1.Severity
	// Message is the evidence in words, at most 512 characters.
	Message string
	// Evidence lists the facts that the finding rests on.
	Evidence []v1alpha1.Evidence
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
		note := fmt.Sprintf("; accepted until %s: %s", exception.Until.UTC().Format(time.RFC3339), exception.Reason)
		finding.Message = annotate(finding.Message, note)
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
	if rank(a) >= rank(b) {
		return a
	}
	return b
}

func rank(severity v1alpha1.Severity) int {
	switch severity {
	case v1alpha1.SeverityCritical:
		return 3
	case v1alpha1.SeverityWarning:
		return 2
	case v1alpha1.SeverityInfo:
		return 1
	default:
		return 0
	}
}

// maxMessage is the longest message that a Signal or a Flag holds, in characters.
const maxMessage = 512

// annotate adds a note to a message. Where both are long, each gets half of the room.
func annotate(message, note string) string {
	note = clip(note, maxMessage-min(utf8.RuneCountInString(message), maxMessage/2))
	return clip(message, maxMessage-utf8.RuneCountInString(note)) + note
}

// clip shortens a text to so many characters.
func clip(text string, limit int) string {
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	return string(runes[:limit-1]) + "…"
}
