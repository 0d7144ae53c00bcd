package capability

import (
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"agentpassport.dev/operator/api/v1alpha1"
)

// SpeaksOf says whether can_access of a document speaks of a service that is granted: Covered where a statement has
// the service's name as words or in a host, or where the agent reaches every endpoint; Unclear where a statement names
// it among what it takes out, or is open, such as servers that the user configures; else Outside.
func SpeaksOf(document *v1alpha1.AgentDocument, service v1alpha1.ServiceName) v1alpha1.Coverage {
	envelope := newEnvelope(document, v1alpha1.FieldAccesses)
	name := " " + strings.Join(nameParts(fold(string(service))), " ") + " "
	asHost := hostOf(string(service))
	coverage := v1alpha1.CoverageOutside
	for _, offer := range envelope.offers {
		named := strings.Contains(" "+strings.Join(nameParts(offer.folded), " ")+" ", name)
		if offer.host != nil {
			named = ofService(offer.host, name) || (asHost != nil && offer.host.covers(asHost))
		}
		switch {
		case named && !excludes(offer), offer.anyNetwork && !offer.conditional:
			return v1alpha1.CoverageCovered
		case named || offer.anyNetwork || isOpen(offer):
			coverage = v1alpha1.CoverageUnclear
		}
	}
	return coverage
}

// ofService says whether a host belongs to a service: its registered domain begins with the service's name, as
// slack.com and api.slack.com do for slack.
func ofService(host *host, name string) bool {
	domain, err := publicsuffix.EffectiveTLDPlusOne(host.name)
	if err != nil {
		return false
	}
	label, _, _ := strings.Cut(domain, ".")
	return " "+strings.Join(nameParts(label), " ")+" " == name
}

// openWords make a statement one that may have any service in it.
var openWords = words(
	"any", "all", "every", "mcp", "connector", "connectors", "plugin", "plugins", "extension", "extensions", "actions", "configured", "public",
	"internet", "network", "web", "url", "urls", "endpoint", "endpoints", "tools", "services", "apps", "integrations", "third-party",
)

func isOpen(offer *statement) bool {
	return offer.sense == takesBack || slices.ContainsFunc(offer.words, func(word string) bool { return openWords[word] })
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
