package plugin

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/utils/ptr"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/capability"
	"agentpassport.dev/operator/internal/documentfile"
)

// pairedWith is the agent's side of each field, as a table's head says it.
var pairedWith = map[v1alpha1.CapabilityField]string{
	v1alpha1.FieldReads: "can_read", v1alpha1.FieldWrites: "can_write", v1alpha1.FieldAccesses: "can_access",
	v1alpha1.FieldSpends: "can_spend", v1alpha1.FieldExposes: "can_expose", v1alpha1.FieldApprovals: "will_request_approval_for",
	v1alpha1.FieldInstallMode: "install_modes_supported", v1alpha1.FieldSandbox: "sandboxed",
}

// print shows a table for each field that has something to show, what the packs say, and a line that sums it up.
func (r *pairCommand) print(pkg, agent *documentfile.File, pairing capability.Pairing, checked *v1alpha1.CompatibilityCheck) error {
	p := &page{out: r.Out}
	p.row("package", "%s", strings.TrimPrefix(pkg.Subject(), "package "))
	p.row("agent", "%s", strings.TrimPrefix(agent.Subject(), "agent "))
	p.row("install", "%s", r.mode)
	shown := pairing.Findings()
	if r.all {
		shown = pairing.Declarations
	}
	for len(shown) > 0 && p.err == nil {
		same := 1
		for same < len(shown) && shown[same].Field == shown[0].Field {
			same++
		}
		p.line("")
		p.line("%s (%s)", shown[0].Field, pairedWith[shown[0].Field])
		p.err = errors.Join(p.err, r.table(shown[:same]))
		shown = shown[same:]
	}
	if rules := checked.Status.Policy; len(rules) > 0 && p.err == nil {
		p.line("")
		p.line("policy")
		p.err = errors.Join(p.err, r.rules(rules))
	}
	p.line("")
	p.line("%s", verdictOf(pairing, checked))
	return p.err
}

func (r *pairCommand) table(findings []v1alpha1.CompatibilityFinding) error {
	t := newTable(column{name: "COVERAGE"}, column{name: "RULE", wide: true}, column{name: "DECLARATION"}, column{name: "WHY"})
	for _, finding := range findings {
		t.row(string(finding.Coverage), finding.Rule, ptr.Deref(finding.Declaration, ""), finding.Message)
	}
	return t.show(r.Out, r.output.options())
}

func (r *pairCommand) rules(findings []v1alpha1.PolicyFinding) error {
	t := newTable(column{name: "ACTION"}, column{name: "PACK"}, column{name: "RULE"}, column{name: "MESSAGE"})
	for _, finding := range findings {
		t.row(string(finding.Action), finding.Pack, finding.Rule, finding.Message)
	}
	return t.show(r.Out, r.output.options())
}

// verdictOf sums a pairing up.
func verdictOf(pairing capability.Pairing, checked *v1alpha1.CompatibilityCheck) string {
	verdict := "compatible"
	switch coverage := pairing.Coverage(); {
	case pairing.ApprovalMissing():
		verdict = "not compatible, an approval is missing"
	case coverage == v1alpha1.CoverageOutside:
		verdict = "not compatible"
	case coverage == v1alpha1.CoverageUnclear:
		verdict = "a person has to compare"
	}
	for _, rule := range checked.Status.Policy {
		if rule.Action == v1alpha1.PolicyBlock {
			verdict += ", and blocked by policy"
			break
		}
	}
	summary := checked.Status.Summary
	return fmt.Sprintf("%s: of %s %d covered, %d outside, %d unclear", verdict,
		counted(int(*summary.Declarations), "declaration", "declarations"), *summary.Covered, *summary.Outside, *summary.Unclear)
}
