package capability_test

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/capability"
)

// agentFixture and packageFixture read a document of testdata.
func agentFixture(t testing.TB, name string) capability.Agent {
	t.Helper()
	document, err := capability.ReadAgentDocument(fixture(t, filepath.Join("agents", name+".yaml")))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return capability.Agent{Document: document}
}

func packageFixture(t testing.TB, name string) capability.Package {
	t.Helper()
	document, err := capability.ReadPackageDocument(fixture(t, filepath.Join("packages", name+".yaml")))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return capability.Package{Document: document}
}

// expectation is one cell of testdata/pairings.md.
type expectation struct{ field, declaration, coverage, rule string }

// rank is the order in which declarations are reported; within it, that of the table.
func (e expectation) rank() int {
	order := []string{"approvals", "sandbox", "install_mode", "reads", "writes", "accesses", "spends", "exposes"}
	return 3*slices.Index(order, e.field) + map[bool]int{true: slices.Index([]string{"Outside", "Unclear", "Covered"}, e.coverage)}[e.field == "approvals"]
}

// expectations reads testdata/pairings.md: by package and agent, what is expected of each declaration.
func expectations(t *testing.T) map[string][]expectation {
	t.Helper()
	coverages := map[string]string{"C": "Covered", "O": "Outside", "U": "Unclear"}
	expected := map[string][]expectation{}
	var pkg string
	var agents []string
	for line := range strings.Lines(string(fixture(t, "pairings.md"))) {
		line = strings.TrimSpace(line)
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		switch {
		case strings.HasPrefix(line, "## "):
			pkg = strings.TrimPrefix(line, "## ")
		case strings.HasPrefix(line, "| field |"):
			agents = cells[2:]
		case strings.HasPrefix(line, "| "):
			for i, cell := range cells[2:] {
				field, said := cells[0], cell
				if under, rest, found := strings.Cut(cell, ": "); found {
					field, said = under, rest
				}
				coverage, rule, _ := strings.Cut(said, " ")
				key := pkg + " with " + agents[i]
				expected[key] = append(expected[key], expectation{field, cells[1], coverages[coverage], rule})
			}
		}
	}
	for _, pair := range expected {
		slices.SortStableFunc(pair, func(a, b expectation) int { return cmp.Compare(a.rank(), b.rank()) })
	}
	return expected
}

func TestThe42Pairings(t *testing.T) {
	expected := expectations(t)
	agents := []string{"claude-code", "codex-cli", "cursor", "gemini-cli", "chatgpt-browser", "claude-ai-browser", "gemini-web"}
	packages := []string{"agent-passport", "coding-safe-mode", "private-workspace-policy", "mcp-audit", "costguard", "prompt-preflight-starter"}
	if len(expected) != len(agents)*len(packages) {
		t.Fatalf("%d pairs are in the table", len(expected))
	}
	for _, pkg := range packages {
		for _, agent := range agents {
			key := pkg + " with " + agent
			t.Run(key, func(t *testing.T) {
				with := agentFixture(t, agent)
				var got []expectation
				pairing := capability.Pair(packageFixture(t, pkg), with, with.Document.InstallModesSupported[0])
				for _, declared := range pairing.Declarations {
					got = append(got, expectation{string(declared.Field), *declared.Declaration, string(declared.Coverage), declared.Rule})
				}
				if diff := gocmp.Diff(expected[key], got, gocmp.AllowUnexported(expectation{})); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func say(declared []v1alpha1.CompatibilityFinding) []string {
	said := make([]string, 0, len(declared))
	for _, finding := range declared {
		said = append(said, fmt.Sprintf("%s %s %s %s", finding.Field, *finding.Declaration, finding.Coverage, finding.Rule))
	}
	return said
}
