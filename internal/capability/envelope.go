package capability

import "agentpassport.dev/operator/api/v1alpha1"

// envelope is what an agent's document says of one field, made ready for many comparisons.
type envelope struct {
	field v1alpha1.CapabilityField
	// name of the field in the agent's document.
	name string
	// offers are the statements that do not deny.
	offers []statement
	// exact finds an offer by its folded text.
	exact map[string]int
}

func newEnvelope(document *v1alpha1.AgentDocument, field v1alpha1.CapabilityField) *envelope {
	statements, name := offers(document, field)
	made := &envelope{field: field, name: name, exact: make(map[string]int, len(statements))}
	for _, text := range statements {
		offer := newStatement(field, text)
		if offer.sense == denies {
			continue
		}
		if _, twice := made.exact[offer.folded]; !twice {
			made.exact[offer.folded] = len(made.offers)
		}
		made.offers = append(made.offers, offer)
	}
	return made
}

// judge holds one statement of a package against the envelope, rule by rule; the first that knows decides.
func (e *envelope) judge(need *statement) judgement {
	if need.sense == denies {
		return covered(RuleNoNeed, "it says that nothing is needed")
	}
	if at, same := e.exact[need.folded]; same {
		return covered(RuleExact, "%s says the same: %s", e.name, quote(e.offers[at].text))
	}
	if need.sense == takesBack {
		return unclear(RuleMixedDenial, "it denies a need and takes part of that back; read it and compare it with %s", e.name)
	}
	if len(e.offers) == 0 {
		return outside(RuleNoneDeclared, "%s has nothing", e.name)
	}
	return unclear(RuleNone, "no rule compares these words with %s; read both", e.name)
}
