package capability_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/capability"
)

var sixFields = []v1alpha1.CapabilityField{
	v1alpha1.FieldReads, v1alpha1.FieldWrites, v1alpha1.FieldAccesses, v1alpha1.FieldSpends, v1alpha1.FieldExposes, v1alpha1.FieldApprovals,
}

// statements draws statements that the rules know, parts of them put together, and any text.
func drawStatement() *rapid.Generator[v1alpha1.Statement] {
	parts := []string{
		"no", "none", "but", "unless", "only", "by default", "network", "access", "any", "endpoint", "git", "history", "and", "or", "status", ",", ".", "(", ")", ";",
		"files", "in current working directory", "in default mode", "in suggest mode", "workspace files", "shell output", "local", "report", "optional",
		"./a", "./a/*", "**", "~/x", "/etc/hosts", "/etc/**", "../up", "api.slack.com", "*.slack.com", "https://slack.com/api", "tokens", "llm tokens",
		"production", "deploys", "destructive operations", "purchases", "every action", "terminal commands", "credentials", "external sends", "before", "approval",
		"session sandbox", "customer", "records", "mail", "of", "in", "the",
	}
	joined := rapid.Map(rapid.SliceOfN(rapid.SampledFrom(parts), 0, 6), func(some []string) string { return strings.Join(some, " ") })
	return rapid.Map(rapid.OneOf(joined, rapid.SampledFrom(parts), joined, rapid.StringN(0, 30, -1)), func(text string) v1alpha1.Statement { return v1alpha1.Statement(text) })
}

func drawStatements(t *rapid.T, label string) []v1alpha1.Statement {
	return rapid.SliceOfN(drawStatement(), 0, 6).Draw(t, label)
}

func drawPackage(t *rapid.T) *v1alpha1.PackageDocument {
	return &v1alpha1.PackageDocument{
		Reads: drawStatements(t, "reads"), Writes: drawStatements(t, "writes"), Accesses: drawStatements(t, "accesses"), Spends: drawStatements(t, "spends"),
		Exposes: drawStatements(t, "exposes"), ApprovalsRequired: drawStatements(t, "approvals_required"),
	}
}

func drawAgent(t *rapid.T) *v1alpha1.AgentDocument {
	return &v1alpha1.AgentDocument{
		InstallModesSupported: []v1alpha1.InstallMode{local},
		Capabilities: v1alpha1.DocumentCapabilities{
			CanRead: drawStatements(t, "can_read"), CanWrite: drawStatements(t, "can_write"), CanAccess: drawStatements(t, "can_access"),
			CanSpend: drawStatements(t, "can_spend"), CanExpose: drawStatements(t, "can_expose"), WillRequestApprovalFor: drawStatements(t, "will_request_approval_for"),
		},
	}
}

func agentLists(agent *v1alpha1.AgentDocument) []*[]v1alpha1.Statement {
	has := &agent.Capabilities
	return []*[]v1alpha1.Statement{&has.CanRead, &has.CanWrite, &has.CanAccess, &has.CanSpend, &has.CanExpose, &has.WillRequestApprovalFor}
}

func paired(pkg *v1alpha1.PackageDocument, agent *v1alpha1.AgentDocument) capability.Pairing {
	return capability.Pair(capability.Package{Document: pkg}, capability.Agent{Document: agent}, local)
}

// What an agent can do in addition takes nothing away: what is Covered stays so, and no gate is missed that was not.
func TestAddingAStatementTakesNothingAway(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pkg, agent := drawPackage(t), drawAgent(t)
		before := paired(pkg, agent)
		list := rapid.SampledFrom(agentLists(agent)).Draw(t, "list")
		at := rapid.IntRange(0, len(*list)).Draw(t, "at")
		*list = slices.Insert(slices.Clone(*list), at, drawStatement().Draw(t, "more"))
		after := paired(pkg, agent)
		for _, gain := range after.Declarations {
			if gain.Coverage == v1alpha1.CoverageCovered {
				continue
			}
			same := func(was v1alpha1.CompatibilityFinding) bool {
				return was.Field == gain.Field && *was.Declaration == *gain.Declaration && was.Coverage != v1alpha1.CoverageCovered &&
					(was.Rule == capability.RuleGate) == (gain.Rule == capability.RuleGate)
			}
			if !slices.ContainsFunc(before.Declarations, same) {
				t.Fatalf("was not a finding before: %+v %q", gain, *gain.Declaration)
			}
		}
	})
}

func TestTheOrderOfStatementsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pkg, agent := drawPackage(t), drawAgent(t)
		before := say(paired(pkg, agent).Declarations)
		for i, list := range agentLists(agent) {
			*list = rapid.Permutation(*list).Draw(t, fmt.Sprint(i))
		}
		if diff := gocmp.Diff(before, say(paired(pkg, agent).Declarations)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestAPackageFitsAnAgentOfItsOwnWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pkg := drawPackage(t)
		agent := &v1alpha1.AgentDocument{InstallModesSupported: []v1alpha1.InstallMode{local}}
		for i, list := range agentLists(agent) {
			*list = [][]v1alpha1.Statement{pkg.Reads, pkg.Writes, pkg.Accesses, pkg.Spends, pkg.Exposes, pkg.ApprovalsRequired}[i]
		}
		for _, finding := range paired(pkg, agent).Findings() {
			if finding.Rule != capability.RuleGate {
				t.Fatalf("%+v %q", finding, *finding.Declaration)
			}
		}
	})
}

func TestEveryDeclarationIsJudgedOnceAndTheSameWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pkg, agent := drawPackage(t), drawAgent(t)
		agent.Sandboxed = rapid.Bool().Draw(t, "sandboxed")
		mode := rapid.SampledFrom([]v1alpha1.InstallMode{local, cloud}).Draw(t, "mode")
		pairing := capability.Pair(capability.Package{Document: pkg}, capability.Agent{Document: agent}, mode)
		declarations := 0
		for _, finding := range pairing.Declarations {
			if finding.Rule != capability.RuleGate && finding.Field != v1alpha1.FieldInstallMode {
				declarations++
			}
		}
		if want := len(pkg.Reads) + len(pkg.Writes) + len(pkg.Accesses) + len(pkg.Spends) + len(pkg.Exposes) + len(pkg.ApprovalsRequired); declarations != want {
			t.Fatalf("%d declarations, %d judged", want, declarations)
		}
		summary := pairing.Summary()
		if *summary.Covered+*summary.Outside+*summary.Unclear != *summary.Declarations || int(*summary.Outside+*summary.Unclear) != len(pairing.Findings()) {
			t.Fatalf("%+v", summary)
		}
		again := capability.Pair(capability.Package{Document: pkg}, capability.Agent{Document: agent}, mode)
		if diff := gocmp.Diff(pairing, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

func drawCode() *rapid.Generator[v1alpha1.CapabilityCode] {
	segments := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "*", "none", "*.example.com", "*.api.example.com", "api.example.com", "x.api.example.com"}), 1, 4)
	return rapid.Map(segments, func(some []string) v1alpha1.CapabilityCode {
		return v1alpha1.CapabilityCode("read:" + strings.Join(some, ":"))
	})
}

// codeCovers says whether a code is as wide as another, as a pairing has it.
func codeCovers(wide, narrow v1alpha1.CapabilityCode) bool {
	pairing := capability.Pair(
		capability.Package{Document: &v1alpha1.PackageDocument{}, Codes: &v1alpha1.CapabilityCodes{Reads: []v1alpha1.CapabilityCode{narrow}}},
		capability.Agent{
			Document: &v1alpha1.AgentDocument{InstallModesSupported: []v1alpha1.InstallMode{local}},
			Codes:    &v1alpha1.CapabilityCodes{Reads: []v1alpha1.CapabilityCode{wide}},
		}, local)
	return pairing.Coverage() == v1alpha1.CoverageCovered
}

func TestCodesCoverTransitively(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawCode().Draw(t, "a"), drawCode().Draw(t, "b"), drawCode().Draw(t, "c")
		if !codeCovers(a, a) {
			t.Fatalf("%s does not cover itself", a)
		}
		if codeCovers(a, b) && codeCovers(b, c) && !codeCovers(a, c) {
			t.Fatalf("%s covers %s, and that %s, and yet %s does not", a, b, c, a)
		}
	})
}
