package capability

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"agentpassport.dev/operator/api/v1alpha1"
)

// hidden says whether a person who reads a document does not see a character, or sees the text in another order for
// it: bidirectional and other controls, zero-width characters, invisible letters. Line feeds and tabs are no secret.
func hidden(r rune) bool {
	switch {
	case r == '\n', r == '\t', r == '\r':
		return false
	case r == '\uFE0E', r == '\uFE0F': // how an emoji is drawn
		return false
	case unicode.Is(unicode.Prepended_Concatenation_Mark, r): // Cf, and yet drawn
		return false
	default:
		return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
	}
}

// firstHidden gives the first hidden character of a text.
func firstHidden(text string) (rune, bool) {
	for _, r := range text {
		if hidden(r) {
			return r, true
		}
	}
	return 0, false
}

// showHidden gives a text in which hidden characters are written out, for messages.
func showHidden(text string) string {
	if _, found := firstHidden(text); !found {
		return text
	}
	var shown strings.Builder
	for _, r := range text {
		if hidden(r) {
			fmt.Fprintf(&shown, "<%U>", r)
		} else {
			shown.WriteRune(r)
		}
	}
	return shown.String()
}

// hiddenCharacters finds the members of a document that have hidden characters, in their names or values.
func hiddenCharacters(raw []byte) (Finding, bool) {
	var root any
	if json.Unmarshal(raw, &root) != nil {
		return Finding{}, false
	}
	places := hiddenPlaces("", root)
	if len(places) == 0 {
		return Finding{}, false
	}
	return Finding{
		Condition: v1alpha1.ConditionHiddenCharacters,
		Reason:    v1alpha1.ReasonCharactersNotShown,
		Message:   fmt.Sprintf("characters that a reader does not see: %s; write the document without them", some(places)),
	}, true
}

func hiddenPlaces(path string, value any) []string {
	var places []string
	switch value := value.(type) {
	case string:
		if r, found := firstHidden(value); found {
			places = append(places, fmt.Sprintf("%U in %s", r, path))
		}
	case []any:
		for i, item := range value {
			places = append(places, hiddenPlaces(fmt.Sprintf("%s[%d]", path, i), item)...)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			member := memberPath(path, name)
			if r, found := firstHidden(name); found {
				places = append(places, fmt.Sprintf("%U in the name %s", r, member))
			}
			places = append(places, hiddenPlaces(member, value[name])...)
		}
	}
	return places
}

// memberPath names a member of an object, in full.
func memberPath(path, name string) string {
	name = showHidden(shorten(name))
	if path == "" {
		return name
	}
	return path + "." + name
}
