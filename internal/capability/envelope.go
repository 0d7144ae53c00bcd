package capability

import (
	"slices"

	"agentpassport.dev/operator/api/v1alpha1"
)

// envelope is what an agent's document says of one field, made ready for many comparisons.
type envelope struct {
	field v1alpha1.CapabilityField
	// name of the field in the agent's document.
	name string
	// offers are the statements that do not deny.
	offers []*statement
	// exact finds an offer by its folded text, phrases by its plain words, listed by what it lists first.
	exact           map[string]*statement
	phrases, listed map[string][]*statement
	// places, hosts and networks are the offers that are such.
	places, hosts, networks []*statement
	// terms finds the offers that mean a term.
	terms map[string][]*statement
}

func newEnvelope(document *v1alpha1.AgentDocument, field v1alpha1.CapabilityField) *envelope {
	statements, name := offers(document, field)
	made := &envelope{
		field: field, name: name, exact: make(map[string]*statement, len(statements)),
		phrases: map[string][]*statement{}, listed: map[string][]*statement{}, terms: map[string][]*statement{},
	}
	for _, text := range statements {
		if offer := newStatement(field, text); offer.sense != denies && made.exact[offer.folded] == nil {
			made.add(offer)
		}
	}
	return made
}

func (e *envelope) add(offer *statement) {
	e.offers = append(e.offers, offer)
	e.exact[offer.folded] = offer
	if offer.sense != affirms {
		return // what denies and takes back is compared as a whole alone
	}
	if isPhrase(offer) {
		e.phrases[offer.plain] = append(e.phrases[offer.plain], offer)
	}
	if first, ok := firstListed(offer); ok {
		e.listed[first] = append(e.listed[first], offer)
	}
	for _, term := range offer.terms {
		e.terms[term] = append(e.terms[term], offer)
	}
	if offer.place != nil {
		e.places = append(e.places, offer)
	}
	if offer.host != nil {
		e.hosts = append(e.hosts, offer)
	}
	if offer.anyNetwork {
		e.networks = append(e.networks, offer)
	}
}

// judge holds one statement of a package against the envelope, rule by rule. The first rule by which it is covered
// decides; then a rule by which it surely falls outside; else it is unclear.
func (e *envelope) judge(need *statement) judgement {
	if need.sense == denies {
		return covered(RuleNoNeed, "it says that nothing is needed")
	}
	if same := e.exact[need.folded]; same != nil {
		return covered(RuleExact, "%s has the same words", e.name)
	}
	if need.sense == takesBack {
		return unclear(RuleMixedDenial, "it denies a need and takes part of that back; compare what is left with %s", e.name)
	}
	if len(e.offers) == 0 {
		return outside(RuleNoneDeclared, "%s of the agent has nothing", e.name)
	}
	if e.field == v1alpha1.FieldApprovals {
		if judged, known := e.judgeApproval(need); known {
			return judged
		}
	}
	var maybe *statement
	for _, rule := range coverRules {
		by, conditional := rule.covers(e, need)
		if by != nil {
			return covered(rule.name, "%s has %s, %s", e.name, quote(by.text), rule.why)
		}
		if maybe == nil {
			maybe = conditional
		}
	}
	if maybe != nil {
		return unclear(RuleConditional, "%s has %s, which holds under a condition alone", e.name, quote(maybe.text))
	}
	if e.outsidePlaces(need) {
		return outside(RulePath, "the path lies in none of the places that %s has", e.name)
	}
	if e.outsideHosts(need) {
		return outside(RuleHost, "%s has hosts alone, and this is none of them", e.name)
	}
	return unclear(RuleNone, "no rule compares these words with %s; read both", e.name)
}

// coverRule finds an offer that covers a need, or one that does so under a condition.
type coverRule struct {
	name, why string
	covers    func(e *envelope, need *statement) (by, conditional *statement)
}

var coverRules = []coverRule{
	{RulePath, "which has the path in it", (*envelope).placeFor},
	{RuleHost, "which has the host in it", (*envelope).hostFor},
	{RuleAnyNetwork, "which is every endpoint", (*envelope).networkFor},
	{RuleVocabulary, "which means the same or more", (*envelope).termsFor},
	{RuleNarrower, "and the declaration narrows it", (*envelope).phraseIn},
	{RuleListed, "which lists it", (*envelope).listedFor},
}

// pick gives the first offer that fits, and where there is none, the first that fits under a condition.
func pick(offers []*statement, fits func(*statement) bool) (by, conditional *statement) {
	for _, offer := range offers {
		switch {
		case conditional != nil && offer.conditional, !fits(offer):
		case !offer.conditional:
			return offer, nil
		default:
			conditional = offer
		}
	}
	return nil, conditional
}

func always(*statement) bool { return true }

// placeFor: a path or glob of the agent has the need's path in it. Two phrases are the vocabulary's business.
func (e *envelope) placeFor(need *statement) (by, conditional *statement) {
	if need.place == nil || need.remark && len(need.terms) > 0 {
		return nil, nil
	}
	return pick(e.places, func(offer *statement) bool {
		return (len(need.terms) == 0 || len(offer.terms) == 0) && offer.place.covers(need.place)
	})
}

// hostFor: a host or wildcard of the agent has the need's host in it.
func (e *envelope) hostFor(need *statement) (by, conditional *statement) {
	if need.host == nil {
		return nil, nil
	}
	return pick(e.hosts, func(offer *statement) bool { return offer.host.covers(need.host) })
}

// networkFor: the agent reaches every endpoint, and the need names something on the network.
func (e *envelope) networkFor(need *statement) (by, conditional *statement) {
	if len(e.networks) == 0 || (need.host == nil && !ofNetwork(need.words)) {
		return nil, nil
	}
	return pick(e.networks, always)
}

// termsFor: the agent has every term that the need means. Where several statements have them, the last is named.
func (e *envelope) termsFor(need *statement) (by, conditional *statement) {
	if need.remark {
		return nil, nil
	}
	for _, term := range need.terms {
		has, maybe := pick(e.terms[term], always)
		if has == nil && term == termWorking {
			has, maybe = pick(e.terms[termAccount], always)
		}
		switch {
		case has == nil && maybe == nil:
			return nil, nil
		case has == nil:
			conditional = maybe
		default:
			by = has
		}
	}
	if conditional != nil {
		return nil, conditional
	}
	return by, nil
}

// listedFor: the need is what a plain list of the agent names first.
func (e *envelope) listedFor(need *statement) (by, conditional *statement) {
	if need.remark {
		return nil, nil
	}
	return pick(e.listed[need.plain], always)
}

// outsidePlaces says whether the need is a path, and surely in none of the agent's places: all that the agent has in
// the field is known, and none of it is there.
func (e *envelope) outsidePlaces(need *statement) bool {
	return need.place != nil && len(need.terms) == 0 && !slices.ContainsFunc(e.offers, func(offer *statement) bool {
		if offer.place != nil {
			return !offer.place.outside(need.place)
		}
		return len(offer.terms) == 0
	})
}

// outsideHosts says whether the need is a host, and the agent has hosts alone, none of that name.
func (e *envelope) outsideHosts(need *statement) bool {
	return need.host != nil && !slices.ContainsFunc(e.offers, func(offer *statement) bool {
		return offer.host == nil || offer.host.sharesName(need.host)
	})
}
