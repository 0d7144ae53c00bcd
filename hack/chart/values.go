package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The table of values is between these lines of the guide.
const (
	tableBegins = "<!-- Written by `make chart` from values.yaml. -->\n"
	tableEnds   = "<!-- End of the values. -->\n"
)

// writeValues writes the table of values into the guide.
func writeValues(values, guide string) error {
	read, err := os.ReadFile(values)
	if err != nil {
		return err
	}
	table, err := valuesTable(read)
	if err != nil {
		return fmt.Errorf("%s: %w", values, err)
	}
	page, err := os.ReadFile(guide)
	if err != nil {
		return err
	}
	before, rest, begins := bytes.Cut(page, []byte(tableBegins))
	_, after, ends := bytes.Cut(rest, []byte(tableEnds))
	if !begins || !ends {
		return fmt.Errorf("%s: the lines between which the table of values is are not there: %s and %s", guide, tableBegins, tableEnds)
	}
	return os.WriteFile(guide, bytes.Join([][]byte{before, []byte(tableBegins), []byte(table), []byte(tableEnds), after}, nil), 0o644)
}

// valuesTable gives a row for every value, with what its comment says. A value without a comment is an error.
func valuesTable(values []byte) (string, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(values, &document); err != nil {
		return "", err
	}
	table := &strings.Builder{}
	table.WriteString("\n| value | default | what it does |\n|---|---|---|\n")
	if err := rows(table, "", document.Content[0]); err != nil {
		return "", err
	}
	table.WriteString("\n")
	return table.String(), nil
}

// rows writes the values of a map, and those of the maps in it that have any.
func rows(table *strings.Builder, prefix string, values *yaml.Node) error {
	for i := 0; i+1 < len(values.Content); i += 2 {
		key, value := values.Content[i], values.Content[i+1]
		path := prefix + key.Value
		if value.Kind == yaml.MappingNode && len(value.Content) > 0 && !isOneValue(path) {
			if err := rows(table, path+".", value); err != nil {
				return err
			}
			continue
		}
		says := comment(key)
		if says == "" {
			return fmt.Errorf("value %s has no comment that says what it does", path)
		}
		fallback, err := plain(value)
		if err != nil {
			return fmt.Errorf("value %s: %w", path, err)
		}
		fmt.Fprintf(table, "| `%s` | `%s` | %s |\n", path, fallback, says)
	}
	return nil
}

// isOneValue says of which maps the parts are no values of their own.
func isOneValue(path string) bool {
	return strings.HasSuffix(path, "resources") || strings.HasSuffix(path, "labels")
}

// comment gives the comment over a key as one line.
func comment(key *yaml.Node) string {
	var words []string
	for line := range strings.Lines(key.HeadComment) {
		words = append(words, strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "#")))
	}
	return strings.ReplaceAll(strings.Join(words, " "), "|", `\|`)
}

// plain gives a value in one line.
func plain(value *yaml.Node) (string, error) {
	var decoded any
	if err := value.Decode(&decoded); err != nil {
		return "", err
	}
	encoded, err := json.Marshal(decoded)
	return string(encoded), err
}
