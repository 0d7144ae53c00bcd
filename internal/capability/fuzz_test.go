package capability_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/capability"
)

// FuzzDocument looks for documents that panic, that change on their way in and out, or whose findings
// do not fit into conditions.
func FuzzDocument(f *testing.F) {
	f.Add(document(f, "").Raw)
	f.Add(document(f, `,"agent":{"name":"<&>","url":"ü"},"capabilities":{"can_write":["None","session sandbox (x)"],"x":1},"y":{}`).Raw)
	f.Add([]byte(`{"sandboxed":true,"install_modes_supported":["local-tool","cloud-sandbox"],"verified":true,"capabilities":{"can_write":["git",""]}}`))
	f.Add([]byte(`{"agent":null,"capabilities":null,"agent":{"a":1},"install_modes_supported":null}`))
	f.Add([]byte(`{"agent":[],"sandboxed":1e0}`))
	f.Add([]byte(`null`))
	f.Add([]byte(` {"schema" : "a\u0000b", "n": 12345678901234567890.5 } `))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, data []byte) {
		var read v1alpha1.AgentDocument
		if json.Unmarshal(data, &read) != nil {
			return
		}
		findings := capability.Findings(&read)
		if !slices.IsSortedFunc(findings, func(a, b capability.Finding) int {
			return slices.Index(capability.FindingConditions(), a.Condition) - slices.Index(capability.FindingConditions(), b.Condition)
		}) {
			t.Fatalf("out of order: %+v", findings)
		}
		for _, finding := range findings {
			if finding.Message == "" || finding.Reason == "" {
				t.Fatalf("nothing to say: %+v", finding)
			}
			if utf8.Valid(data) && !utf8.ValidString(finding.Message) {
				t.Fatalf("not UTF-8: %q", finding.Message)
			}
		}
		if raw, err := read.MarshalJSON(); err != nil || !bytes.Equal(raw, read.Raw) {
			t.Fatalf("wrote %q, %v", raw, err)
		}
		if !bytes.Equal(read.Raw, bytes.TrimSpace(data)) {
			t.Fatalf("kept %q", read.Raw)
		}
		written, err := json.Marshal(read)
		if err != nil {
			t.Fatal(err)
		}
		var again v1alpha1.AgentDocument
		if err := json.Unmarshal(written, &again); err != nil {
			t.Fatalf("wrote what cannot be read: %v", err)
		}
		var before, after any
		if json.Unmarshal(read.Raw, &before) != nil || json.Unmarshal(again.Raw, &after) != nil || !cmp.Equal(before, after) {
			t.Fatalf("%q became %q", read.Raw, again.Raw)
		}
		read.Raw, again.Raw = nil, nil
		if !cmp.Equal(read, again) {
			t.Fatal(cmp.Diff(read, again))
		}
	})
}

func TestADocumentMadeInGoIsWrittenFromItsFields(t *testing.T) {
	made := *document(t, "")
	made.Raw = nil
	written, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	var read v1alpha1.AgentDocument
	if err := json.Unmarshal(written, &read); err != nil {
		t.Fatal(err)
	}
	read.Raw = nil
	if diff := cmp.Diff(made, read); diff != "" {
		t.Error(diff)
	}
}

func TestADocumentThatCannotBeReadIsLeftAsItWas(t *testing.T) {
	read := *document(t, "")
	before := read
	for _, wrong := range []string{``, `{`, `[]`, `{"verified":"yes"}`, `{"capabilities":{"can_read":"all"}}`} {
		if err := read.UnmarshalJSON([]byte(wrong)); err == nil {
			t.Errorf("%s was read", wrong)
		}
		if diff := cmp.Diff(before, read); diff != "" {
			t.Errorf("%s: %s", wrong, diff)
		}
	}
}
