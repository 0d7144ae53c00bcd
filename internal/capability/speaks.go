package capability

import (
	"slices"
	"strings"

	"agentpassport.dev/operator/api/v1alpha1"
)

// SpeaksOf says whether can_access of a document speaks of a service that is granted: Covered where a statement has
// the service's name as words or names a host of it, or where the agent reaches every endpoint; Unclear where a
// statement is open, such as servers that the user configures; else Outside.
func SpeaksOf(document *v1alpha1.AgentDocument, service v1alpha1.ServiceName) v1alpha1.Coverage {
	envelope := newEnvelope(document, v1alpha1.FieldAccesses)
	name := " " + strings.Join(nameParts(string(service)), " ") + " "
	coverage := v1alpha1.CoverageOutside
	for i := range envelope.offers {
		offer := &envelope.offers[i]
		speaks := strings.Contains(" "+strings.Join(nameParts(offer.folded), " ")+" ", name)
		switch {
		case speaks && !excludes(offer):
			return v1alpha1.CoverageCovered
		case speaks:
			coverage = v1alpha1.CoverageUnclear
		}
	}
	return coverage
}

// excludes says whether a statement takes something out, so that a name in it may be what it takes out.
func excludes(offer *statement) bool {
	return offer.sense == takesBack || slices.ContainsFunc(wordsOf(offer.folded), func(word string) bool { return exclusions[word] })
}

var exclusions = words("except", "excepting", "excluding", "but", "not", "no", "never", "without", "besides", "other", "outside", "unlike", "blocks", "blocked")

// nameParts parts a text at everything that is no letter and no digit.
func nameParts(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool {
		return r < 0x80 && (r < '0' || r > '9') && (r < 'a' || r > 'z')
	})
}
