package capability

import (
	"fmt"
	"os"
	"testing"

	"sigs.k8s.io/yaml"
)

// crdSchema is what matters here of an OpenAPI schema.
type crdSchema struct {
	Type       string               `json:"type"`
	Format     string               `json:"format"`
	Enum       []string             `json:"enum"`
	Required   []string             `json:"required"`
	MinLength  int                  `json:"minLength"`
	MaxLength  int                  `json:"maxLength"`
	MinItems   int                  `json:"minItems"`
	MaxItems   int                  `json:"maxItems"`
	ListType   string               `json:"x-kubernetes-list-type"`
	Items      *crdSchema           `json:"items"`
	Properties map[string]crdSchema `json:"properties"`
}

// A file that is read can be applied: the limits are those of the CRDs.
func TestTheLimitsAreThoseOfTheCRDs(t *testing.T) {
	for file, members := range map[string][]member{"agentpassports": agentSchema, "capabilitypassports": packageSchema} {
		data, err := os.ReadFile(fmt.Sprintf("../../config/crd/bases/agentpassport.dev_%s.yaml", file))
		if err != nil {
			t.Fatal(err)
		}
		var crd struct {
			Spec struct {
				Versions []struct {
					Schema struct {
						OpenAPIV3Schema crdSchema `json:"openAPIV3Schema"`
					} `json:"schema"`
				} `json:"versions"`
			} `json:"spec"`
		}
		if err := yaml.Unmarshal(data, &crd); err != nil {
			t.Fatal(err)
		}
		compareMembers(t, file, members, crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].Properties["document"])
	}
}

func compareMembers(t *testing.T, path string, members []member, schema crdSchema) {
	t.Helper()
	required := map[string]bool{}
	for _, name := range schema.Required {
		required[name] = true
	}
	for name := range schema.Properties {
		if known, _ := find(members, name); known == nil {
			t.Errorf("%s.%s is in the CRD alone", path, name)
		}
	}
	for _, known := range members {
		at := path + "." + known.name
		if known.holds == anyMember {
			continue // kept, and not looked at
		}
		is, found := schema.Properties[known.name]
		if !found {
			t.Errorf("%s is not in the CRD", at)
			continue
		}
		text := is
		if is.Items != nil {
			text = *is.Items
		}
		got := fmt.Sprint(is.Type, required[known.name], text.MinLength, text.MaxLength, is.MinItems, is.MaxItems, text.Enum, is.ListType == "set", is.Format == "date-time")
		want := fmt.Sprint(map[memberType]string{textMember: "string", boolMember: "boolean", listMember: "array", objectMember: "object"}[known.holds],
			known.required, known.minimum, known.maximum, known.minItems, known.maxItems, known.oneOf, known.unique, known.dateTime)
		if got != want {
			t.Errorf("%s: the CRD has %s, and the schema %s", at, got, want)
		}
		if known.holds == objectMember {
			compareMembers(t, at, known.members, is)
		}
	}
}
