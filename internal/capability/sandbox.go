package capability

import (
	"slices"
	"strings"

	"agentpassport.dev/operator/api/v1alpha1"
)

// pairInstallMode says where the agent does not support the mode of the install.
func pairInstallMode(document *v1alpha1.AgentDocument, mode v1alpha1.InstallMode) []v1alpha1.CompatibilityFinding {
	if slices.Contains(document.InstallModesSupported, mode) {
		return nil
	}
	supported := make([]string, 0, len(document.InstallModesSupported))
	for _, other := range document.InstallModesSupported {
		supported = append(supported, string(other))
	}
	return []v1alpha1.CompatibilityFinding{
		outside(RuleInstallMode, "the agent does not support the install mode %s; install_modes_supported has %s", quote(string(mode)), some(supported)).
			finding(v1alpha1.FieldInstallMode, string(mode)),
	}
}

// optionals are the words by which a package can do without.
var optionals = words("optional", "optionally", "if", "when", "where", "unless", "may", "might", "configured", "opt-in")

// localWords in a write name the operator's own filesystem.
var localWords = words("local", "locally", "disk", "filesystem", "filesystems", "file-system")

// localPhrases in a write name the operator's own filesystem.
var localPhrases = []string{"file system", "working directory", "home directory", "hard drive"}

// gitWords name a git operation.
var gitWords = words("git", "git's")

// productionWords name a production system.
var productionWords = words("production", "prod", "production-system", "production-systems")

// sandboxForbids says whether a statement needs what no cloud-sandbox agent has: the operator's filesystem, git, or
// production systems (Agent Passport v0.1, section 5).
func sandboxForbids(field v1alpha1.CapabilityField, need *statement) (judgement, bool) {
	if need.sense == denies || need.sense == takesBack {
		return judgement{}, false
	}
	reaches := field == v1alpha1.FieldReads || field == v1alpha1.FieldWrites || field == v1alpha1.FieldAccesses
	has := func(set map[string]bool) bool {
		return slices.ContainsFunc(need.words, func(word string) bool { return set[word] })
	}
	var what string
	switch {
	case field == v1alpha1.FieldWrites && writesLocally(need):
		what = "the operator's local filesystem"
	case reaches && has(gitWords):
		what = "a git repository"
	case reaches && has(productionWords):
		what = "production systems"
	default:
		return judgement{}, false
	}
	if has(optionals) {
		return unclear(RuleSandbox, "a cloud-sandbox agent has no access to %s; the package may do without", what), true
	}
	return outside(RuleSandbox, "a cloud-sandbox agent has no access to %s", what), true
}

// writesLocally says whether a statement of writes names a place in the operator's filesystem.
func writesLocally(need *statement) bool {
	return need.place != nil || slices.ContainsFunc(need.words, func(word string) bool { return localWords[word] }) ||
		slices.ContainsFunc(localPhrases, func(phrase string) bool { return strings.Contains(" "+need.plain+" ", " "+phrase+" ") })
}

// sandboxCodes are the codes that need what no cloud-sandbox agent has, by the first segments.
var sandboxCodes = map[string]string{
	"write:fs": "the operator's local filesystem", "read:git": "a git repository", "write:git": "a git repository",
	"access:git": "a git repository", "read:production": "production systems", "write:production": "production systems",
	"access:production": "production systems",
}

func sandboxForbidsCode(need v1alpha1.CapabilityCode) (judgement, bool) {
	needed, ok := parseCode(need)
	if !ok {
		return judgement{}, false
	}
	if needed.verb == "write" && needed.segments[0] == "*" {
		return outside(RuleSandbox, "a cloud-sandbox agent writes to its session sandbox only"), true
	}
	what, found := sandboxCodes[needed.verb+":"+needed.segments[0]]
	if !found {
		return judgement{}, false
	}
	return outside(RuleSandbox, "a cloud-sandbox agent has no access to %s", what), true
}
