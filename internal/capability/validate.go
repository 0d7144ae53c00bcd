package capability

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// checkMembers holds an object against its schema. Members that the schema does not know are kept, and not looked at.
func checkMembers(object *yaml.Node, path string, members []member) Problems {
	var problems Problems
	for i := 0; i+1 < len(object.Content); i += 2 {
		if known, _ := find(members, object.Content[i].Value); known != nil {
			problems = append(problems, checkMember(object.Content[i+1], memberPath(path, known.name), known)...)
		}
	}
	for i := range members {
		if members[i].required && valueOf(object, members[i].name) == nil {
			problems = append(problems, Problem{object.Line, memberPath(path, members[i].name), "is missing"})
		}
	}
	return problems
}

func checkMember(value *yaml.Node, path string, known *member) Problems {
	switch known.holds {
	case boolMember:
		if value.Kind != yaml.ScalarNode || value.ShortTag() != "!!bool" {
			return wrong(value, path, "has to be true or false")
		}
	case objectMember:
		if value.Kind != yaml.MappingNode {
			return wrong(value, path, "has to be an object")
		}
		return checkMembers(value, path, known.members)
	case listMember:
		return checkList(value, path, known)
	case textMember:
		return checkText(value, path, known)
	case anyMember:
	}
	return nil
}

func checkList(list *yaml.Node, path string, known *member) Problems {
	switch {
	case list.Kind != yaml.SequenceNode:
		return wrong(list, path, "has to be a list of texts; [] is an empty one")
	case len(list.Content) > known.maxItems:
		return wrong(list, path, fmt.Sprintf("has %d entries; it has at most %d", len(list.Content), known.maxItems))
	case len(list.Content) < known.minItems:
		return wrong(list, path, fmt.Sprintf("has %d entries; it has at least %d", len(list.Content), known.minItems))
	}
	var problems Problems
	seen := map[string]bool{}
	for i, item := range list.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		problems = append(problems, checkText(item, at, known)...)
		if known.unique && seen[item.Value] {
			problems = append(problems, Problem{item.Line, at, fmt.Sprintf("%s is there twice", quote(item.Value))})
		}
		seen[item.Value] = true
	}
	return problems
}

func checkText(value *yaml.Node, path string, known *member) Problems {
	length := utf8.RuneCountInString(value.Value)
	switch {
	case value.Kind != yaml.ScalarNode:
		return wrong(value, path, "has to be text")
	case value.ShortTag() == "!!timestamp" && known.dateTime: // a date needs no quotes
	case value.ShortTag() != "!!str":
		return wrong(value, path, fmt.Sprintf("has to be text; put %s in quotes", shorten(value.Value)))
	}
	switch {
	case len(known.oneOf) > 0 && !slices.Contains(known.oneOf, value.Value):
		return wrong(value, path, fmt.Sprintf("is %s; it has to be %s", quote(value.Value), strings.Join(known.oneOf, " or ")))
	case length < known.minimum:
		return wrong(value, path, "is empty")
	case known.maximum > 0 && length > known.maximum:
		return wrong(value, path, fmt.Sprintf("has %d characters; it has at most %d", length, known.maximum))
	case known.dateTime && !isDateTime(value.Value):
		return wrong(value, path, fmt.Sprintf("is %s; it has to be a date and time such as 2026-05-14T00:00:00Z", quote(value.Value)))
	}
	return nil
}

func isDateTime(text string) bool {
	_, err := time.Parse(time.RFC3339Nano, text)
	return err == nil
}

func wrong(node *yaml.Node, path, message string) Problems {
	return Problems{{node.Line, path, message}}
}
