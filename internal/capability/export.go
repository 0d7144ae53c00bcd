package capability

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Export gives a document's JSON as YAML in one form: the members in the order of the schema, then those that the
// schema does not know, by name; texts in double quotes; two spaces. Reading an export and exporting it again gives
// the same bytes, and so does any way through Kubernetes, which does not keep the order. Nil where raw is no JSON
// object.
func Export(raw []byte) []byte {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var root map[string]any
	if decoder.Decode(&root) != nil || root == nil {
		return nil
	}
	name, _ := root["schema"].(string)
	var written bytes.Buffer
	encoder := yaml.NewEncoder(&written)
	encoder.SetIndent(2)
	if encoder.Encode(exported(root, schemaOf(name))) != nil || encoder.Close() != nil {
		return nil
	}
	return written.Bytes()
}

// exported makes the tree of a value.
func exported(value any, members []member) *yaml.Node {
	switch value := value.(type) {
	case map[string]any:
		node := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, name := range inOrder(value, members) {
			var below []member
			if known, _ := find(members, name); known != nil {
				below = known.members
			}
			node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}, exported(value[name], below))
		}
		return node
	case []any:
		node := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		if len(value) == 0 {
			node.Style = yaml.FlowStyle
		}
		for _, item := range value {
			node.Content = append(node.Content, exported(item, nil))
		}
		return node
	case string:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value, Style: yaml.DoubleQuotedStyle}
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: numberTag(value), Value: value.String()}
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(value)}
	default:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	}
}

func numberTag(number json.Number) string {
	if strings.ContainsAny(number.String(), ".eE") {
		return "!!float"
	}
	return "!!int"
}

// inOrder gives an object's names: those of the schema in its order, then the others by name.
func inOrder(object map[string]any, members []member) []string {
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		_, first := find(members, a)
		_, second := find(members, b)
		if first != second {
			return first - second
		}
		return strings.Compare(a, b)
	})
	return names
}
