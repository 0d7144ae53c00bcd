package policy_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/policy"
)

const (
	block   = v1alpha1.PolicyBlock
	warn    = v1alpha1.PolicyWarn
	install = v1alpha1.PolicyAtInstall
	issue   = v1alpha1.PolicyAtIssue
)

// subject is a package of low risk by acme that is to be installed into a sandboxed agent of Example, which has two
// grants. Neither is verified.
func subject() policy.Install {
	return policy.Install{
		Package: &v1alpha1.CapabilityPassport{Spec: v1alpha1.CapabilityPassportSpec{Document: v1alpha1.PackageDocument{
			Package: "tool", Publisher: "acme", PublisherVerified: true, RiskLevel: v1alpha1.RiskLow,
		}}},
		Agent: &v1alpha1.AgentPassport{
			ObjectMeta: metav1.ObjectMeta{Name: "bot"},
			Spec: v1alpha1.AgentPassportSpec{
				Document:       &v1alpha1.AgentDocument{Agent: v1alpha1.DocumentAgent{Vendor: "Example"}, Sandboxed: true, Verified: true},
				Accountability: v1alpha1.Accountability{Mode: v1alpha1.ModeLogged},
				Grants: []v1alpha1.ServiceGrant{
					{Service: "github", Scopes: []v1alpha1.Scope{"repo:read", "repo:write"}}, {Service: "slack", Scopes: []v1alpha1.Scope{"chat:write"}},
				},
			},
		},
		Mode: v1alpha1.InstallCloudSandbox, Coverage: v1alpha1.CoverageUnclear,
	}
}

func atInstall(rule v1alpha1.PolicyRule) v1alpha1.PolicyRule {
	rule.ID, rule.Action, rule.At = "rule", block, []v1alpha1.PolicyPoint{install}
	return rule
}

func packOf(name string, rules ...v1alpha1.PolicyRule) v1alpha1.PolicyPack {
	return v1alpha1.PolicyPack{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.PolicyPackSpec{Mode: v1alpha1.PolicyEnforce, Rules: rules}}
}

func TestARuleMatchesWhereAllThatItGivesDoes(t *testing.T) {
	agents := func(m v1alpha1.AgentMatch) v1alpha1.PolicyRule { return v1alpha1.PolicyRule{Agents: &m} }
	packages := func(m v1alpha1.PackageMatch) v1alpha1.PolicyRule { return v1alpha1.PolicyRule{Packages: &m} }
	grants := func(m v1alpha1.GrantMatch) v1alpha1.PolicyRule { return v1alpha1.PolicyRule{Grants: &m} }
	coverage := func(c ...v1alpha1.Coverage) v1alpha1.PolicyRule { return v1alpha1.PolicyRule{Compatibility: c} }
	for name, tc := range map[string]struct {
		rule v1alpha1.PolicyRule
		want bool
	}{
		"package":                     {packages(v1alpha1.PackageMatch{Packages: []string{"other", "tool"}}), true},
		"another package":             {packages(v1alpha1.PackageMatch{Packages: []string{"other"}}), false},
		"publisher, in another case":  {packages(v1alpha1.PackageMatch{Publishers: []string{"ACME"}}), true},
		"another publisher":           {packages(v1alpha1.PackageMatch{Publishers: []string{"acme-inc"}}), false},
		"risk":                        {packages(v1alpha1.PackageMatch{RiskLevels: []v1alpha1.RiskLevel{"low", "high"}}), true},
		"another risk":                {packages(v1alpha1.PackageMatch{RiskLevels: []v1alpha1.RiskLevel{"unknown"}}), false},
		"a claim of the package":      {packages(v1alpha1.PackageMatch{Verified: ptr.To(true)}), false},
		"not verified":                {packages(v1alpha1.PackageMatch{Verified: ptr.To(false)}), true},
		"package, and another risk":   {packages(v1alpha1.PackageMatch{Packages: []string{"tool"}, RiskLevels: []v1alpha1.RiskLevel{"high"}}), false},
		"agent":                       {agents(v1alpha1.AgentMatch{Names: []string{"bot"}}), true},
		"another agent":               {agents(v1alpha1.AgentMatch{Names: []string{"bots"}}), false},
		"vendor, in another case":     {agents(v1alpha1.AgentMatch{Vendors: []string{"EXAMPLE"}}), true},
		"another vendor":              {agents(v1alpha1.AgentMatch{Vendors: []string{""}}), false},
		"mode":                        {agents(v1alpha1.AgentMatch{Modes: []v1alpha1.AccountabilityMode{"Logged"}}), true},
		"another mode":                {agents(v1alpha1.AgentMatch{Modes: []v1alpha1.AccountabilityMode{"Standard"}}), false},
		"documented":                  {agents(v1alpha1.AgentMatch{Documented: ptr.To(true)}), true},
		"not documented":              {agents(v1alpha1.AgentMatch{Documented: ptr.To(false)}), false},
		"sandboxed":                   {agents(v1alpha1.AgentMatch{Sandboxed: ptr.To(true)}), true},
		"not sandboxed":               {agents(v1alpha1.AgentMatch{Sandboxed: ptr.To(false)}), false},
		"a claim of the agent":        {agents(v1alpha1.AgentMatch{Verified: ptr.To(true)}), false},
		"service":                     {grants(v1alpha1.GrantMatch{Services: []v1alpha1.ServiceName{"slack"}}), true},
		"another service":             {grants(v1alpha1.GrantMatch{Services: []v1alpha1.ServiceName{"stripe"}}), false},
		"scope":                       {grants(v1alpha1.GrantMatch{Scopes: []v1alpha1.Scope{"repo:write"}}), true},
		"a scope of another service":  {grants(v1alpha1.GrantMatch{Services: []v1alpha1.ServiceName{"slack"}, Scopes: []v1alpha1.Scope{"repo:write"}}), false},
		"coverage":                    {coverage(v1alpha1.CoverageOutside, v1alpha1.CoverageUnclear), true},
		"another coverage":            {coverage(v1alpha1.CoverageOutside), false},
		"package of the agent":        {v1alpha1.PolicyRule{Packages: &v1alpha1.PackageMatch{Packages: []string{"tool"}}, Agents: &v1alpha1.AgentMatch{Names: []string{"bot"}}}, true},
		"package of another agent":    {v1alpha1.PolicyRule{Packages: &v1alpha1.PackageMatch{Packages: []string{"tool"}}, Agents: &v1alpha1.AgentMatch{Names: []string{"bots"}}}, false},
		"agent that lacks the grant":  {v1alpha1.PolicyRule{Agents: &v1alpha1.AgentMatch{Names: []string{"bot"}}, Grants: &v1alpha1.GrantMatch{Services: []v1alpha1.ServiceName{"stripe"}}}, false},
		"agent with another coverage": {v1alpha1.PolicyRule{Agents: &v1alpha1.AgentMatch{Names: []string{"bot"}}, Compatibility: []v1alpha1.Coverage{v1alpha1.CoverageCovered}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := policy.AtInstall([]v1alpha1.PolicyPack{packOf("pack", atInstall(tc.rule))}, subject())
			if (len(got) == 1) != tc.want {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestWhatTheOperatorVerifiedCounts(t *testing.T) {
	verified := subject()
	verified.Package.Status.Verified, verified.Agent.Status.Verified = ptr.To(true), ptr.To(true)
	rule := atInstall(v1alpha1.PolicyRule{
		Packages: &v1alpha1.PackageMatch{Verified: ptr.To(true)}, Agents: &v1alpha1.AgentMatch{Verified: ptr.To(true)},
	})
	if got := policy.AtInstall([]v1alpha1.PolicyPack{packOf("pack", rule)}, verified); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestAnAgentWithoutADocument(t *testing.T) {
	bare := subject()
	bare.Agent.Spec.Document = nil
	for name, tc := range map[string]struct {
		match v1alpha1.AgentMatch
		want  bool
	}{
		"is not documented":    {v1alpha1.AgentMatch{Documented: ptr.To(false)}, true},
		"is not sandboxed":     {v1alpha1.AgentMatch{Sandboxed: ptr.To(false)}, true},
		"is of no vendor":      {v1alpha1.AgentMatch{Vendors: []string{"Example"}}, false},
		"is not verified":      {v1alpha1.AgentMatch{Verified: ptr.To(false)}, true},
		"is found by its name": {v1alpha1.AgentMatch{Names: []string{"bot"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got := policy.AtIssue([]v1alpha1.PolicyPack{packOf("pack", v1alpha1.PolicyRule{
				ID: "rule", Action: block, At: []v1alpha1.PolicyPoint{issue}, Agents: &tc.match,
			})}, policy.Issue{Agent: bare.Agent})
			if (len(got) == 1) != tc.want {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestARuleIsAskedWhereItSays(t *testing.T) {
	rule := func(id string, at ...v1alpha1.PolicyPoint) v1alpha1.PolicyRule {
		return v1alpha1.PolicyRule{ID: id, Action: block, At: at, Grants: &v1alpha1.GrantMatch{Services: []v1alpha1.ServiceName{"slack"}}}
	}
	packages := rule("package", install, issue)
	packages.Packages = &v1alpha1.PackageMatch{Packages: []string{"tool"}}
	packs := []v1alpha1.PolicyPack{packOf("pack", rule("both", install, issue), rule("install", install), rule("issue", issue), packages)}
	its := subject()
	if diff := cmp.Diff([]string{"both", "install", "package"}, ids(policy.AtInstall(packs, its))); diff != "" {
		t.Error(diff)
	}
	carries := policy.Issue{Agent: its.Agent, Services: []v1alpha1.IssuedService{{Service: "slack"}}}
	if diff := cmp.Diff([]string{"both", "issue"}, ids(policy.AtIssue(packs, carries))); diff != "" {
		t.Error(diff)
	}
	carries.Services = []v1alpha1.IssuedService{{Service: "github"}}
	if got := policy.AtIssue(packs, carries); len(got) > 0 {
		t.Errorf("what the agent is granted, and the passport does not carry, counts at the issue: %+v", got)
	}
}

func TestAPackIsAskedWhereItApplies(t *testing.T) {
	applies := packOf("pack", atInstall(v1alpha1.PolicyRule{Agents: &v1alpha1.AgentMatch{Names: []string{"bot"}}}))
	for name, tc := range map[string]struct {
		change func(*v1alpha1.PolicyPack)
		want   int
	}{
		"to every mode":    {func(*v1alpha1.PolicyPack) {}, 1},
		"to this mode":     {func(p *v1alpha1.PolicyPack) { p.Spec.AppliesTo = []v1alpha1.InstallMode{"local-tool", "cloud-sandbox"} }, 1},
		"to another mode":  {func(p *v1alpha1.PolicyPack) { p.Spec.AppliesTo = []v1alpha1.InstallMode{"local-tool"} }, 0},
		"in a dry run":     {func(p *v1alpha1.PolicyPack) { p.Spec.Mode = v1alpha1.PolicyDryRun }, 0},
		"while it is gone": {func(p *v1alpha1.PolicyPack) { p.DeletionTimestamp = &metav1.Time{} }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			pack := applies.DeepCopy()
			tc.change(pack)
			if got := policy.AtInstall([]v1alpha1.PolicyPack{*pack}, subject()); len(got) != tc.want {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestSay(t *testing.T) {
	findings := []v1alpha1.PolicyFinding{{Pack: "a", Rule: "one", Message: "why"}, {Pack: "b", Rule: "two"}}
	if got, want := policy.Say(findings), "rule one of PolicyPack a (why); rule two of PolicyPack b"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for i := range 6 {
		findings = append(findings, v1alpha1.PolicyFinding{Pack: "c", Rule: fmt.Sprint(i)})
	}
	want := "rule one of PolicyPack a (why); rule two of PolicyPack b; rule 0 of PolicyPack c; rule 1 of PolicyPack c; rule 2 of PolicyPack c; and 3 more"
	if got := policy.Say(findings); got != want {
		t.Errorf("%q", got)
	}
	if got := policy.Say(nil); got != "" {
		t.Errorf("%q", got)
	}
}

func TestTryTellsWhatADryRunWouldRefuse(t *testing.T) {
	wary := atInstall(v1alpha1.PolicyRule{Agents: &v1alpha1.AgentMatch{Names: []string{"bot"}}})
	wary.ID, wary.Action, wary.At = "wary", warn, []v1alpha1.PolicyPoint{install, issue}
	strict := atInstall(v1alpha1.PolicyRule{Compatibility: []v1alpha1.Coverage{v1alpha1.CoverageOutside}})
	pack := packOf("trial", wary, strict)
	pack.Spec.Mode = v1alpha1.PolicyDryRun
	outside := subject()
	outside.Coverage = v1alpha1.CoverageOutside
	got := policy.Try(&pack,
		[]policy.NamedInstall{{Name: "two", Install: subject()}, {Name: "one", Install: outside}},
		[]policy.NamedIssue{{Name: "mission", Issue: policy.Issue{Agent: outside.Agent}}})
	want := policy.Trial{Refused: 1, Warned: 2, Hits: []v1alpha1.PolicyHit{
		{Kind: "CompatibilityCheck", Name: "one", Rule: "rule", Action: block},
		{Kind: "CompatibilityCheck", Name: "one", Rule: "wary", Action: warn},
		{Kind: "CompatibilityCheck", Name: "two", Rule: "wary", Action: warn},
		{Kind: "Passport", Name: "mission", Rule: "wary", Action: warn},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if pack.Spec.Mode != v1alpha1.PolicyDryRun {
		t.Error("the pack was put into force")
	}
}

// Another pack never takes back what one refuses, and the order of packs and rules never matters.
func TestTheStrictestWins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		packs := rapid.SliceOfN(rapid.Custom(drawPack), 1, 4).Draw(t, "packs")
		for i := range packs {
			packs[i].Name = fmt.Sprintf("pack-%d", i)
		}
		its := subject()
		its.Coverage = rapid.SampledFrom([]v1alpha1.Coverage{"Covered", "Unclear", "Outside"}).Draw(t, "coverage")
		all := policy.AtInstall(packs, its)
		for i := range packs {
			for _, alone := range policy.AtInstall(packs[i:i+1], its) {
				if !slices.Contains(all, alone) {
					t.Fatalf("%+v is taken back by another pack", alone)
				}
			}
		}
		if !slices.IsSortedFunc(all, func(a, b v1alpha1.PolicyFinding) int {
			if a.Action == b.Action {
				return 0
			}
			if a.Action == block {
				return -1
			}
			return 1
		}) {
			t.Fatalf("what blocks comes first: %+v", all)
		}
		shuffled := rapid.Permutation(packs).Draw(t, "another order")
		if diff := cmp.Diff(all, policy.AtInstall(shuffled, its)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func drawPack(t *rapid.T) v1alpha1.PolicyPack {
	rules := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) v1alpha1.PolicyRule {
		rule := v1alpha1.PolicyRule{
			Action:        rapid.SampledFrom([]v1alpha1.PolicyAction{block, warn}).Draw(t, "action"),
			At:            rapid.SampledFrom([][]v1alpha1.PolicyPoint{{install}, {issue}, {install, issue}}).Draw(t, "at"),
			Compatibility: rapid.SampledFrom([][]v1alpha1.Coverage{nil, {"Outside"}, {"Outside", "Unclear"}}).Draw(t, "compatibility"),
		}
		if rapid.Bool().Draw(t, "agents") {
			rule.Agents = &v1alpha1.AgentMatch{Names: []string{rapid.SampledFrom([]string{"bot", "other"}).Draw(t, "agent")}}
		}
		return rule
	}), 1, 3).Draw(t, "rules")
	for i := range rules {
		rules[i].ID = fmt.Sprintf("rule-%d", i)
	}
	return packOf("", rules...)
}

func ids(findings []v1alpha1.PolicyFinding) []string {
	var ids []string
	for _, finding := range findings {
		ids = append(ids, finding.Rule)
	}
	return ids
}
