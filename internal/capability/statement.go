package capability

import (
	"strings"

	"agentpassport.dev/operator/api/v1alpha1"
)

// statement is one line of a document, made ready to be compared once.
type statement struct {
	// text as it stands in the document.
	text string
	// folded is what exact compares.
	folded string
	// plain is folded without remarks in brackets, articles, and quotes.
	plain string
	// words of plain.
	words []string
	// sense is whether it affirms.
	sense sense
	// conditional: it holds in some mode, plan or case alone.
	conditional bool
}

func newStatement(field v1alpha1.CapabilityField, text v1alpha1.Statement) statement {
	made := statement{text: string(text), folded: fold(string(text))}
	made.sense = senseOf(field, made.folded)
	made.conditional = isConditional(made.folded)
	made.words = dropArticles(wordsOf(dropRemarks(made.folded)))
	made.plain = strings.Join(made.words, " ")
	return made
}

// dropRemarks takes out what stands in round brackets: it explains, and where it takes something away the statement
// is conditional. Brackets that do not close stay.
func dropRemarks(folded string) string {
	for {
		start := strings.IndexByte(folded, '(')
		if start < 0 {
			return folded
		}
		end := strings.IndexByte(folded[start:], ')')
		if end < 0 {
			return folded
		}
		folded = folded[:start] + " " + folded[start+end+1:]
	}
}

var articles = words("a", "an", "the", "your", "its", "their")

func dropArticles(all []string) []string {
	kept := make([]string, 0, len(all))
	for _, word := range all {
		if !articles[word] {
			kept = append(kept, word)
		}
	}
	return kept
}

// conditions are the words by which a statement holds in some mode, plan or case alone.
var conditions = words(
	"mode", "modes", "if", "when", "whenever", "where", "unless", "until", "only", "except", "excluding", "not", "no", "never", "without", "but",
	"opt-in", "optional", "optionally", "some", "certain", "selected", "limited", "restricted", "plan", "plans", "tier", "tiers", "may", "might",
	"sometimes", "depending", "provided", "once", "after", "other", "outside",
)

// asShipped are the conditions that hold as long as nobody changes a setting.
var asShipped = strings.NewReplacer("in default permission mode", "", "in default mode", "", "by default", "")

func isConditional(folded string) bool {
	for _, word := range wordsOf(asShipped.Replace(folded)) {
		for part := range strings.SplitSeq(word, "/") {
			if conditions[part] {
				return true
			}
		}
	}
	return false
}
