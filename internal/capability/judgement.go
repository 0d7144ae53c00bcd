package capability

import (
	"fmt"
	"strconv"
	"strings"

	"agentpassport.dev/operator/api/v1alpha1"
)

// The rules by which a declaration is judged, as a finding names them. docs/compatibility.md has each with an example.
const (
	// RuleNoNeed: the declaration says that nothing is needed.
	RuleNoNeed = "no_need"
	// RuleExact: a statement of the agent is the same text.
	RuleExact = "exact"
	// RuleCodes: both sides have codes for the field, and these decide.
	RuleCodes = "codes"
	// RuleNoneDeclared: the agent's list for the field is empty, or only denies.
	RuleNoneDeclared = "none_declared"
	// RuleMixedDenial: the declaration denies something, and takes part of it back.
	RuleMixedDenial = "mixed_denial"
	// RulePath: paths and globs, and the working directory.
	RulePath = "path"
	// RuleHost: hosts, URLs and wildcards of domains.
	RuleHost = "host"
	// RuleAnyNetwork: the agent reaches every endpoint.
	RuleAnyNetwork = "any_network"
	// RuleNarrower: the declaration is a statement of the agent with words that narrow it.
	RuleNarrower = "narrower"
	// RuleListed: the declaration is what a statement of the agent names first in a list.
	RuleListed = "listed"
	// RuleVocabulary: both sides use words of the vocabulary.
	RuleVocabulary = "vocabulary"
	// RuleConditional: the agent's document has it under a condition alone.
	RuleConditional = "conditional"
	// RuleApproval: an approval that the package requires, by its class of action.
	RuleApproval = "approval"
	// RuleGate: what the package does is of a class of action that needs a gate.
	RuleGate = "gate"
	// RuleSandbox: what no cloud-sandbox agent can do.
	RuleSandbox = "sandbox"
	// RuleInstallMode: the agent does not support the mode of the install.
	RuleInstallMode = "install_mode"
	// RuleNone: no rule compares these words.
	RuleNone = "no_rule"
)

// Limits of a finding, in characters (see v1alpha1.CompatibilityFinding).
const (
	maxDeclaration = 2048
	maxMessage     = 1024
)

// judgement is what a rule says of one declaration.
type judgement struct {
	coverage v1alpha1.Coverage
	rule     string
	message  string
}

func covered(rule, format string, args ...any) judgement {
	return judgement{v1alpha1.CoverageCovered, rule, fmt.Sprintf(format, args...)}
}

func outside(rule, format string, args ...any) judgement {
	return judgement{v1alpha1.CoverageOutside, rule, fmt.Sprintf(format, args...)}
}

func unclear(rule, format string, args ...any) judgement {
	return judgement{v1alpha1.CoverageUnclear, rule, fmt.Sprintf(format, args...)}
}

// finding makes the judgement one of a declaration.
func (j judgement) finding(field v1alpha1.CapabilityField, declaration string) v1alpha1.CompatibilityFinding {
	declaration = cut(strings.ToValidUTF8(declaration, "\uFFFD"), maxDeclaration)
	return v1alpha1.CompatibilityFinding{
		Field: field, Declaration: &declaration, Coverage: j.coverage, Rule: j.rule, Message: cut(j.message, maxMessage),
	}
}

// quote gives a statement in quotes, shortened.
func quote(text string) string {
	return strconv.Quote(shorten(text))
}

// cut ends a text after so many characters.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return text
}
