package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// source is a directory of config/ whose manifests become templates.
type source struct {
	// config is its path in config/, templates that of its folder in templates/.
	config, templates string
	// gate says by which condition a manifest is installed; empty: always.
	gate func(file, kind string) string
	// labels gives further labels of a kind, as lines of a template; nil: none.
	labels func(kind string) string
	// narrowed says which manifests are for the namespaces that the operator works in, where some are named; nil: none.
	narrowed func(kind, name string) bool
}

func always(condition string) func(string, string) string {
	return func(string, string) string { return condition }
}

// isNarrowedBinding says which rights the operator needs no further than it works: all that reach into namespaces. What is
// left is of the cluster: to ask who calls and what they may, and to append to the audit log.
func isNarrowedBinding(kind, name string) bool {
	return kind == "ClusterRoleBinding" &&
		slices.Contains([]string{"agent-passport-manager", "agent-passport-gateway", "agent-passport-audit-reader"}, name)
}

// isFinalizerBinding: a finalizer where the operator does not work would never be taken off.
func isFinalizerBinding(kind, name string) bool {
	return kind == "MutatingAdmissionPolicyBinding" && name == "agent-passport-finalizer"
}

// gateOfRole leaves out the rights of gateways where there are none.
func gateOfRole(file, _ string) string {
	if strings.HasPrefix(file, "gateway_") {
		return ".Values.gateway.enabled"
	}
	return ""
}

// gateOfKind has one value for each kind of the Prometheus operator: serviceMonitor.enabled for a ServiceMonitor.
func gateOfKind(_, kind string) string {
	return ".Values." + lowerFirst(kind) + ".enabled"
}

// labelsOfKind has a value for labels too: by these a Prometheus finds what it is told.
func labelsOfKind(kind string) string {
	return "    {{- with .Values." + lowerFirst(kind) + ".labels }}{{ toYaml . | nindent 4 }}{{- end }}"
}

func lowerFirst(text string) string {
	runes := []rune(text)
	runes[0] = unicode.ToLower(runes[0])
	return string(runes)
}

// write writes a template for each manifest that the kustomization of the source lists, and nothing else into the
// folder.
func (s source) write(config, templates string) error {
	dir, folder := filepath.Join(config, filepath.FromSlash(s.config)), filepath.Join(templates, filepath.FromSlash(s.templates))
	files, err := listed(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(folder), os.MkdirAll(folder, 0o755)); err != nil {
		return err
	}
	for _, file := range files {
		manifest, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return err
		}
		name := filepath.Base(file)
		made, err := s.template(name, manifest)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(dir, file), err)
		}
		if err := os.WriteFile(filepath.Join(folder, strings.ReplaceAll(name, "_", "-")), made, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// listed gives the resources of a kustomization.
func listed(dir string) ([]string, error) {
	file := filepath.Join(dir, "kustomization.yaml")
	read, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var kustomization struct {
		Resources []string `json:"resources"`
	}
	if err := yaml.Unmarshal(read, &kustomization); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return kustomization.Resources, nil
}

// template turns a file of manifests into a template.
func (s source) template(file string, manifests []byte) ([]byte, error) {
	var made bytes.Buffer
	fmt.Fprintf(&made, "{{- /* Written by `make chart` from config/%s. Change it there. */}}\n", s.config)
	for i, document := range documents(manifests) {
		var head metav1.PartialObjectMetadata
		if err := yaml.Unmarshal([]byte(document), &head); err != nil {
			return nil, err
		}
		if i > 0 {
			made.WriteString("---\n")
		}
		gate := s.gate(file, head.Kind)
		if gate != "" {
			fmt.Fprintf(&made, "{{- if %s }}\n", gate)
		}
		var labels []string
		if s.labels != nil {
			labels = append(labels, s.labels(head.Kind))
		}
		template := templated(document, head.Kind, labels...)
		if s.narrowed != nil && s.narrowed(head.Kind, head.Name) {
			template = narrowed(template, head.Kind)
		}
		made.WriteString(template)
		if gate != "" {
			made.WriteString("{{- end }}\n")
		}
	}
	return made.Bytes(), nil
}

// documents splits a YAML stream; each document ends with a line break.
func documents(stream []byte) []string {
	var found []string
	for document := range strings.SplitSeq("\n"+string(stream), "\n---\n") {
		if document = strings.Trim(document, "\n"); document != "" {
			found = append(found, document+"\n")
		}
	}
	return found
}

// copyFiles copies the files of one folder that match a pattern, and leaves nothing else in the other.
func copyFiles(from, to, pattern string) error {
	files, err := filepath.Glob(filepath.Join(from, pattern))
	if err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(to), os.MkdirAll(to, 0o755)); err != nil {
		return err
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(file)), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writeConfigFile writes the config file that a ConfigMap holds.
func writeConfigFile(from, to string) error {
	read, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var config corev1.ConfigMap
	if err := yaml.Unmarshal(read, &config); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, []byte(config.Data["config.yaml"]), 0o644)
}
