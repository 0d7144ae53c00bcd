package documentfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/capability"
	"agentpassport.dev/operator/internal/documentfile"
	"agentpassport.dev/operator/internal/token"
)

// published are documents as they are published.
func published(t testing.TB) map[string]string {
	t.Helper()
	names, err := filepath.Glob("../capability/testdata/*/*.yaml")
	if err != nil || len(names) < 13 {
		t.Fatalf("%d documents: %v", len(names), err)
	}
	found := map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found[filepath.Base(name)] = string(text)
	}
	return found
}

func read(t testing.TB, text string) *documentfile.File {
	t.Helper()
	file, err := documentfile.Read([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return file
}

func canonical(t testing.TB, file *documentfile.File) string {
	t.Helper()
	form, err := token.CanonicalJSON(file.Document().Raw())
	if err != nil {
		t.Fatal(err)
	}
	return string(form)
}

func TestAManifestHoldsTheDocumentVerbatim(t *testing.T) {
	for name, text := range published(t) {
		t.Run(name, func(t *testing.T) {
			text = "# As published.\n" + text
			file := read(t, text)
			file.SetJWS("eyJ..x")
			file.SetCodes(&v1alpha1.CapabilityCodes{Reads: []v1alpha1.CapabilityCode{"read:git"}})
			manifest, err := file.Manifest("one", "agents")
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(text) {
				if !strings.Contains(string(manifest), "    "+line) {
					t.Errorf("%q is not in the manifest", line)
				}
			}
			again := read(t, string(manifest))
			if canonical(t, again) != canonical(t, file) {
				t.Error("another document")
			}
			if again.Name() != "one" || again.JWS() != "eyJ..x" || again.Codes().Reads[0] != "read:git" {
				t.Errorf("%+v", again)
			}
			// The comment above the document stands beyond its first line.
			if got, want := string(again.Text), strings.TrimPrefix(text, "# As published.\n"); got != want {
				t.Errorf("the text of the document is\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestWhatYAMLCannotIndentIsWrittenAnew(t *testing.T) {
	text := published(t)["costguard.yaml"]
	for name, odd := range map[string]string{
		"a mark of the document": "---\n" + text + "...\n",
		"a directive":            "%YAML 1.1\n---\n" + text,
		"a byte order mark":      "\uFEFF" + text,
		"Windows lines":          strings.ReplaceAll(text, "\n", "\r\n"),
		"indented":               "  " + strings.TrimSuffix(strings.ReplaceAll(text, "\n", "\n  "), "  "),
		"kept line breaks":       text + "more: |+\n  one\n\n\n",
		"a list at the edge":     text + "more:\n- one\n- two\n",
		"JSON":                   string(read(t, text).Document().Raw()),
	} {
		t.Run(name, func(t *testing.T) {
			file := read(t, odd)
			manifest, err := file.Manifest("one", "")
			if err != nil {
				t.Fatal(err)
			}
			if canonical(t, read(t, string(manifest))) != canonical(t, file) {
				t.Errorf("another document:\n%s", manifest)
			}
		})
	}
}

func TestAManifestIsRead(t *testing.T) {
	document := published(t)["claude-code.yaml"]
	indented := "    " + strings.TrimSuffix(strings.ReplaceAll(document, "\n", "\n    "), "    ")
	const head = "apiVersion: agentpassport.dev/v1alpha1\nkind: AgentPassport\nmetadata:\n  name: coder\nspec:\n"
	manifest := head + "  grants:\n  - service: slack\n    scopes: [\"a:b\"]\n  document:\n" + indented + "  suspend: true\nstatus:\n  verified: true\n"
	file := read(t, manifest)
	if file.Agent == nil || file.Name() != "coder" || len(file.Agent.Spec.Grants) != 1 || !file.Agent.Spec.Suspend {
		t.Errorf("%+v", file.Agent)
	}
	if file.Agent.Status.Verified != nil {
		t.Error("a file says itself that it is verified, and is believed")
	}
	if string(file.Text) != document {
		t.Errorf("the text of the document is\n%s", file.Text)
	}
	if got := file.Subject(); got != "agent Claude Code varies (rolling release) of vendor Anthropic" {
		t.Error(got)
	}
	for says, text := range map[string]string{
		"is of kind":                 strings.Replace(manifest, "kind: AgentPassport", "kind: Passport", 1),
		"document of the other kind": strings.Replace(manifest, "kind: AgentPassport", "kind: CapabilityPassport", 1),
		"v1alpha9":                   strings.Replace(manifest, "v1alpha1", "v1alpha9", 1),
		"has no spec.document":       head + "  suspend: true\n",
		`unknown field "grant"`:      strings.Replace(manifest, "  grants:", "  grant:", 1),
		"several documents":          manifest + "---\n" + manifest,
	} {
		if _, err := documentfile.Read([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

func TestAProblemHasTheLineOfTheFile(t *testing.T) {
	document := published(t)["claude-code.yaml"]
	manifest, err := read(t, document).Manifest("coder", "agents")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"document": document, "manifest": string(manifest)} {
		text = strings.Replace(text, "sandboxed: false", "sandboxed: maybe", 1)
		before, _, _ := strings.Cut(text, "sandboxed: maybe")
		want := strings.Count(before, "\n") + 1
		_, err := documentfile.Read([]byte(text))
		var problems capability.Problems
		if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Line != want || problems[0].Path != "sandboxed" {
			t.Errorf("%s: %v, want line %d", name, err, want)
		}
	}
}

func TestNamesAreMadeOfTheDocuments(t *testing.T) {
	text := published(t)["claude-code.yaml"]
	for name, want := range map[string]string{
		"Claude Code": "claude-code", "  ChatGPT (browser & app)": "chatgpt-browser-app", "Ünïcode": "n-code", "日本": "",
		strings.Repeat("a", 62) + " b": strings.Repeat("a", 62),
	} {
		if got := read(t, strings.Replace(text, "name: Claude Code", `name: "`+name+`"`, 1)).Name(); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
