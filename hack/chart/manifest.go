package main

import (
	"regexp"
	"strings"
)

// namespace is where config/ puts the operator; the chart puts it where the release is.
const namespace = "agent-passport-system"

// chartLabels gives an object the chart's labels.
const chartLabels = `    {{- include "agent-passport.labels" . | nindent 4 }}`

// namespaceValue is the namespace as a value of its own, which has to stay a string: a namespace may be named 123.
var namespaceValue = regexp.MustCompile(`(?m)^(\s*[\w./-]+: )` + namespace + `$`)

// templated turns one manifest into a template: its namespace is that of the release, its labels are the chart's, and a
// CRD outlives the release. Further labels are lines of the template. All else stays as it is, comments too.
func templated(manifest, kind string, labels ...string) string {
	manifest = strings.ReplaceAll(manifest, "{{", `{{ "{{" }}`)
	manifest = namespaceValue.ReplaceAllString(manifest, "${1}{{ .Release.Namespace | quote }}")
	manifest = strings.ReplaceAll(manifest, namespace, "{{ .Release.Namespace }}")
	manifest = into(manifest, "labels", append([]string{chartLabels}, labels...)...)
	if kind == "CustomResourceDefinition" {
		manifest = into(manifest, "annotations",
			"    {{- if .Values.crds.keep }}", "    helm.sh/resource-policy: keep", "    {{- end }}")
	}
	return manifest
}

// narrowed has a template reach no further than the namespaces in watchNamespaces, where some are named: a
// ClusterRoleBinding becomes a RoleBinding in each of them, and the binding of a policy selects them.
func narrowed(template, kind string) string {
	if kind != "ClusterRoleBinding" {
		return template + `  {{- with .Values.watchNamespaces }}
  matchResources:
    namespaceSelector:
      matchExpressions:
        - key: kubernetes.io/metadata.name
          operator: In
          values: {{ toJson . }}
  {{- end }}
`
	}
	comment, binding, _ := strings.Cut(template, "apiVersion: ")
	binding = "apiVersion: " + binding
	binding = strings.NewReplacer(
		"kind: ClusterRoleBinding\n", "kind: {{ if $namespace }}RoleBinding{{ else }}ClusterRoleBinding{{ end }}\n",
		`include "agent-passport.labels" .`, `include "agent-passport.labels" $`, "{{ .Release", "{{ $.Release",
	).Replace(binding)
	// The operator's own namespace has bindings of these names already, and may be one of those.
	name, rest, _ := strings.Cut(binding, "\nroleRef:")
	return "{{- range $namespace := .Values.watchNamespaces | default (list \"\") }}\n---\n" + comment + name +
		"{{ if $namespace }}-watched\n  namespace: {{ $namespace | quote }}{{ end }}\nroleRef:" + rest + "{{- end }}\n"
}

// into puts lines under a field of metadata, first in it, and adds the field where it is not there.
func into(manifest, field string, lines ...string) string {
	all := strings.Split(manifest, "\n")
	for i, line := range all {
		if line != "metadata:" {
			continue
		}
		for j := i + 1; j < len(all) && strings.HasPrefix(all[j], " "); j++ {
			if all[j] == "  "+field+":" {
				return join(all[:j+1], lines, all[j+1:])
			}
		}
		return join(all[:i+1], append([]string{"  " + field + ":"}, lines...), all[i+1:])
	}
	return manifest
}

func join(parts ...[]string) string {
	var all []string
	for _, part := range parts {
		all = append(all, part...)
	}
	return strings.Join(all, "\n")
}
