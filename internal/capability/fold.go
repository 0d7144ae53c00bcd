package capability

import (
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// fold gives the form in which statements are compared: Unicode NFKC and full case folding, one space between words,
// none around, and no full stop at the end.
func fold(text string) string {
	if isASCII(text) {
		return tidy(strings.ToLower(text))
	}
	// Folding may undo the normalisation and the other way round; three rounds settle it (UAX 15 and 21).
	fold := cases.Fold()
	for range 3 {
		text = fold.String(norm.NFKC.String(text))
	}
	return tidy(strings.Map(cherokee, norm.NFKC.String(text)))
}

// cherokee maps the small letters of Cherokee to the others, as Unicode folds them: x/text swaps the two.
func cherokee(r rune) rune {
	switch {
	case 0xAB70 <= r && r <= 0xABBF:
		return r - 0xAB70 + 0x13A0
	case 0x13F8 <= r && r <= 0x13FD:
		return r - 8
	default:
		return r
	}
}

// tidy settles white space and drops the full stop of a sentence.
func tidy(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if stem, stop := strings.CutSuffix(text, "."); stop && stem != "" && !strings.HasSuffix(stem, ".") && !strings.HasSuffix(stem, "/") && !strings.HasSuffix(stem, " ") {
		return stem
	}
	return text
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}
