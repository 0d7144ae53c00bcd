package capability

import "agentpassport.dev/operator/api/v1alpha1"

// matcher holds a package against an agent, with every statement made ready once.
type matcher struct {
	pkg       Package
	agent     Agent
	sandboxed bool
	// needs are the package's statements, by field.
	needs map[v1alpha1.CapabilityField][]*statement
	// approvals is what the agent asks approval for.
	approvals *envelope
}

func newMatcher(pkg Package, agent Agent, mode v1alpha1.InstallMode) *matcher {
	made := &matcher{
		pkg: pkg, agent: agent, sandboxed: mode == v1alpha1.InstallCloudSandbox || agent.Document.Sandboxed,
		needs: make(map[v1alpha1.CapabilityField][]*statement, len(envelopeFields)+1),
	}
	for _, field := range append([]v1alpha1.CapabilityField{v1alpha1.FieldApprovals}, envelopeFields...) {
		for _, text := range needs(pkg.Document, field) {
			made.needs[field] = append(made.needs[field], newStatement(field, text))
		}
	}
	return made
}

// codes gives the codes of both sides for a field, where both have some.
func (m *matcher) codes(field v1alpha1.CapabilityField) (needed, has []v1alpha1.CapabilityCode, decide bool) {
	needed, has = codesOf(m.pkg.Codes, field), codesOf(m.agent.Codes, field)
	return needed, has, len(needed) > 0 && len(has) > 0
}

// envelope gives what the agent's document says of a field.
func (m *matcher) envelope(field v1alpha1.CapabilityField) *envelope {
	if field != v1alpha1.FieldApprovals {
		return newEnvelope(m.agent.Document, field)
	}
	if m.approvals == nil {
		m.approvals = newEnvelope(m.agent.Document, field)
	}
	return m.approvals
}

// field judges what the package declares in a field. What a sandbox forbids carries the field sandbox instead.
func (m *matcher) field(field v1alpha1.CapabilityField) []v1alpha1.CompatibilityFinding {
	if needed, has, decide := m.codes(field); decide {
		return m.fieldByCodes(field, needed, has)
	}
	statements := m.needs[field]
	if len(statements) == 0 {
		return nil
	}
	agents := m.envelope(field)
	declared := make([]v1alpha1.CompatibilityFinding, 0, len(statements))
	for _, need := range statements {
		if m.sandboxed {
			if forbidden, found := sandboxForbids(field, need); found {
				declared = append(declared, forbidden.finding(v1alpha1.FieldSandbox, need.text))
				continue
			}
		}
		declared = append(declared, agents.judge(need).finding(field, need.text))
	}
	return declared
}

// fieldByCodes judges a field by the codes of both sides.
func (m *matcher) fieldByCodes(field v1alpha1.CapabilityField, needed, has []v1alpha1.CapabilityCode) []v1alpha1.CompatibilityFinding {
	declared := make([]v1alpha1.CompatibilityFinding, 0, len(needed))
	for _, need := range needed {
		if m.sandboxed {
			if forbidden, found := sandboxForbidsCode(need); found {
				declared = append(declared, forbidden.finding(v1alpha1.FieldSandbox, string(need)))
				continue
			}
		}
		declared = append(declared, judgeCode(need, has).finding(field, string(need)))
	}
	return declared
}
