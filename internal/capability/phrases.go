package capability

import (
	"slices"
	"strings"
)

// Bounds of the phrases of an agent that are looked for in a declaration, in words.
const (
	minPhrase = 2
	maxPhrase = 16
	// maxBefore is how many words may stand before the phrase: "Old public git history".
	maxBefore = 2
)

// joiners are the words after which a text may name more than it did, or something else.
var joiners = words(
	"and", "or", "plus", "also", "including", "includes", "but", "except", "excluding", "not", "no", "non", "without", "outside", "beyond", "other",
	"than", "to", "into", "onto", "with", "via", "all", "any", "every", "each", "entire", "whole", "full", "unrestricted", "everything", "besides",
	"above", "over", "through", "as", "then", "beside", "instead", "unlike", "and/or", "+", "&", "-", "–", "—",
)

// narrowing are the words that may follow a phrase and name a part of it.
var narrowing = words("in", "of", "for", "from", "within", "under", "inside", "named", "that", "which", "matching", "about", "during")

// beforeNouns may not stand before a phrase: they name something else in its relation.
var relations = words(
	"in", "of", "for", "from", "within", "under", "inside", "on", "at", "by", "before", "after", "against", "near", "around", "that", "which",
	"copy", "copies", "write", "writes", "read", "reads", "delete", "deletes", "send", "sends", "upload", "uploads", "push", "pushes", "publish", "publishes",
)

// phraseIn gives the offer whose words stand in a declaration with nothing but narrowing words around them.
func (e *envelope) phraseIn(need *statement) (covers, conditional *statement) {
	if len(need.clauses) != 1 || need.remark {
		return nil, nil
	}
	said := need.words
	for start := 0; start <= maxBefore && start < len(said); start++ {
		for length := min(maxPhrase, len(said)-start); length >= minPhrase; length-- {
			for _, offer := range e.phrases[strings.Join(said[start:start+length], " ")] {
				if !narrows(said[:start], said[start+length:]) {
					continue
				}
				if !offer.conditional {
					return offer, nil
				}
				conditional = offer
			}
		}
	}
	return nil, conditional
}

// narrows says whether the words before and after a phrase name a part of it.
func narrows(before, after []string) bool {
	if len(after) > 0 && !narrowing[after[0]] {
		return false
	}
	widens := func(word string) bool { return joiners[word] || strings.Contains(word, "/") }
	return !slices.ContainsFunc(before, func(word string) bool { return widens(word) || relations[word] }) && !slices.ContainsFunc(after, widens)
}

// isPhrase says whether an offer's words may be looked for in declarations.
func isPhrase(offer *statement) bool {
	return offer.sense == affirms && len(offer.words) >= minPhrase && len(offer.words) <= maxPhrase && len(offer.plainClauses()) == 1
}

// linkWords: a statement with one of them is no plain list.
var linkWords = words(
	"in", "of", "for", "from", "to", "on", "at", "by", "with", "via", "under", "within", "that", "which", "who", "it", "reachable", "configured",
	"exposed", "sent", "included", "or", "when", "where", "if",
)

// firstListed gives what a plain list names first, of at least two words: "Git history" of "Git history and status".
func firstListed(offer *statement) (string, bool) {
	clauses := offer.plainClauses()
	if offer.sense != affirms || len(clauses) < 2 || slices.ContainsFunc(offer.words, func(word string) bool { return linkWords[word] }) {
		return "", false
	}
	first := dropArticles(wordsOf(clauses[0]))
	return strings.Join(first, " "), len(first) >= minPhrase
}
