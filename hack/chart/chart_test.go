package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The templates, the config file and the table of values are what config/ and values.yaml say.
func TestUpToDate(t *testing.T) {
	const root = "../.."
	fresh := t.TempDir()
	for _, dir := range []string{chartDir, configDir} {
		if err := os.CopyFS(filepath.Join(fresh, dir), os.DirFS(filepath.Join(root, dir))); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(filepath.Join(root, guide))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(fresh, filepath.Dir(guide)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(fresh, guide), page, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := write(fresh); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{chartDir, guide} {
		if diff := cmp.Diff(files(t, filepath.Join(root, path)), files(t, filepath.Join(fresh, path))); diff != "" {
			t.Errorf("%s is not up to date: run `make chart` (- as it is, + as it has to be):\n%s", path, diff)
		}
	}
}

// files reads all files at a path.
func files(t *testing.T, path string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(path, func(file string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(file)
		found[strings.TrimPrefix(file, path)] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestTemplated(t *testing.T) {
	for _, is := range []struct{ name, kind, manifest, want string }{
		{
			"an object without labels", "Role",
			"kind: Role\nmetadata:\n  name: a\n  namespace: agent-passport-system\nrules: []\n",
			"kind: Role\nmetadata:\n  labels:\n" + chartLabels + "\n  name: a\n  namespace: {{ .Release.Namespace | quote }}\nrules: []\n",
		},
		{
			"one with labels", "Role",
			"kind: Role\nmetadata:\n  name: a\n  labels:\n    b: c\n",
			"kind: Role\nmetadata:\n  name: a\n  labels:\n" + chartLabels + "\n    b: c\n",
		},
		{
			"a namespace within a text", "Policy",
			"metadata:\n  labels:\nspec: 'system:serviceaccount:agent-passport-system:agent-passport-manager'\n",
			"metadata:\n  labels:\n" + chartLabels + "\nspec: 'system:serviceaccount:{{ .Release.Namespace }}:agent-passport-manager'\n",
		},
		{
			"what Helm would take for its own", "Rule",
			"metadata:\n  labels:\nsummary: '{{ $labels.namespace }}'\n",
			"metadata:\n  labels:\n" + chartLabels + "\nsummary: '{{ \"{{\" }} $labels.namespace }}'\n",
		},
		{
			"labels of a template are left alone", "Deployment",
			"metadata:\n  name: a\nspec:\n  template:\n    metadata:\n      labels: {}\n",
			"metadata:\n  labels:\n" + chartLabels + "\n  name: a\nspec:\n  template:\n    metadata:\n      labels: {}\n",
		},
		{
			"a CRD", "CustomResourceDefinition",
			"metadata:\n  annotations:\n    by: gen\n  name: a\n",
			"metadata:\n  labels:\n" + chartLabels + "\n  annotations:\n    {{- if .Values.crds.keep }}\n    helm.sh/resource-policy: keep\n    {{- end }}\n    by: gen\n  name: a\n",
		},
	} {
		t.Run(is.name, func(t *testing.T) {
			if got := templated(is.manifest, is.kind); got != is.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, is.want)
			}
		})
	}
}

func TestDocuments(t *testing.T) {
	got := documents([]byte("---\n# why\na: 1\n---\nb: |\n  ---\n---\n\n"))
	if strings.Join(got, "|") != "# why\na: 1\n|b: |\n  ---\n" {
		t.Errorf("got %q", got)
	}
}

func TestValuesTable(t *testing.T) {
	got, err := valuesTable([]byte("# A part.\na:\n  # What it does,\n  # in two lines, x|y.\n  b: [1]\n# None.\nc: {}\n"))
	want := "\n| value | default | what it does |\n|---|---|---|\n| `a.b` | `[1]` | What it does, in two lines, x\\|y. |\n| `c` | `{}` | None. |\n\n"
	if err != nil || got != want {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := valuesTable([]byte("a:\n  b: 1\n")); err == nil || !strings.Contains(err.Error(), "a.b has no comment") {
		t.Errorf("a value that says nothing of itself: %v", err)
	}
}
