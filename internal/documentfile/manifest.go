package documentfile

import (
	"bytes"
	"errors"
	"reflect"
	"strings"

	kyaml "sigs.k8s.io/yaml"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/capability"
	"agentpassport.dev/operator/internal/token"
)

// Manifest writes the manifest of an object with the document, and codes and signature where they are given. The
// document's text stands in it as it was published; where YAML would then read another document, or there is no such
// text, as capability.Export gives it. An empty namespace is left out.
func (f *File) Manifest(name, namespace string) ([]byte, error) {
	if f.Text != nil {
		if written := f.manifest(name, namespace, f.Text); f.holds(written) {
			return written, nil
		}
	}
	written := f.manifest(name, namespace, capability.Export(f.Document().Raw()))
	if !f.holds(written) {
		return nil, errors.New("the document cannot be written as YAML without a change")
	}
	return written, nil
}

func (f *File) manifest(name, namespace string, document []byte) []byte {
	var out bytes.Buffer
	kind := kindAgent
	if f.Agent == nil {
		kind = kindPackage
	}
	out.WriteString("apiVersion: " + v1alpha1.GroupVersion.String() + "\nkind: " + kind + "\nmetadata:\n  name: " + name + "\n")
	if namespace != "" {
		out.WriteString("  namespace: " + namespace + "\n")
	}
	out.WriteString("spec:\n  document:\n")
	indented(&out, "    ", string(document))
	for _, beside := range []struct {
		name string
		is   bool
		what any
	}{{"codes", f.Codes() != nil, f.Codes()}, {"signature", f.JWS() != "", *f.signature()}} {
		if !beside.is {
			continue
		}
		text, err := kyaml.Marshal(beside.what)
		if err != nil { // texts and lists of them: holds then finds them missing
			continue
		}
		out.WriteString("  " + beside.name + ":\n")
		indented(&out, "    ", string(text))
	}
	return out.Bytes()
}

// indented writes a text with its lines moved to the right. What stands around a document of YAML is left out: the
// mark at its begin and its end, and a byte order mark.
func indented(out *bytes.Buffer, indent, text string) {
	text = strings.TrimPrefix(text, "\uFEFF")
	for line := range strings.Lines(strings.Trim(strings.ReplaceAll(text, "\r\n", "\n"), "\n") + "\n") {
		switch trimmed := strings.TrimRight(line, " \t\n"); trimmed {
		case "---", "...":
		case "":
			out.WriteString("\n")
		default:
			out.WriteString(indent + line)
		}
	}
}

// holds says whether a manifest has the same document, codes and signature.
func (f *File) holds(manifest []byte) bool {
	again, err := Read(manifest)
	if err != nil || again.JWS() != f.JWS() {
		return false
	}
	if !reflect.DeepEqual(again.Codes(), f.Codes()) {
		return false
	}
	one, errOne := token.CanonicalJSON(again.Document().Raw())
	other, errOther := token.CanonicalJSON(f.Document().Raw())
	return errOne == nil && errOther == nil && bytes.Equal(one, other)
}
