// Package compat says where a CustomResourceDefinition takes less than the one before: what was stored by the older would be
// cut, unreadable, or refused at its next update by the newer.
package compat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// Narrowed lists what of before is not, or no longer wholly, in after, a line each with the path of the field. None: whatever
// was stored stays valid, by the schemas.
func Narrowed(before, after *apiextensionsv1.CustomResourceDefinition) []string {
	n := &narrowed{}
	if before.Spec.Scope != after.Spec.Scope {
		n.add("scope", "was %s, is %s", before.Spec.Scope, after.Spec.Scope)
	}
	if was, is := before.Spec.Names, after.Spec.Names; was.Kind != is.Kind || was.Plural != is.Plural {
		n.add("names", "were %s and %s, are %s and %s", was.Kind, was.Plural, is.Kind, is.Plural)
	}
	for i := range before.Spec.Versions {
		was := &before.Spec.Versions[i]
		at := slices.IndexFunc(after.Spec.Versions, func(is apiextensionsv1.CustomResourceDefinitionVersion) bool { return is.Name == was.Name })
		if at < 0 {
			n.add(was.Name, "the version is gone")
			continue
		}
		n.version(was, &after.Spec.Versions[at])
	}
	slices.Sort(n.found)
	return n.found
}

type narrowed struct{ found []string }

func (n *narrowed) add(path, format string, args ...any) {
	n.found = append(n.found, path+": "+fmt.Sprintf(format, args...))
}

func (n *narrowed) version(was, is *apiextensionsv1.CustomResourceDefinitionVersion) {
	if was.Served && !is.Served {
		n.add(was.Name, "is not served any more")
	}
	if was.Subresources != nil && was.Subresources.Status != nil && (is.Subresources == nil || is.Subresources.Status == nil) {
		n.add(was.Name, "has no status of its own any more")
	}
	for _, field := range was.SelectableFields {
		if !slices.Contains(is.SelectableFields, field) {
			n.add(was.Name+field.JSONPath, "cannot be selected by any more")
		}
	}
	n.schema(was.Name, was.Schema.OpenAPIV3Schema, is.Schema.OpenAPIV3Schema)
}

// schema compares what both have. What is new says nothing of what was stored, unless it is required.
func (n *narrowed) schema(path string, was, is *apiextensionsv1.JSONSchemaProps) {
	if was == nil || is == nil {
		if was != is {
			n.add(path, "the schema came or went")
		}
		return
	}
	n.kind(path, was, is)
	n.limits(path, was, is)
	n.rules(path, was, is)
	for name := range was.Properties {
		property, kept := is.Properties[name]
		if !kept {
			n.add(path+"."+name, "the field is gone")
			continue
		}
		before := was.Properties[name]
		n.schema(path+"."+name, &before, &property)
	}
	for _, name := range is.Required {
		if !slices.Contains(was.Required, name) {
			n.add(path+"."+name, "is required now")
		}
	}
	n.items(path, was, is)
	n.additional(path, was, is)
}

// kind compares what sort of value it is.
func (n *narrowed) kind(path string, was, is *apiextensionsv1.JSONSchemaProps) {
	for _, of := range []struct{ name, was, is string }{
		{"type", was.Type, is.Type},
		{"listType", value(was.XListType), value(is.XListType)},
		{"mapType", value(was.XMapType), value(is.XMapType)},
		{"keys of the list", strings.Join(was.XListMapKeys, ", "), strings.Join(is.XListMapKeys, ", ")},
	} {
		if of.was != of.is {
			n.add(path, "%s was %q, is %q", of.name, of.was, of.is)
		}
	}
	for _, of := range []struct {
		name    string
		was, is bool
	}{
		{"may not be null any more", was.Nullable, is.Nullable},
		{"unknown fields in it are cut", value(was.XPreserveUnknownFields), value(is.XPreserveUnknownFields)},
		{"may not be a number or a text any more", was.XIntOrString, is.XIntOrString},
	} {
		if of.was && !of.is {
			n.add(path, "%s", of.name)
		}
	}
	if was.Default != nil && (is.Default == nil || !bytes.Equal(was.Default.Raw, is.Default.Raw)) {
		n.add(path, "the default %s changed or went", was.Default.Raw)
	}
	if len(is.Enum) > 0 {
		if len(was.Enum) == 0 {
			n.add(path, "has a list of values now")
		}
		for _, allowed := range was.Enum {
			if !slices.ContainsFunc(is.Enum, func(still apiextensionsv1.JSON) bool { return bytes.Equal(still.Raw, allowed.Raw) }) {
				n.add(path, "%s is not allowed any more", allowed.Raw)
			}
		}
	}
}

// limits compares what bounds a value.
func (n *narrowed) limits(path string, was, is *apiextensionsv1.JSONSchemaProps) {
	atMost(n, path, "maxLength", was.MaxLength, is.MaxLength)
	atMost(n, path, "maxItems", was.MaxItems, is.MaxItems)
	atMost(n, path, "maxProperties", was.MaxProperties, is.MaxProperties)
	atMost(n, path, "maximum", was.Maximum, is.Maximum)
	atLeast(n, path, "minLength", was.MinLength, is.MinLength)
	atLeast(n, path, "minItems", was.MinItems, is.MinItems)
	atLeast(n, path, "minProperties", was.MinProperties, is.MinProperties)
	atLeast(n, path, "minimum", was.Minimum, is.Minimum)
	if is.Pattern != "" && is.Pattern != was.Pattern {
		n.add(path, "the pattern was %q, is %q", was.Pattern, is.Pattern)
	}
	if is.Format != "" && is.Format != was.Format {
		n.add(path, "the format was %q, is %q", was.Format, is.Format)
	}
	if (is.ExclusiveMaximum && !was.ExclusiveMaximum) || (is.ExclusiveMinimum && !was.ExclusiveMinimum) || (is.UniqueItems && !was.UniqueItems) {
		n.add(path, "a limit became exclusive, or items unique")
	}
	if text(is.MultipleOf) != "null" && text(is.MultipleOf) != text(was.MultipleOf) {
		n.add(path, "has to be a multiple of %s now", text(is.MultipleOf))
	}
	for _, of := range []struct {
		name    string
		was, is any
	}{{"allOf", was.AllOf, is.AllOf}, {"anyOf", was.AnyOf, is.AnyOf}, {"oneOf", was.OneOf, is.OneOf}, {"not", was.Not, is.Not}} {
		if text(of.was) != text(of.is) {
			n.add(path, "%s changed", of.name)
		}
	}
}

// rules compares the rules of CEL. Nobody can tell a wider rule from a narrower one: a new one is reported, and so is another
// text.
func (n *narrowed) rules(path string, was, is *apiextensionsv1.JSONSchemaProps) {
	for i := range is.XValidations {
		rule := &is.XValidations[i]
		if !slices.ContainsFunc(was.XValidations, func(old apiextensionsv1.ValidationRule) bool { return old.Rule == rule.Rule }) {
			n.add(path, "the rule %q is new", rule.Rule)
		}
	}
}

func (n *narrowed) items(path string, was, is *apiextensionsv1.JSONSchemaProps) {
	if was.Items != nil && is.Items != nil {
		n.schema(path+"[]", was.Items.Schema, is.Items.Schema)
	} else if (was.Items == nil) != (is.Items == nil) {
		n.add(path, "what its items are came or went")
	}
}

func (n *narrowed) additional(path string, was, is *apiextensionsv1.JSONSchemaProps) {
	switch before, after := was.AdditionalProperties, is.AdditionalProperties; {
	case before == nil:
	case after == nil:
		n.add(path, "takes no keys of one's own any more")
	case before.Allows && !after.Allows && after.Schema == nil:
		n.add(path, "takes no keys of one's own any more")
	case before.Schema != nil && after.Schema != nil:
		n.schema(path+"{}", before.Schema, after.Schema)
	case before.Schema == nil && after.Schema != nil:
		n.add(path, "the values of one's own keys have a schema now")
	}
}

func atMost[T int64 | float64](n *narrowed, path, name string, was, is *T) {
	if is != nil && (was == nil || *is < *was) {
		n.add(path, "%s was %s, is %s", name, text(was), text(is))
	}
}

func atLeast[T int64 | float64](n *narrowed, path, name string, was, is *T) {
	if is != nil && *is != 0 && (was == nil || *is > *was) {
		n.add(path, "%s was %s, is %s", name, text(was), text(is))
	}
}

func value[T any](pointer *T) T {
	if pointer == nil {
		var none T
		return none
	}
	return *pointer
}

// text is a value as JSON, which these always have.
func text(value any) string {
	encoded, _ := json.Marshal(value)
	return string(encoded)
}
