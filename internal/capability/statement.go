package capability

import (
	"strings"

	"agentpassport.dev/operator/api/v1alpha1"
)

// statement is one line of a document, made ready to be compared many times.
type statement struct {
	// text as it stands in the document.
	text string
	// folded is what exact compares.
	folded string
	// said is every word of folded.
	said []string
	// plain is folded without remarks in brackets, articles and punctuation; words are its words.
	plain string
	words []string
	// clauses of folded, remarks included.
	clauses []string
	// remark: there are brackets.
	remark bool
	// sense is whether it affirms.
	sense sense
	// conditional: it holds in some mode, plan or case alone.
	conditional bool
	// terms of the vocabulary that it means as a whole.
	terms []string
	// place, of reads and writes; nil where it is none.
	place *place
	// host, of accesses; nil where it is none.
	host *host
	// anyNetwork, of accesses: it states an unlimited network.
	anyNetwork bool
	// gate, of approvals: what it gates on.
	gate gate
}

func newStatement(field v1alpha1.CapabilityField, text v1alpha1.Statement) *statement {
	made := &statement{text: string(text), folded: fold(string(text))}
	made.clauses = clausesOf(made.folded)
	made.said = wordsOf(made.folded)
	made.sense = senseOf(field, made.folded, made.clauses, made.said)
	made.conditional = isConditional(made.folded, made.said)
	if made.remark = strings.ContainsAny(made.folded, "()"); made.remark {
		made.words = dropArticles(wordsOf(dropRemarks(made.folded)))
	} else {
		made.words = dropArticles(made.said)
	}
	made.plain = strings.Join(made.words, " ")
	if made.sense != affirms {
		return made
	}
	made.terms = termsOf(field, made)
	switch field {
	case v1alpha1.FieldReads, v1alpha1.FieldWrites:
		if made.place = placeOfTerms(made.terms); made.place == nil {
			made.place = placeOf(made.text)
		}
	case v1alpha1.FieldAccesses:
		made.host = hostOf(made.folded)
		made.anyNetwork = anyNetwork(made.words)
	case v1alpha1.FieldApprovals:
		made.gate = newGate(made)
	default:
	}
	return made
}

// plainClauses are the clauses without remarks in brackets.
func (s *statement) plainClauses() []string {
	if !s.remark {
		return s.clauses
	}
	return clausesOf(strings.Join(strings.Fields(dropRemarks(s.folded)), " "))
}

// dropRemarks takes out what stands in round brackets: it explains, and where it takes something away the statement
// is conditional. Brackets that do not close stay.
func dropRemarks(folded string) string {
	if !strings.Contains(folded, "(") {
		return folded
	}
	var kept strings.Builder
	for {
		start := strings.IndexByte(folded, '(')
		if start < 0 {
			break
		}
		end := strings.IndexByte(folded[start:], ')')
		if end < 0 {
			break
		}
		kept.WriteString(folded[:start])
		kept.WriteByte(' ')
		folded = folded[start+end+1:]
	}
	kept.WriteString(folded)
	return kept.String()
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
	"opt-in", "optional", "optionally", "some", "certain", "selected", "limited", "restricted", "plans", "tier", "tiers", "may", "might",
	"sometimes", "depending", "provided", "once", "after", "other", "outside", "auto-edit", "full-auto", "suggest",
)

// asShipped are the conditions that hold as long as nobody changes a setting, and the seed's own word for a sandbox.
var asShipped = strings.NewReplacer(
	"in default permission mode", "", "in default mode", "", "by default", "", "session sandbox only", "session sandbox",
)

// asShippedOnly drops the conditions that hold as shipped.
func asShippedOnly(folded string) string {
	if strings.Contains(folded, "default") || strings.Contains(folded, "session sandbox only") {
		return asShipped.Replace(folded)
	}
	return folded
}

func isConditional(folded string, said []string) bool {
	if shipped := asShippedOnly(folded); shipped != folded {
		said = wordsOf(shipped)
	}
	for _, word := range said {
		if conditions[word] {
			return true
		}
		if !strings.Contains(word, "/") {
			continue
		}
		for part := range strings.SplitSeq(word, "/") {
			if conditions[part] {
				return true
			}
		}
	}
	return false
}
