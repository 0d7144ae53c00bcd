package capability

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"agentpassport.dev/operator/api/v1alpha1"
)

// The limits of a file.
const (
	// MaxDocument is the most bytes that a file may have: what fits into an object of Kubernetes.
	MaxDocument = 1 << 20
	// MaxDepth is how deep objects and lists may stand in each other.
	MaxDepth = 16
)

// Document is what a file holds: one of the two.
type Document struct {
	// Agent is an Agent Passport document; nil where the file holds the other.
	Agent *v1alpha1.AgentDocument
	// Package is a Capability Passport document; nil where the file holds the other.
	Package *v1alpha1.PackageDocument
}

// Raw is the document in JSON: as it was read, with the fields that its schema does not know; or as it was made in Go.
// It is nil where neither is set.
func (d Document) Raw() []byte {
	var raw []byte
	switch {
	case d.Agent != nil:
		raw, _ = d.Agent.MarshalJSON() // texts, lists and bools can always be written
	case d.Package != nil:
		raw, _ = d.Package.MarshalJSON()
	}
	return raw
}

// Read reads an Agent Passport or a Capability Passport document as it is published, in YAML or JSON; schema says
// which. The error is Problems: all that is wrong with the file.
func Read(data []byte) (Document, error) {
	return readAs(data, v1alpha1.DocumentSchema, v1alpha1.PackageDocumentSchema)
}

// ReadAgentDocument reads an Agent Passport document as it is published, in YAML or JSON. The error is Problems.
func ReadAgentDocument(data []byte) (*v1alpha1.AgentDocument, error) {
	document, err := readAs(data, v1alpha1.DocumentSchema)
	return document.Agent, err
}

// ReadPackageDocument reads a Capability Passport document as it is published, in YAML or JSON. The error is Problems.
func ReadPackageDocument(data []byte) (*v1alpha1.PackageDocument, error) {
	document, err := readAs(data, v1alpha1.PackageDocumentSchema)
	return document.Package, err
}

// readAs reads a document of one of the schemas, step by step; each step needs what the one before made sure of.
func readAs(data []byte, schemas ...string) (Document, error) {
	if problem := checkBytes(data); problem != nil {
		return Document{}, Problems{*problem}
	}
	root, problem := parse(data)
	if problem != nil {
		return Document{}, Problems{*problem}
	}
	if problems := checkTree(root, "", 1); len(problems) > 0 {
		return Document{}, problems
	}
	schema, problem := pickSchema(root, schemas)
	if problem != nil {
		return Document{}, Problems{*problem}
	}
	if problems := checkMembers(root, "", schemaOf(schema)); len(problems) > 0 {
		return Document{}, problems
	}
	return decode(root, schema)
}

func checkBytes(data []byte) *Problem {
	switch {
	case len(data) > MaxDocument:
		return &Problem{Message: fmt.Sprintf("the file has %d bytes; a document has at most %d (1 MiB)", len(data), MaxDocument)}
	case !utf8.Valid(data):
		return &Problem{Message: "the file is not UTF-8"}
	default:
		return nil
	}
}

// parse gives the one document of a file.
func parse(data []byte) (*yaml.Node, *Problem) {
	if deepest := flowDepth(data); deepest > maxBrackets {
		return nil, &Problem{Message: fmt.Sprintf("brackets stand %d deep in each other; a document has at most %d", deepest, maxBrackets)}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\uFEFF"))))
	var file, second yaml.Node
	if err := decoder.Decode(&file); errors.Is(err, io.EOF) {
		return nil, &Problem{Message: "the file is empty"}
	} else if err != nil {
		return nil, &Problem{Message: "the file is neither YAML nor JSON: " + strings.TrimPrefix(err.Error(), "yaml: ")}
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, &Problem{Line: second.Line, Message: "the file has several documents; put each into a file of its own"}
	}
	if len(file.Content) != 1 || file.Content[0].Kind != yaml.MappingNode {
		return nil, &Problem{Line: file.Line, Message: "the document is not an object"}
	}
	return file.Content[0], nil
}

// maxBrackets is how deep a file's brackets may stand before it is parsed at all; brackets in texts count too.
const maxBrackets = 1000

// flowDepth is how deep brackets stand in each other at most, texts not told apart.
func flowDepth(data []byte) int {
	depth, deepest := 0, 0
	for _, c := range data {
		switch c {
		case '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ']', '}':
			depth = max(depth-1, 0)
		}
	}
	return deepest
}

// pickSchema reads which schema a document has.
func pickSchema(root *yaml.Node, schemas []string) (string, *Problem) {
	value := valueOf(root, "schema")
	switch {
	case value == nil:
		return "", &Problem{Line: root.Line, Path: "schema", Message: "is missing; put " + strings.Join(schemas, " or ")}
	case value.Kind != yaml.ScalarNode || !slices.Contains(schemas, value.Value):
		return "", &Problem{Line: value.Line, Path: "schema", Message: fmt.Sprintf("is %s; it has to be %s", quote(value.Value), strings.Join(schemas, " or "))}
	default:
		return value.Value, nil
	}
}

func valueOf(object *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(object.Content); i += 2 {
		if object.Content[i].Value == name {
			return object.Content[i+1]
		}
	}
	return nil
}

// decode makes the document, whose JSON has the members in the file's order.
func decode(root *yaml.Node, schema string) (Document, error) {
	var raw bytes.Buffer
	if problem := writeJSON(&raw, root, ""); problem != nil {
		return Document{}, Problems{*problem}
	}
	if raw.Len() > MaxDocument {
		return Document{}, Problems{{Message: fmt.Sprintf("the document has %d bytes as JSON; it has at most %d (1 MiB)", raw.Len(), MaxDocument)}}
	}
	var document Document
	var into any
	if schema == v1alpha1.DocumentSchema {
		document.Agent = &v1alpha1.AgentDocument{}
		into = document.Agent
	} else {
		document.Package = &v1alpha1.PackageDocument{}
		into = document.Package
	}
	if err := json.Unmarshal(raw.Bytes(), into); err != nil {
		return Document{}, Problems{{Message: err.Error()}}
	}
	return document, nil
}
