package capability

import (
	"slices"
	"strings"

	"agentpassport.dev/operator/api/v1alpha1"
)

// gates finds what a package declares to do that is of a class of action that needs a gate, and that the agent does
// not surely gate on (Agent Passport v0.1, section 1).
func (m *matcher) gates() []v1alpha1.CompatibilityFinding {
	var missing []v1alpha1.CompatibilityFinding
	for _, field := range envelopeFields {
		for _, need := range m.gateNeeds(field) {
			for _, class := range need.classes {
				judged := m.envelope(v1alpha1.FieldApprovals).judgeClass(RuleGate, class)
				if judged.coverage != v1alpha1.CoverageCovered && !codeGates(m.agent.Codes, class) {
					judged.message = "it is of the class " + class.name + "; " + judged.message
					missing = append(missing, judged.finding(v1alpha1.FieldApprovals, need.declaration))
				}
			}
		}
	}
	return missing
}

// gateNeed is a declaration and the classes of action that it is of.
type gateNeed struct {
	declaration string
	classes     []*class
}

// gateNeeds gives the declarations of a field that are of a class. Where codes decide the field, its codes are looked at.
func (m *matcher) gateNeeds(field v1alpha1.CapabilityField) []gateNeed {
	var found []gateNeed
	if needed, _, decide := m.codes(field); decide {
		for _, text := range needed {
			if of := codeClasses(text); len(of) > 0 {
				found = append(found, gateNeed{string(text), of})
			}
		}
		return found
	}
	for _, need := range m.needs[field] {
		if need.sense == denies {
			continue
		}
		var of []*class
		for _, class := range classes {
			if slices.Contains(class.fields, field) && class.actedOn(need.said) {
				of = append(of, class)
			}
		}
		if len(of) > 0 {
			found = append(found, gateNeed{need.text, of})
		}
	}
	return found
}

// codeClasses gives the classes that a code of a package is of, by its second segment: write:production.
func codeClasses(text v1alpha1.CapabilityCode) []*class {
	needed, ok := parseCode(text)
	if !ok {
		return nil
	}
	var found []*class
	for _, class := range classes {
		if slices.ContainsFunc(class.codes, func(code string) bool {
			return text == v1alpha1.CapabilityCode(code) || strings.HasPrefix(string(text), code+":")
		}) && !needed.nothing() {
			found = append(found, class)
		}
	}
	return found
}

// codeGates says whether an agent's codes gate on a class: approve:production.
func codeGates(codes *v1alpha1.CapabilityCodes, class *class) bool {
	return judgeCode("approve:"+v1alpha1.CapabilityCode(class.name), codesOf(codes, v1alpha1.FieldApprovals)).coverage == v1alpha1.CoverageCovered
}

// judgeApproval judges an approval that a package requires by its classes of action; false where a part of it is of
// no class that is known.
func (e *envelope) judgeApproval(need *statement) (judgement, bool) {
	var worst judgement
	for _, clause := range need.clauses {
		for part := range strings.SplitSeq(clause, " or ") {
			said := dropFillers(wordsOf(part))
			if len(said) == 0 {
				continue
			}
			of := classesNamed(said)
			if len(of) == 0 {
				return judgement{}, false
			}
			for _, class := range of {
				if judged := e.judgeClass(RuleApproval, class); worst.coverage == "" || severity(judged.coverage) < severity(worst.coverage) {
					worst = judged
				}
			}
		}
	}
	return worst, worst.coverage != ""
}

// judgeClass says whether the agent gates on a class of action: Covered where a statement gates on the whole class as
// the agent is shipped, Unclear where one may gate on a part of it, else Outside.
func (e *envelope) judgeClass(rule string, class *class) judgement {
	var part *statement
	for _, offer := range e.offers {
		whole, partly := gatesOn(offer, class)
		if whole {
			return covered(rule, "%s has %s", e.name, quote(offer.text))
		}
		if partly && part == nil {
			part = offer
		}
	}
	if part != nil {
		return unclear(rule, "%s has %s, which may gate on a part of %s alone, or under a condition", e.name, quote(part.text), class.name)
	}
	return outside(rule, "%s has no gate for %s", e.name, class.name)
}

// gate is what a statement of will_request_approval_for gates on.
type gate struct {
	// every: it gates on all that the agent does.
	every bool
	// whole are the parts that gate on a whole class, stemmed; which, that class says.
	whole []string
	// named: it names a class.
	named bool
}

func newGate(offer *statement) gate {
	var made gate
	for _, clause := range clausesOf(asShippedOnly(dropRemarks(offer.folded))) {
		for part := range strings.SplitSeq(clause, " or ") {
			said := dropArticles(wordsOf(part))
			made.every = made.every || everyAction[strings.Join(said, " ")]
			said = dropFillers(said)
			made.whole = append(made.whole, stemmed(said))
			made.named = made.named || slices.ContainsFunc(classes, func(class *class) bool { return class.named(said) })
		}
	}
	return made
}

// gatesOn says whether a gate of an agent is for a whole class of action, or for a part of it.
func gatesOn(offer *statement, class *class) (whole, partly bool) {
	switch {
	case offer.sense == takesBack:
		return false, true
	case offer.gate.every || slices.ContainsFunc(offer.gate.whole, func(part string) bool { return class.gates[part] }):
		return !offer.conditional, true
	case offer.gate.named:
		return false, class.named(offer.words)
	default:
		return false, overlaps(offer, class)
	}
}

// overlaps says whether a gate that names no class may be for a part of one. A gate in words that nobody knows may be
// for anything.
func overlaps(offer *statement, class *class) bool {
	known := false
	for _, word := range offer.words {
		of, found := overlapWords[stem(word)]
		if known = known || found; found && (of == "*" || slices.Contains(strings.Fields(of), class.name)) {
			return true
		}
	}
	return !known
}
