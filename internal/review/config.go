package review

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// ParseConfig reads the operator's config file: YAML with one key, review, that holds thresholds.
// What it leaves out keeps its default. The error names every key that is unknown and every value
// that is out of its limits.
func ParseConfig(data []byte) (Thresholds, error) {
	document, err := onlyDocument(data)
	if err != nil {
		return Thresholds{}, err
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(document, &keys); err != nil {
		return Thresholds{}, errors.New("want the key review, with thresholds below it")
	}
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if key != "review" {
			problems = append(problems, fmt.Errorf("%s: there is no such key", clip(key, 64)))
		}
	}
	thresholds := DefaultThresholds()
	if review, ok := keys["review"]; ok {
		problems = append(problems, thresholds.read(review)...)
	}
	if err := errors.Join(problems...); err != nil {
		return Thresholds{}, err
	}
	return thresholds, nil
}

// read takes what the key review holds.
func (t *Thresholds) read(review []byte) []error {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(review, &values); err != nil {
		return []error{errors.New("review: want thresholds below it")}
	}
	var problems []error
	for _, one := range t.all() {
		if value, ok := values[one.name]; ok {
			problems = append(problems, one.set(value))
			delete(values, one.name)
		}
	}
	for _, unknown := range slices.Sorted(maps.Keys(values)) {
		problems = append(problems, fmt.Errorf("review.%s: there is no such key", clip(unknown, 64)))
	}
	return append(problems, t.consistent())
}

// onlyDocument gives the YAML document of a file as JSON: null where it is empty.
func onlyDocument(data []byte) ([]byte, error) {
	only := []byte("null")
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		text, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return only, nil
		}
		if err != nil {
			return nil, err
		}
		document, err := yaml.YAMLToJSONStrict(text)
		switch {
		case err != nil:
			return nil, err
		case string(document) == "null":
		case string(only) != "null":
			return nil, errors.New("there is more than one YAML document: put all into one")
		default:
			only = document
		}
	}
}
