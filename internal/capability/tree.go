package capability

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"go.yaml.in/yaml/v3"
)

// checkTree finds what no document may have, whatever its schema: aliases, tags, keys twice, deep nesting, hidden
// characters.
func checkTree(node *yaml.Node, path string, depth int) Problems {
	if depth > MaxDepth {
		return Problems{{node.Line, path, fmt.Sprintf("objects and lists stand more than %d deep in each other", MaxDepth)}}
	}
	switch {
	case node.Kind == yaml.AliasNode:
		return Problems{{node.Line, path, "has a YAML alias (*); write the value out"}}
	case node.Anchor != "":
		return Problems{{node.Line, path, "has a YAML anchor (&); write each value out"}}
	case node.Style&yaml.TaggedStyle != 0:
		return Problems{{node.Line, path, fmt.Sprintf("has a YAML tag (%s); leave it out", quote(node.Tag))}}
	}
	var problems Problems
	switch node.Kind {
	case yaml.ScalarNode:
		if r, found := firstHidden(node.Value); found {
			problems = append(problems, Problem{node.Line, path, fmt.Sprintf("has %U, a character that a reader does not see; leave it out", r)})
		}
	case yaml.SequenceNode:
		for i, item := range node.Content {
			problems = append(problems, checkTree(item, fmt.Sprintf("%s[%d]", path, i), depth+1)...)
		}
	default:
		problems = append(problems, checkObject(node, path, depth)...)
	}
	return problems
}

func checkObject(node *yaml.Node, path string, depth int) Problems {
	var problems Problems
	seen := make(map[string]int, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		member := memberPath(path, key.Value)
		if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
			problems = append(problems, Problem{key.Line, member, "a name has to be text; a merge (<<) or another YAML value has no place there"})
			continue
		}
		if wrong := checkTree(key, member, depth); len(wrong) > 0 {
			problems = append(problems, wrong...)
			continue
		}
		if line, twice := seen[key.Value]; twice {
			problems = append(problems, Problem{key.Line, member, fmt.Sprintf("is there twice, first in line %d", line)})
			continue
		}
		seen[key.Value] = key.Line
		problems = append(problems, checkTree(value, member, depth+1)...)
	}
	return problems
}

// writeJSON writes a checked tree as JSON, members in their order.
func writeJSON(to *bytes.Buffer, node *yaml.Node, path string) *Problem {
	switch node.Kind {
	case yaml.MappingNode:
		to.WriteByte('{')
		for i := 0; i+1 < len(node.Content); i += 2 {
			if i > 0 {
				to.WriteByte(',')
			}
			writeText(to, node.Content[i].Value)
			to.WriteByte(':')
			if problem := writeJSON(to, node.Content[i+1], memberPath(path, node.Content[i].Value)); problem != nil {
				return problem
			}
		}
		to.WriteByte('}')
	case yaml.SequenceNode:
		to.WriteByte('[')
		for i, item := range node.Content {
			if i > 0 {
				to.WriteByte(',')
			}
			if problem := writeJSON(to, item, fmt.Sprintf("%s[%d]", path, i)); problem != nil {
				return problem
			}
		}
		to.WriteByte(']')
	default:
		return writeScalar(to, node, path)
	}
	return nil
}

func writeScalar(to *bytes.Buffer, node *yaml.Node, path string) *Problem {
	switch node.ShortTag() {
	case "!!null":
		to.WriteString("null")
	case "!!bool":
		to.WriteString(strings.ToLower(node.Value))
	case "!!int", "!!float":
		number, ok := jsonNumber(node)
		if !ok {
			return &Problem{node.Line, path, fmt.Sprintf("is %s, a number that JSON cannot hold; put it in quotes", quote(node.Value))}
		}
		to.WriteString(number)
	default: // text, and a date without quotes, which is text as it stands
		writeText(to, node.Value)
	}
	return nil
}

// jsonNumber gives a number as it stands where JSON has it so, else in JSON's form.
func jsonNumber(node *yaml.Node) (string, bool) {
	var value any
	if node.Decode(&value) != nil {
		return "", false
	}
	if float, is := value.(float64); is && (math.IsInf(float, 0) || math.IsNaN(float)) {
		return "", false
	}
	if json.Valid([]byte(node.Value)) {
		return node.Value, true
	}
	written, err := json.Marshal(value)
	return string(written), err == nil
}

// writeText writes a text as JSON, with <, > and & as they are.
func writeText(to *bytes.Buffer, text string) {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(text) == nil {
		to.Truncate(to.Len() - 1) // the encoder ends with a line feed
	}
}
