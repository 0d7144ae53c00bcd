package capability

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"agentpassport.dev/operator/api/v1alpha1"
)

// The tables of docs/compatibility.md are those of the code.
func TestTheDocumentationHasEveryRuleWordAndClass(t *testing.T) {
	data, err := os.ReadFile("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	written := string(data)
	for _, rule := range []string{
		RuleNoNeed, RuleExact, RuleCodes, RuleNoneDeclared, RuleMixedDenial, RulePath, RuleHost, RuleAnyNetwork, RuleNarrower, RuleListed,
		RuleVocabulary, RuleConditional, RuleApproval, RuleGate, RuleSandbox, RuleInstallMode, RuleNone,
	} {
		if !strings.Contains(written, "`"+rule+"`") {
			t.Errorf("the rule %s is missing", rule)
		}
	}
	for _, row := range append(vocabularyRows(), classRows()...) {
		if !strings.Contains(written, row+"\n") {
			t.Errorf("missing: %s", row)
		}
	}
}

func vocabularyRows() []string {
	var rows []string
	for _, field := range append(slices.Clone(envelopeFields), v1alpha1.FieldApprovals) {
		for _, term := range vocabulary[field] {
			rows = append(rows, fmt.Sprintf("| %s | %s | %s |", field, term.name, strings.Join(term.phrases, "; ")))
		}
	}
	return rows
}

func classRows() []string {
	rows := make([]string, 0, len(classes))
	for _, class := range classes {
		fields := make([]string, 0, len(class.fields))
		for _, field := range class.fields {
			fields = append(fields, string(field))
		}
		rows = append(rows, fmt.Sprintf("| %s | %s: %s | %s | %s |", class.name, strings.Join(fields, ", "), inOrderOf(class.acts), inOrderOf(class.gates), strings.Join(class.codes, ", ")))
	}
	return rows
}

func inOrderOf(set map[string]bool) string {
	return strings.Join(slices.Sorted(maps.Keys(set)), "; ")
}
