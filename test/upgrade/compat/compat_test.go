package compat_test

import (
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/test/upgrade/compat"
)

const crd = `
spec:
  scope: Namespaced
  names: {kind: Thing, plural: things}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      selectableFields: [{jsonPath: .spec.name}]
      schema:
        openAPIV3Schema:
          type: object
          required: [spec]
          properties:
            spec:
              type: object
              x-kubernetes-validations: [{rule: "self == oldSelf"}]
              properties:
                name: {type: string, minLength: 1, maxLength: 63, pattern: "^[a-z]+$"}
                mode: {type: string, enum: [A, B], default: A}
                count: {type: integer, format: int32, minimum: 0, maximum: 10}
                when: {type: string, nullable: true}
                tags: {type: object, additionalProperties: {type: string, maxLength: 5}}
                list:
                  type: array
                  maxItems: 3
                  x-kubernetes-list-type: set
                  items: {type: string, maxLength: 9}
            status: {type: object, x-kubernetes-preserve-unknown-fields: true}
`

// Each narrows in one way, and is found with its path; or widens, and is not.
func TestNarrowed(t *testing.T) {
	for _, is := range []struct{ name, from, to, says string }{
		{"nothing", "", "", ""},
		{"a field goes", "                count: {type: integer, format: int32, minimum: 0, maximum: 10}\n", "", "v1.spec.count: the field is gone"},
		{"a field is renamed", "when: {", "at: {", "v1.spec.when: the field is gone"},
		{"a value of an enum goes", "enum: [A, B]", "enum: [A]", `v1.spec.mode: "B" is not allowed any more`},
		{"an enum comes", "when: {type: string", "when: {type: string, enum: [now]", "v1.spec.when: has a list of values now"},
		{"a field becomes required", "required: [spec]", "required: [spec, status]", "v1.status: is required now"},
		{"a new field is required", "properties:\n                name", "required: [more]\n              properties:\n                more: {type: string}\n                name", "v1.spec.more: is required now"},
		{"shorter", "maxLength: 63", "maxLength: 62", "v1.spec.name: maxLength was 63, is 62"},
		{"a length comes", "when: {type: string", "when: {type: string, maxLength: 9", "v1.spec.when: maxLength was null, is 9"},
		{"longer at least", "minLength: 1", "minLength: 2", "v1.spec.name: minLength was 1, is 2"},
		{"another pattern", "^[a-z]+$", "^[a-y]+$", "v1.spec.name: the pattern was"},
		{"a lower maximum", "maximum: 10", "maximum: 9", "v1.spec.count: maximum was 10, is 9"},
		{"a higher minimum", "minimum: 0", "minimum: 1", "v1.spec.count: minimum was 0, is 1"},
		{"another type", "count: {type: integer", "count: {type: string", `v1.spec.count: type was "integer", is "string"`},
		{"another format", "format: int32", "format: date", "v1.spec.count: the format was"},
		{"fewer items", "maxItems: 3", "maxItems: 2", "v1.spec.list: maxItems was 3, is 2"},
		{"shorter items", "maxLength: 9", "maxLength: 8", "v1.spec.list[]: maxLength was 9, is 8"},
		{"shorter values", "maxLength: 5", "maxLength: 4", "v1.spec.tags{}: maxLength was 5, is 4"},
		{"no keys of one's own", "tags: {type: object, additionalProperties: {type: string, maxLength: 5}}", "tags: {type: object}", "v1.spec.tags: takes no keys"},
		{"another list", "list-type: set", "list-type: atomic", `v1.spec.list: listType was "set", is "atomic"`},
		{"not null", "nullable: true", "nullable: false", "v1.spec.when: may not be null"},
		{"cut fields", "x-kubernetes-preserve-unknown-fields: true", "x-kubernetes-preserve-unknown-fields: false", "v1.status: unknown fields in it are cut"},
		{"another default", "default: A", "default: B", "v1.spec.mode: the default"},
		{"a new rule", `{rule: "self == oldSelf"}`, `{rule: "self == oldSelf"}, {rule: "self.count > 1"}`, `v1.spec: the rule "self.count > 1" is new`},
		{"a condition of schemas", "when: {type: string", "when: {type: string, anyOf: [{pattern: x}]", "v1.spec.when: anyOf changed"},
		{"not served", "served: true", "served: false", "v1: is not served any more"},
		{"no version", "- name: v1", "- name: v2", "v1: the version is gone"},
		{"no status", "subresources: {status: {}}", "subresources: {}", "v1: has no status of its own"},
		{"not selectable", "[{jsonPath: .spec.name}]", "[]", "v1.spec.name: cannot be selected by"},
		{"another scope", "scope: Namespaced", "scope: Cluster", "scope: was Namespaced, is Cluster"},

		{"a new field", "when: {", "more: {type: string}\n                when: {", ""},
		{"a new value of an enum", "enum: [A, B]", "enum: [A, B, C]", ""},
		{"a wider limit", "maxLength: 63", "maxLength: 253", ""},
		{"a limit goes", ", maximum: 10", "", ""},
		{"a rule goes", `[{rule: "self == oldSelf"}]`, "[]", ""},
		{"a field is not required any more", "required: [spec]", "required: []", ""},
		{"a new version", "  versions:\n", "  versions:\n    - {name: v2, served: true, schema: {openAPIV3Schema: {type: object}}}\n", ""},
	} {
		t.Run(is.name, func(t *testing.T) {
			after := strings.Replace(crd, is.from, is.to, 1)
			if after == crd && is.from != "" {
				t.Fatal("nothing was changed")
			}
			found := compat.Narrowed(parse(t, crd), parse(t, after))
			switch {
			case is.says == "" && len(found) > 0:
				t.Errorf("found %q", found)
			case is.says != "" && !slices.ContainsFunc(found, func(line string) bool { return strings.HasPrefix(line, is.says) }):
				t.Errorf("want %q in %q", is.says, found)
			}
		})
	}
}

func parse(t *testing.T, text string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	var parsed apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict([]byte(text), &parsed); err != nil {
		t.Fatal(err)
	}
	return &parsed
}
