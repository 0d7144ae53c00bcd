package capability_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/internal/capability"
)

func TestExportIsByteStable(t *testing.T) {
	for _, file := range fixtures(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first, err := capability.Read(data)
		if err != nil {
			t.Fatal(err)
		}
		exported := capability.Export(first.Raw())
		second, err := capability.Read(exported)
		if err != nil {
			t.Fatalf("%s: %v\n%s", file, err, exported)
		}
		if again := capability.Export(second.Raw()); !bytes.Equal(exported, again) {
			t.Errorf("%s: %s", file, cmp.Diff(string(exported), string(again)))
		}
		if changes := capability.Diff(first, second); len(changes) > 0 {
			t.Errorf("%s: %+v", file, changes)
		}
		// The API server keeps no order: the names of an object come back sorted.
		var shuffled any
		if err := json.Unmarshal(first.Raw(), &shuffled); err != nil {
			t.Fatal(err)
		}
		sorted, err := json.Marshal(shuffled)
		if err != nil {
			t.Fatal(err)
		}
		if again := capability.Export(sorted); !bytes.Equal(exported, again) {
			t.Errorf("%s: %s", file, cmp.Diff(string(exported), string(again)))
		}
	}
}

func TestExportForm(t *testing.T) {
	raw := `{"zeta":[1.50,{}],"verified":false,"alpha":null,"agent":{"vendor":"E","extra":"<ü>\n","name":"true"},"schema":"apai.agent-passport.v0.1","capabilities":{"can_read":["a \"b\""],"can_write":[]}}`
	want := `schema: "apai.agent-passport.v0.1"
agent:
  name: "true"
  vendor: "E"
  extra: "<ü>\n"
capabilities:
  can_read:
    - "a \"b\""
  can_write: []
verified: false
alpha: null
zeta:
  - 1.50
  - {}
`
	if diff := cmp.Diff(want, string(capability.Export([]byte(raw)))); diff != "" {
		t.Error(diff)
	}
	for _, none := range []string{"", "[]", "null", "{", "7"} {
		if got := capability.Export([]byte(none)); got != nil {
			t.Errorf("%s became %q", none, got)
		}
	}
}
