package capability

import (
	"slices"
	"strings"

	"agentpassport.dev/operator/api/v1alpha1"
)

// sense is what a statement does with what it names.
type sense int

const (
	// affirms: it says that there is something.
	affirms sense = iota
	// denies: it says that there is nothing.
	denies
	// takesBack: it denies, and takes part of that back, or denies a limit.
	takesBack
)

// deniers begin a clause that denies.
var deniers = words("no", "none", "nothing", "never", "zero", "without")

// takers are the words after which a denial holds no longer whole: "No network but Slack", "none unless configured",
// "no more than 100 tokens", "no limit".
var takers = words(
	"but", "except", "excepting", "excluding", "save", "unless", "until", "till", "beyond", "besides", "beside", "aside", "apart", "other",
	"than", "otherwise", "only", "just", "solely", "if", "when", "where", "while", "once", "after", "before", "outside", "unlike", "though", "although",
	"however", "yet", "instead", "rather", "also", "plus", "optional", "optionally", "usually", "normally", "typically", "mostly", "currently",
	"limit", "limits", "limited", "limitation", "limitations", "restriction", "restrictions", "restricted", "bound", "bounds", "boundary",
	"boundaries", "cap", "caps", "ceiling", "maximum", "minimum", "exception", "exceptions", "exclusion", "exclusions", "problem", "less", "more", "longer", "fewer",
	"confirmation", "confirmations", "consent", "permission", "permissions", "doubt", "matter",
)

// gateWords deny a need where approvals are listed, and a limit everywhere else: "No approval required".
var gateWords = words("approval", "approvals", "confirmation", "confirmations", "consent", "permission", "permissions")

// tails may follow a denial and take nothing back.
var tails = words("by default", "monitors only", "monitoring only", "local only", "stays local", "read only", "offline")

// denialPhrases are whole statements that deny a need in one field.
var denialPhrases = map[v1alpha1.CapabilityField]map[string]bool{
	v1alpha1.FieldExposes: words("local only", "stays local", "stays on the machine", "not applicable", "n/a"),
	v1alpha1.FieldApprovals: words("none beyond install", "none beyond installation", "none beyond install approval", "none beyond the install",
		"none beyond the install approval", "none beyond the installation", "not applicable", "n/a"),
	v1alpha1.FieldReads:    words("not applicable", "n/a"),
	v1alpha1.FieldWrites:   words("not applicable", "n/a"),
	v1alpha1.FieldAccesses: words("offline", "offline only", "not applicable", "n/a"),
	v1alpha1.FieldSpends:   words("free", "free of charge", "not applicable", "n/a"),
}

// staysLocal ends a statement of exposes that denies: "The log stays local".
var staysLocal = []string{" stays local", " stay local", " stays on the machine", " stay on the machine", " never leaves the machine", " never leave the machine"}

// blockers begin a statement of spends that says what is kept from being spent.
var blockers = words("blocks", "prevents", "forbids", "refuses")

// spendWords are what a blocker has to keep from being spent.
var spendWords = words("spend", "spending", "paid", "purchase", "purchases", "payment", "payments")

// words makes a set.
func words(all ...string) map[string]bool {
	set := make(map[string]bool, len(all))
	for _, word := range all {
		set[word] = true
	}
	return set
}

// senseOf says what a folded statement of a field does, given its clauses and all its words. Brackets are part of it: "No spend (but tokens)".
func senseOf(field v1alpha1.CapabilityField, folded string, clauses, found []string) sense {
	if denialPhrases[field][folded] {
		return denies
	}
	if len(clauses) == 0 {
		return affirms
	}
	takes := slices.ContainsFunc(found, func(word string) bool {
		return takers[word] && (field != v1alpha1.FieldApprovals || !gateWords[word]) || (field != v1alpha1.FieldApprovals && gateWords[word])
	})
	first := wordsOf(clauses[0])
	switch {
	case len(first) == 0:
		return affirms
	case field == v1alpha1.FieldSpends && blockers[first[0]] && slices.ContainsFunc(first, func(word string) bool { return spendWords[word] }):
		if takes {
			return takesBack
		}
		return denies
	case field == v1alpha1.FieldExposes && len(clauses) == 1 && !takes && endsLocal(folded):
		return denies
	case !deniers[first[0]]:
		return affirms
	case first[0] == "without":
		return takesBack // "Without limits" is no denial of a need; nobody writes a need so.
	}
	for _, clause := range clauses {
		if !deniesWhole(field, clause) {
			return takesBack
		}
	}
	return denies
}

// deniesWhole says whether a clause denies and takes nothing back, or is a tail that may follow one.
func deniesWhole(field v1alpha1.CapabilityField, clause string) bool {
	if tails[clause] {
		return true
	}
	found := wordsOf(clause)
	if len(found) == 0 || !deniers[found[0]] {
		return false
	}
	for i, word := range found {
		switch {
		case gateWords[word] && field == v1alpha1.FieldApprovals:
		case takers[word], gateWords[word]:
			return false
		case i > 0 && (deniers[word] || word == "not"): // "none not covered": two denials affirm
			return false
		case i > 0 && word[0] >= '0' && word[0] <= '9': // "No. 5", "no 1000 calls"
			return false
		}
	}
	return true
}

func endsLocal(folded string) bool {
	return slices.ContainsFunc(staysLocal, func(tail string) bool { return strings.HasSuffix(folded, tail) })
}

// clausesOf parts a statement where a denial may be taken back. "or" goes on with a denial; "and" does not, unless
// another denial follows.
func clausesOf(folded string) []string {
	folded = clauseMarks.Replace(folded)
	var clauses []string
	for clause := range strings.SplitSeq(folded, "\n") {
		if clause = strings.TrimSpace(clause); clause != "" {
			clauses = append(clauses, clause)
		}
	}
	return clauses
}

var clauseMarks = strings.NewReplacer(
	", and ", "\n", ", or ", "\n", ",", "\n", ";", "\n", ":", "\n", ". ", "\n", "! ", "\n", "? ", "\n", "(", "\n", ")", "\n", "[", "\n", "]", "\n",
	" and ", "\n", " & ", "\n", " + ", "\n", "/ ", "\n", " - ", "\n", " – ", "\n", "–", "\n", "—", "\n", " -> ", "\n", "→", "\n", "|", "\n", "*", "\n",
)

// isMark says whether a character is punctuation around words.
func isMark(r rune) bool {
	switch r {
	case '.', ',', ';', ':', '!', '?', '(', ')', '[', ']', '{', '}', '"', '\'', '`', '“', '”', '‘', '’', '«', '»':
		return true
	default:
		return false
	}
}

// wordsOf gives the words of a folded text, without the punctuation around them.
func wordsOf(folded string) []string {
	fields := strings.Fields(folded)
	found := fields[:0]
	for _, field := range fields {
		if word := strings.TrimFunc(field, isMark); word != "" {
			found = append(found, word)
		}
	}
	return found
}
