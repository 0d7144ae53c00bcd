package capability

import "agentpassport.dev/operator/api/v1alpha1"

// pairField judges what a package declares in a field. What a sandbox forbids carries the field sandbox instead.
func pairField(pkg Package, agent Agent, field v1alpha1.CapabilityField, sandboxed bool) []v1alpha1.CompatibilityFinding {
	if needed, has := codesOf(pkg.Codes, field), codesOf(agent.Codes, field); len(needed) > 0 && len(has) > 0 {
		return pairCodes(field, needed, has, sandboxed)
	}
	statements := needs(pkg.Document, field)
	if len(statements) == 0 {
		return nil
	}
	agents := newEnvelope(agent.Document, field)
	declared := make([]v1alpha1.CompatibilityFinding, 0, len(statements))
	for _, text := range statements {
		need := newStatement(field, text)
		if sandboxed {
			if forbidden, found := sandboxForbids(field, need); found {
				declared = append(declared, forbidden.finding(v1alpha1.FieldSandbox, need.text))
				continue
			}
		}
		declared = append(declared, agents.judge(need).finding(field, need.text))
	}
	return declared
}

// pairCodes judges a field by the codes of both sides.
func pairCodes(field v1alpha1.CapabilityField, needed, has []v1alpha1.CapabilityCode, sandboxed bool) []v1alpha1.CompatibilityFinding {
	declared := make([]v1alpha1.CompatibilityFinding, 0, len(needed))
	for _, need := range needed {
		if sandboxed {
			if forbidden, found := sandboxForbidsCode(need); found {
				declared = append(declared, forbidden.finding(v1alpha1.FieldSandbox, string(need)))
				continue
			}
		}
		declared = append(declared, judgeCode(need, has).finding(field, string(need)))
	}
	return declared
}
