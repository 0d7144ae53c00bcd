package review

import (
	"maps"
	"slices"
	"time"

	"agentpassport.dev/operator/api/v1alpha1"
)

// rule is how bad a signal is that a gateway raises.
type rule struct {
	severity v1alpha1.Severity
	// lenient is the severity where the mode is not Enforced.
	lenient v1alpha1.Severity
	// revokes says that it ends the passport where the mode is Enforced.
	revokes bool
	// once says that a passport has it once.
	once bool
	// after says that it is about what happens once the mission is over.
	after bool
}

// rules of all signals that gateways raise. How bad one is, its type and the mode decide, never the
// gateway that reports it.
var rules = map[string]rule{
	CredentialOutsideScope: {severity: v1alpha1.SeverityCritical, lenient: v1alpha1.SeverityWarning, revokes: true},
	ScopeDrift:             {severity: v1alpha1.SeverityWarning, revokes: true, once: true},
	CredentialBurst:        {severity: v1alpha1.SeverityWarning},
	ConstraintViolation:    {severity: v1alpha1.SeverityWarning},
	UseAfterCheckout:       {severity: v1alpha1.SeverityCritical, after: true},
	UseAfterRevocation:     {severity: v1alpha1.SeverityWarning, after: true},
	ForeignWorkload:        {severity: v1alpha1.SeverityCritical, revokes: true},
	CallRateAnomaly:        {severity: v1alpha1.SeverityWarning},
}

// Reported is the finding that a gateway's report is under a mode; false where gateways raise no signal
// of that type.
func Reported(kind string, service v1alpha1.ServiceName, message string, mode v1alpha1.AccountabilityMode, at time.Time) (Finding, bool) {
	rule, known := rules[kind]
	if !known {
		return Finding{}, false
	}
	finding := Finding{Type: kind, Severity: rule.severity, Service: service, Message: clip(message, maxMessage), At: at}
	if mode == v1alpha1.ModeEnforced {
		finding.Revokes = rule.revokes
	} else if rule.lenient != "" {
		finding.Severity = rule.lenient
	}
	return finding, true
}

// Once says whether a passport has a signal of this type once, however often it is reported.
func Once(kind string) bool { return rules[kind].once }

// ByGateways are the types of signals that gateways alone raise.
func ByGateways() []string {
	kinds := slices.Sorted(maps.Keys(rules))
	return slices.DeleteFunc(kinds, func(kind string) bool { return kind == CredentialOutsideScope })
}

// Judgeable are the signals that a mission is judged by. What is done with a token once its mission is
// over is held against the agent, not against the mission.
func Judgeable(signals []v1alpha1.Signal) []v1alpha1.Signal {
	return slices.DeleteFunc(slices.Clone(signals), func(signal v1alpha1.Signal) bool { return rules[signal.Type].after })
}
