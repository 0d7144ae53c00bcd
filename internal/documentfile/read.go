package documentfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kyaml "sigs.k8s.io/yaml"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/capability"
)

// The kinds of manifests that have a document.
const (
	kindAgent   = "AgentPassport"
	kindPackage = "CapabilityPassport"
)

// Read reads a document as it is published, or a manifest with one. The error is capability.Problems where it is the
// document that is wrong; its lines are those of the file.
func Read(data []byte) (*File, error) {
	if len(data) > capability.MaxDocument || !bytes.Contains(data, []byte("apiVersion")) {
		return readDocument(data)
	}
	found, err := manifestOf(data)
	if err != nil || found.APIVersion == "" {
		return readDocument(data) // which says what is wrong
	}
	return readManifest(data, found)
}

// readDocument reads a document alone.
func readDocument(data []byte) (*File, error) {
	document, err := capability.Read(data)
	if err != nil {
		return nil, err
	}
	file := &File{Text: data}
	if document.Agent != nil {
		file.Agent = &v1alpha1.AgentPassport{Spec: v1alpha1.AgentPassportSpec{Document: document.Agent}}
		file.Agent.Name = nameFrom(document.Agent.Agent.Name)
	} else {
		file.Package = &v1alpha1.CapabilityPassport{Spec: v1alpha1.CapabilityPassportSpec{Document: *document.Package}}
		file.Package.Name = nameFrom(document.Package.Package)
	}
	file.setKind()
	return file, nil
}

func (f *File) setKind() {
	if f.Agent != nil {
		f.Agent.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: kindAgent}
		return
	}
	f.Package.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: kindPackage}
}

// manifest is what is looked at first in a manifest.
type manifest struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Spec       struct {
		Document yaml.Node `yaml:"document"`
	} `yaml:"spec"`
}

// manifestOf reads the one manifest of a file.
func manifestOf(data []byte) (*manifest, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var found manifest
	if err := decoder.Decode(&found); err != nil {
		return nil, err
	}
	var second yaml.Node
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file has several manifests")
	}
	return &found, nil
}

// check refuses a manifest that has no document.
func (m *manifest) check() error {
	switch {
	case m.APIVersion != v1alpha1.GroupVersion.String() || (m.Kind != kindAgent && m.Kind != kindPackage):
		return fmt.Errorf("the manifest is of kind %q in %q: %s and %s in %s have documents",
			m.Kind, m.APIVersion, kindAgent, kindPackage, v1alpha1.GroupVersion)
	case m.Spec.Document.Kind == 0:
		return fmt.Errorf("the manifest of kind %s has no spec.document", m.Kind)
	}
	return nil
}

// readManifest reads a manifest with a document in it. Its status, which only the operator may write, is not believed.
func readManifest(data []byte, found *manifest) (*File, error) {
	if err := found.check(); err != nil {
		return nil, err
	}
	kind, document := found.Kind, &found.Spec.Document
	text, cut := cutOut(data, document)
	if !cut {
		var err error
		if text, err = yaml.Marshal(document); err != nil {
			return nil, fmt.Errorf("spec.document: %w", err)
		}
	}
	read, err := capability.Read(text)
	if err != nil {
		return nil, err
	}
	file := &File{}
	switch {
	case kind == kindAgent && read.Agent != nil:
		file.Agent = &v1alpha1.AgentPassport{}
		err = kyaml.UnmarshalStrict(data, file.Agent)
		file.Agent.Spec.Document, file.Agent.Status = read.Agent, v1alpha1.AgentPassportStatus{}
	case kind == kindPackage && read.Package != nil:
		file.Package = &v1alpha1.CapabilityPassport{}
		err = kyaml.UnmarshalStrict(data, file.Package)
		file.Package.Spec.Document, file.Package.Status = *read.Package, v1alpha1.CapabilityPassportStatus{}
	default:
		return nil, fmt.Errorf("the manifest of kind %s has a document of the other kind", kind)
	}
	if err != nil {
		return nil, fmt.Errorf("the manifest is no %s: %w", kind, err)
	}
	if cut {
		file.Text = bytes.TrimLeft(text, "\n")
	}
	file.setKind()
	return file, nil
}

// cutOut gives the text of a document that stands in a manifest in YAML's block style, moved to the left edge, with an
// empty line for each line before it: lines count as in the file.
func cutOut(data []byte, document *yaml.Node) (text []byte, cut bool) {
	if document.Kind != yaml.MappingNode || document.Style&yaml.FlowStyle != 0 || document.Anchor != "" {
		return nil, false
	}
	indent := document.Column - 1
	lines := strings.SplitAfter(string(data), "\n")
	first := document.Line - 1
	if first >= len(lines) || indentOf(lines[first]) != indent { // it begins behind something else on its line
		return nil, false
	}
	var out strings.Builder
	out.WriteString(strings.Repeat("\n", first))
	for _, line := range lines[first:] {
		blank := strings.TrimSpace(line) == ""
		if !blank && indentOf(line) < indent {
			break
		}
		out.WriteString(line[min(indent, indentOf(line)):])
	}
	return []byte(strings.TrimRight(out.String(), "\n") + "\n"), true
}

// indentOf is how many spaces a line begins with.
func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }
