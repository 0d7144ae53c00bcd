package capability_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/capability"
)

// lists sets the lists of a package and of an agent by the field's name on the package's side.
func pairOf(t testing.TB, field v1alpha1.CapabilityField, declares, offers []v1alpha1.Statement) (capability.Package, capability.Agent) {
	t.Helper()
	pkg := &v1alpha1.PackageDocument{Schema: v1alpha1.PackageDocumentSchema}
	agent := document(t, "")
	has := &agent.Capabilities
	switch field {
	case v1alpha1.FieldReads:
		pkg.Reads, has.CanRead = declares, offers
	case v1alpha1.FieldWrites:
		pkg.Writes, has.CanWrite = declares, offers
	case v1alpha1.FieldAccesses:
		pkg.Accesses, has.CanAccess = declares, offers
	case v1alpha1.FieldSpends:
		pkg.Spends, has.CanSpend = declares, offers
	case v1alpha1.FieldExposes:
		pkg.Exposes, has.CanExpose = declares, offers
	case v1alpha1.FieldApprovals:
		pkg.ApprovalsRequired, has.WillRequestApprovalFor = declares, offers
	default:
		t.Fatal(field)
	}
	return capability.Package{Document: pkg}, capability.Agent{Document: agent}
}

// judged pairs one declaration with an agent's list for the field, as a local tool, and gives what the field says.
func judged(t testing.TB, field v1alpha1.CapabilityField, declaration string, offers ...string) v1alpha1.CompatibilityFinding {
	t.Helper()
	has := make([]v1alpha1.Statement, 0, len(offers))
	for _, offer := range offers {
		has = append(has, v1alpha1.Statement(offer))
	}
	pkg, agent := pairOf(t, field, []v1alpha1.Statement{v1alpha1.Statement(declaration)}, has)
	for _, finding := range capability.Pair(pkg, agent, local).Declarations {
		if finding.Field == field && finding.Rule != capability.RuleGate {
			return finding
		}
	}
	t.Fatalf("%q was not judged", declaration)
	return v1alpha1.CompatibilityFinding{}
}

// TestRules has a line for each case: field, what the package declares, what the agent has (with | between
// statements), and what comes of it.
func TestRules(t *testing.T) {
	const (
		reads, writes, accesses = v1alpha1.FieldReads, v1alpha1.FieldWrites, v1alpha1.FieldAccesses
		spends, exposes         = v1alpha1.FieldSpends, v1alpha1.FieldExposes
		approvals               = v1alpha1.FieldApprovals
	)
	for _, tc := range []struct {
		field                v1alpha1.CapabilityField
		declares, has, comes string
	}{
		// No need.
		{accesses, "No network access required", "", "Covered no_need"},
		{accesses, "No network access required.", "Slack", "Covered no_need"},
		{accesses, "NO NETWORK", "", "Covered no_need"},
		{accesses, "No network or file access", "", "Covered no_need"},
		{accesses, "No secrets, no paid API", "", "Covered no_need"},
		{accesses, "No secrets and no paid API", "", "Covered no_need"},
		{spends, "No spend", "", "Covered no_need"},
		{spends, "None", "", "Covered no_need"},
		{spends, "none by default", "", "Covered no_need"},
		{spends, "None, monitors only", "", "Covered no_need"},
		{spends, "None (monitors only)", "", "Covered no_need"},
		{spends, "Ｎｏ　ｓｐｅｎｄ", "", "Covered no_need"},
		{spends, "Blocks paid API calls and purchases", "", "Covered no_need"},
		{exposes, "Local only", "", "Covered no_need"},
		{exposes, "The log stays local", "", "Covered no_need"},
		{approvals, "None beyond install", "", "Covered no_need"},
		{approvals, "No approval required", "", "Covered no_need"},
		{writes, "n/a", "", "Covered no_need"},
		// A denial that is taken back, or that denies a limit.
		{accesses, "No network but Slack", "", "Unclear mixed_denial"},
		{accesses, "No network access, Slack on request", "", "Unclear mixed_denial"},
		{accesses, "No network access and sends e-mail", "", "Unclear mixed_denial"},
		{accesses, "No network access except api.slack.com", "api.slack.com", "Unclear mixed_denial"},
		{accesses, "None unless configured", "", "Unclear mixed_denial"},
		{accesses, "None (unless configured)", "", "Unclear mixed_denial"},
		{accesses, "No restrictions", "", "Unclear mixed_denial"},
		{accesses, "No limit on hosts", "", "Unclear mixed_denial"},
		{accesses, "No approval needed", "", "Unclear mixed_denial"},
		{spends, "No more than 100 tokens", "", "Unclear mixed_denial"},
		{spends, "No 1000 calls", "", "Unclear mixed_denial"},
		{spends, "Nothing but tokens", "", "Unclear mixed_denial"},
		{spends, "No spend; tokens", "", "Unclear mixed_denial"},
		{spends, "Blocks purchases unless approved", "", "Unclear mixed_denial"},
		{writes, "No writes outside the working directory", "", "Unclear mixed_denial"},
		{writes, "Blocks purchases", "x", "Unclear no_rule"},
		{reads, "Not only mail", "x", "Unclear no_rule"},
		{reads, "Nonexistent files", "", "Outside none_declared"},
		{reads, "North America region", "", "Outside none_declared"},
		{reads, "no-reply@example.com", "", "Outside none_declared"},
		{exposes, "The log stays local unless sync is on", "x", "Unclear no_rule"},
		// Exact.
		{reads, "Customer  Records.", "customer records", "Covered exact"},
		{reads, "Straße", "STRASSE", "Covered exact"},
		{reads, "ﬁles", "Files", "Covered exact"},
		{reads, "Caf\u00e9 menus", "Cafe\u0301 menus", "Covered exact"},
		{reads, "Mail in suggest mode", "mail in suggest mode", "Covered exact"},
		{reads, "None unless configured", "none unless configured", "Covered exact"},
		{reads, "Customer record", "customer records", "Unclear no_rule"},
		// Nothing declared.
		{reads, "Mail", "", "Outside none_declared"},
		{reads, "Mail", "None", "Outside none_declared"},
		{accesses, "Slack", "No network access | None.", "Outside none_declared"},
		{accesses, "Slack", "No network access | None unless configured", "Unclear no_rule"},
		// Paths.
		{writes, "./report.json", "Files in current working directory", "Covered path"},
		{writes, "./report.json", "Files and directories in current working directory (recursive)", "Covered path"},
		{writes, "src/**/*.go", "Files in current working directory", "Covered path"},
		{writes, ".env", "Workspace files", "Covered path"},
		{writes, "Files under ./out", "Files in current working directory", "Covered path"},
		{writes, "`./out/`", "./out", "Covered path"},
		{writes, "./report.json (the report)", "./*.json", "Covered path"},
		{writes, "../other/x", "Files in current working directory", "Outside path"},
		{writes, "./a/../../x", "Files in current working directory", "Outside path"},
		{writes, "./a/../x", "Files in current working directory", "Covered path"},
		{writes, "/etc/hosts", "Files in current working directory", "Outside path"},
		{writes, "~/.cache/x", "Files in current working directory", "Outside path"},
		{writes, "~/.cache/x", "~/.cache", "Covered path"},
		{writes, "~/.cache/x", "~/.cache/*", "Covered path"},
		{writes, "~/.cache/x/y", "~/.cache/*", "Outside path"},
		{writes, "~/.cache/x/y", "~/.cache/**", "Covered path"},
		{writes, "~/.cache", "~/.cache/**", "Covered path"},
		{writes, "~/.cachet/x", "~/.cache", "Outside path"},
		{writes, "/etc/hosts", "/etc/**", "Covered path"},
		{writes, "/etc/hosts", "/", "Covered path"},
		{writes, "~/x", "/**", "Covered path"},
		{writes, "./x", "/srv/data", "Unclear no_rule"},
		{writes, "/home/me/x", "~/**", "Unclear no_rule"},
		{writes, "/etc/x", "~/**", "Outside path"},
		{writes, "/srv/data/**/x.json", "/srv/**/x.json", "Covered path"},
		{writes, "/srv/*/x.json", "/srv/**", "Covered path"},
		{writes, "/srv/*/x.json", "/srv/a/x.json", "Unclear no_rule"},
		{writes, "/srv/**", "/srv/*", "Unclear no_rule"},
		{writes, "/opt/*", "/srv/*", "Outside path"},
		{writes, "/srv/a?c", "/srv/a*c", "Unclear no_rule"},
		{writes, "/srv/abc", "/srv/a?c", "Covered path"},
		{writes, "/srv/ABC", "/srv/abd", "Outside path"},
		{writes, "/etc/hosts", "Files in current working directory | Whatever it likes", "Unclear no_rule"},
		{writes, "/etc/hosts", "Files in current working directory | Git commits", "Outside path"},
		{writes, "/etc/hosts", "/etc/hosts (in full-auto mode)", "Unclear conditional"},
		{writes, "~/x", "Shell-writable destinations the user's account can reach", "Covered path"},
		{writes, "./x", "Shell-writable destinations the user's account can reach", "Covered path"},
		{writes, "/etc/x", "Shell-writable destinations the user's account can reach", "Unclear no_rule"},
		{writes, "Files in current working directory", "./**", "Covered path"},
		{writes, "Files in current working directory", "./src", "Unclear no_rule"},
		{reads, "github.com/org/repo", "Files in current working directory", "Unclear no_rule"},
		{reads, "example.com", "Files in current working directory", "Unclear no_rule"},
		{reads, "C:\\Windows", "Files in current working directory", "Unclear no_rule"},
		{reads, "$HOME/x", "Files in current working directory", "Unclear no_rule"},
		{reads, "/a/**/../b", "/a/**", "Unclear no_rule"},
		{reads, "~/../other", "~/**", "Unclear no_rule"},
		{reads, "~other/x", "~/**", "Unclear no_rule"},
		{reads, "/etc/a and /etc/b", "/etc/**", "Unclear no_rule"},
		// Hosts.
		{accesses, "api.slack.com", "api.slack.com", "Covered exact"},
		{accesses, "api.slack.com", "https://API.Slack.com", "Covered host"},
		{accesses, "https://api.slack.com/api/chat", "api.slack.com", "Covered host"},
		{accesses, "api.slack.com", "*.slack.com", "Covered host"},
		{accesses, "a.b.slack.com", "*.slack.com", "Covered host"},
		{accesses, "slack.com", "*.slack.com", "Unclear no_rule"},
		{accesses, "evilslack.com", "*.slack.com", "Outside host"},
		{accesses, "slack.com.evil.io", "*.slack.com", "Outside host"},
		{accesses, "slack.com@evil.io", "slack.com", "Unclear no_rule"},
		{accesses, "*.api.slack.com", "*.slack.com", "Covered host"},
		{accesses, "*.slack.com", "api.slack.com", "Unclear no_rule"},
		{accesses, "api.slack.com:443", "api.slack.com", "Covered host"},
		{accesses, "api.slack.com", "api.slack.com:443", "Unclear no_rule"},
		{accesses, "https://x.io/a/b", "https://x.io/a", "Covered host"},
		{accesses, "https://x.io/ab", "https://x.io/a", "Unclear no_rule"},
		{accesses, "https://x.io/a/../b", "https://x.io/a", "Unclear no_rule"},
		{accesses, "api.slack.com", "github.com | None", "Outside host"},
		{accesses, "api.slack.com", "github.com | MCP servers", "Unclear no_rule"},
		{accesses, "api.slack.com", "api.slack.com (where configured)", "Unclear conditional"},
		{accesses, "bücher.example", "xn--bcher-kva.example", "Covered host"},
		{accesses, "10.0.0.1", "10.0.0.2", "Outside host"},
		{accesses, "[2001:db8::1]", "2001:db8:0::1", "Covered host"},
		// Any network.
		{accesses, "api.slack.com", "Any network endpoint reachable from the local machine (via Bash tool)", "Covered any_network"},
		{accesses, "Endpoints that the user names", "Unrestricted network access", "Covered any_network"},
		{accesses, "api.slack.com", "All hosts", "Covered any_network"},
		{accesses, "api.slack.com", "Any network endpoint (in full-auto mode)", "Unclear conditional"},
		{accesses, "api.slack.com", "Any network endpoint except Slack", "Unclear no_rule"},
		{accesses, "api.slack.com", "Any service", "Unclear no_rule"},
		{accesses, "api.slack.com", "Full access", "Unclear no_rule"},
		{accesses, "The payroll system", "Any network endpoint", "Unclear no_rule"},
		// Vocabulary.
		{reads, "Git status", "Git history and status", "Covered vocabulary"},
		{reads, "Git history and status", "Git history | Git status", "Covered vocabulary"},
		{reads, "Git history and status", "Git history", "Unclear no_rule"},
		{reads, "Git diffs", "Git history and status", "Unclear no_rule"},
		{reads, "The terminal output", "Shell command output", "Covered vocabulary"},
		{reads, "Project files", "Files in current working directory", "Covered vocabulary"},
		{reads, "Files outside the current working directory", "Files in current working directory", "Unclear no_rule"},
		{reads, "Git history (and mail)", "Git history", "Unclear no_rule"},
		{writes, "Local audit report", "Local files", "Covered vocabulary"},
		{writes, "Files in current working directory", "Local files", "Covered vocabulary"},
		{writes, "Local audit report and mail log", "Local files", "Unclear no_rule"},
		{writes, "Git commits", "Git commits and branches (in full-auto mode)", "Unclear conditional"},
		{accesses, "Web search", "Google Search", "Covered vocabulary"},
		{accesses, "Google Search", "Web search", "Unclear no_rule"},
		{spends, "LLM tokens", "Claude API tokens per session (billed to operator's Anthropic account)", "Covered vocabulary"},
		{spends, "OpenAI API tokens", "Claude API tokens", "Unclear no_rule"},
		// Narrower and listed.
		{reads, "Customer records in the CRM", "Customer records", "Covered narrower"},
		{reads, "Old customer records", "Customer records (all years)", "Covered narrower"},
		{reads, "All customer records", "Customer records", "Unclear no_rule"},
		{reads, "Customer records and mail", "Customer records", "Unclear no_rule"},
		{reads, "Customer records in the CRM, mail", "Customer records", "Unclear no_rule"},
		{reads, "Customer records other than ours", "Customer records", "Unclear no_rule"},
		{reads, "Copies of customer records", "Customer records", "Unclear no_rule"},
		{reads, "Customer records in the CRM", "Customer records (only with consent)", "Unclear conditional"},
		{reads, "Records", "Customer records", "Unclear no_rule"},
		{writes, "Deletes customer records", "Customer records", "Unclear no_rule"},
		{writes, "Copies out of the session sandbox", "Session sandbox", "Unclear no_rule"},
		{reads, "Issue titles", "Issue titles and labels", "Covered listed"},
		{reads, "Labels", "Issue titles and labels", "Unclear no_rule"},
		{reads, "Issue titles", "Issue titles and labels of one project", "Unclear no_rule"},
		// Approvals.
		{approvals, "Approval before a production deploy", "Production deploys", "Covered approval"},
		{approvals, "Approval before a production deploy", "Any deploys and destructive operations", "Covered approval"},
		{approvals, "Approval before a production deploy", "Every action", "Covered approval"},
		{approvals, "Approval before a production deploy", "Every action in suggest mode", "Unclear approval"},
		{approvals, "Approval before a production deploy", "Terminal commands", "Unclear approval"},
		{approvals, "Approval before a production deploy", "Destructive operations", "Outside approval"},
		{approvals, "Approval before a production deploy", "Whatever is risky", "Unclear approval"},
		{approvals, "Approval before a production deploy", "No approvals", "Outside none_declared"},
		{approvals, "Approval before a production deploy and a purchase", "Production deploys", "Outside approval"},
		{approvals, "Approval before a production deploy and a purchase", "Production deploys | Purchases", "Covered approval"},
		{approvals, "Approval before a deploy or a walk", "Production deploys", "Unclear no_rule"},
		{approvals, "Approval before a walk", "Walks", "Unclear no_rule"},
		{approvals, "Destructive operations", "Destructive operations (rm, overwrite) in default mode", "Covered approval"},
		{approvals, "Deleting data", "Destructive operations in suggest mode", "Unclear approval"},
		{approvals, "Payments", "Deploys to production | No payments", "Outside approval"},
	} {
		t.Run(fmt.Sprintf("%s %s with %s", tc.field, tc.declares, tc.has), func(t *testing.T) {
			var offers []string
			if tc.has != "" {
				offers = strings.Split(tc.has, " | ")
			}
			got := judged(t, tc.field, tc.declares, offers...)
			if comes := string(got.Coverage) + " " + got.Rule; comes != tc.comes {
				t.Errorf("%s, want %s: %s", comes, tc.comes, got.Message)
			}
			if got.Message == "" || *got.Declaration != tc.declares {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestSandbox(t *testing.T) {
	for _, tc := range []struct {
		field           v1alpha1.CapabilityField
		declares, comes string
	}{
		{field: v1alpha1.FieldWrites, declares: "Local audit report", comes: "sandbox Outside"},
		{field: v1alpha1.FieldWrites, declares: "Files in current working directory", comes: "sandbox Outside"},
		{field: v1alpha1.FieldWrites, declares: "./report.json", comes: "sandbox Outside"},
		{field: v1alpha1.FieldWrites, declares: "~/.cache/x", comes: "sandbox Outside"},
		{field: v1alpha1.FieldWrites, declares: "The local filesystem", comes: "sandbox Outside"},
		{field: v1alpha1.FieldWrites, declares: "Optional local transcript", comes: "sandbox Unclear"},
		{field: v1alpha1.FieldWrites, declares: "Git commits", comes: "sandbox Outside"},
		{field: v1alpha1.FieldReads, declares: "Git history", comes: "sandbox Outside"},
		{field: v1alpha1.FieldWrites, declares: "Production database", comes: "sandbox Outside"},
		{field: v1alpha1.FieldAccesses, declares: "Production cluster", comes: "sandbox Outside"},
		{field: v1alpha1.FieldWrites, declares: "No local files", comes: "writes Covered"},
		{field: v1alpha1.FieldWrites, declares: "Session sandbox", comes: "writes Covered"},
		{field: v1alpha1.FieldReads, declares: "Local files", comes: "reads Unclear"},
		{field: v1alpha1.FieldAccesses, declares: "GitHub issues", comes: "accesses Unclear"},
	} {
		t.Run(tc.declares, func(t *testing.T) {
			pkg, agent := pairOf(t, tc.field, []v1alpha1.Statement{v1alpha1.Statement(tc.declares)}, []v1alpha1.Statement{"Session sandbox only"})
			agent.Document.InstallModesSupported = []v1alpha1.InstallMode{cloud, remote}
			for _, by := range []struct {
				sandboxed bool
				mode      v1alpha1.InstallMode
			}{{true, cloud}, {false, cloud}, {true, remote}} {
				agent.Document.Sandboxed = by.sandboxed
				var got string
				for _, finding := range capability.Pair(pkg, agent, by.mode).Declarations {
					if finding.Field != v1alpha1.FieldApprovals {
						got += fmt.Sprintf("%s %s", finding.Field, finding.Coverage)
					}
				}
				if got != tc.comes {
					t.Errorf("%+v: %s, want %s", by, got, tc.comes)
				}
			}
		})
	}
}

func TestInstallMode(t *testing.T) {
	pkg, agent := pairOf(t, v1alpha1.FieldReads, nil, nil)
	agent.Document.InstallModesSupported = []v1alpha1.InstallMode{local, remote}
	if got := say(capability.Pair(pkg, agent, remote).Declarations); len(got) > 0 {
		t.Error(got)
	}
	pairing := capability.Pair(pkg, agent, cloud)
	if diff := gocmp.Diff([]string{"install_mode cloud-sandbox Outside install_mode"}, say(pairing.Findings())); diff != "" {
		t.Error(diff)
	}
	if want := `the agent does not support the install mode "cloud-sandbox"; install_modes_supported has local-tool, remote-connector`; pairing.Declarations[0].Message != want {
		t.Error(pairing.Declarations[0].Message)
	}
}

// TestGates: what a package does is of a class that the agent has to gate on (Agent Passport v0.1, section 1).
func TestGates(t *testing.T) {
	for _, tc := range []struct {
		field    v1alpha1.CapabilityField
		declares string
		gates    []v1alpha1.Statement
		want     []string
	}{
		{v1alpha1.FieldWrites, "Production database", nil, []string{"Outside production"}},
		{v1alpha1.FieldWrites, "Production database", []v1alpha1.Statement{"Destructive operations"}, []string{"Outside production"}},
		{v1alpha1.FieldWrites, "Production database", []v1alpha1.Statement{"Writes to production"}, nil},
		{v1alpha1.FieldWrites, "Production database", []v1alpha1.Statement{"Production deploys", "x"}, nil},
		{v1alpha1.FieldWrites, "Production database", []v1alpha1.Statement{"Terminal commands"}, []string{"Unclear production"}},
		{v1alpha1.FieldWrites, "Deletes production records", nil, []string{"Outside production", "Outside destructive"}},
		{v1alpha1.FieldWrites, "Deletes production records", []v1alpha1.Statement{"Destructive actions"}, []string{"Outside production"}},
		{v1alpha1.FieldWrites, "No writes to production", nil, nil},
		{v1alpha1.FieldWrites, "No writes to production except hotfixes", nil, []string{"Outside production"}},
		{v1alpha1.FieldSpends, "Purchases of credits", nil, []string{"Outside purchase"}},
		{v1alpha1.FieldExposes, "Sends findings to a dashboard", nil, []string{"Outside send"}},
		{v1alpha1.FieldExposes, "Sends findings to a dashboard", []v1alpha1.Statement{"External network requests via Bash"}, []string{"Unclear send"}},
		{v1alpha1.FieldReads, "Credentials of the cloud account", nil, []string{"Outside credentials"}},
		{v1alpha1.FieldReads, "The user's API keys", nil, []string{"Outside credentials"}},
		{v1alpha1.FieldReads, "The user's API keyboard", nil, nil},
		{v1alpha1.FieldWrites, "Deployment notes", nil, nil},
		{v1alpha1.FieldAccesses, "Production API", nil, nil},
		{v1alpha1.FieldReads, "Production logs", nil, nil},
	} {
		t.Run(fmt.Sprintf("%s with %v", tc.declares, tc.gates), func(t *testing.T) {
			pkg, agent := pairOf(t, tc.field, []v1alpha1.Statement{v1alpha1.Statement(tc.declares)}, nil)
			agent.Document.Capabilities.WillRequestApprovalFor = tc.gates
			pairing := capability.Pair(pkg, agent, local)
			var got []string
			missing := false
			for i, finding := range pairing.Declarations {
				if finding.Field != v1alpha1.FieldApprovals {
					continue
				}
				if i != len(got) {
					t.Errorf("an approval comes after another field: %v", say(pairing.Declarations))
				}
				if finding.Rule != capability.RuleGate || *finding.Declaration != tc.declares {
					t.Errorf("%+v", finding)
				}
				class, _, _ := strings.Cut(strings.TrimPrefix(finding.Message, "it is of the class "), ";")
				got = append(got, fmt.Sprintf("%s %s", finding.Coverage, class))
				missing = missing || finding.Coverage == v1alpha1.CoverageOutside
			}
			if diff := gocmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if pairing.ApprovalMissing() != missing {
				t.Error(pairing.ApprovalMissing())
			}
		})
	}
}

func TestOrderSummaryAndCoverage(t *testing.T) {
	pkg := &v1alpha1.PackageDocument{
		Reads: []v1alpha1.Statement{"Mail", "None"}, Writes: []v1alpha1.Statement{"./x", "Production tables"}, Accesses: []v1alpha1.Statement{"slack.com"},
		Spends: []v1alpha1.Statement{"No spend"}, Exposes: []v1alpha1.Statement{"Mail"},
		ApprovalsRequired: []v1alpha1.Statement{"Approval before purchases", "Something else", "Deletes"},
	}
	agent := document(t, "")
	agent.Sandboxed = true
	agent.Capabilities.CanRead = []v1alpha1.Statement{"Calendar"}
	agent.Capabilities.WillRequestApprovalFor = []v1alpha1.Statement{"Purchases"}
	pairing := capability.Pair(capability.Package{Document: pkg}, capability.Agent{Document: agent}, cloud)
	want := []string{
		"approvals Production tables Outside gate",
		"approvals Deletes Outside approval",
		"approvals Something else Unclear no_rule",
		"approvals Approval before purchases Covered approval",
		"sandbox ./x Outside sandbox",
		"sandbox Production tables Outside sandbox",
		"install_mode cloud-sandbox Outside install_mode",
		"reads Mail Unclear no_rule",
		"reads None Covered no_need",
		"accesses slack.com Outside none_declared",
		"spends No spend Covered no_need",
		"exposes Mail Outside none_declared",
	}
	if diff := gocmp.Diff(want, say(pairing.Declarations)); diff != "" {
		t.Error(diff)
	}
	summary := pairing.Summary()
	if *summary.Declarations != 12 || *summary.Covered != 3 || *summary.Outside != 7 || *summary.Unclear != 2 {
		t.Errorf("%d %d %d %d", *summary.Declarations, *summary.Covered, *summary.Outside, *summary.Unclear)
	}
	if len(pairing.Findings()) != 9 || pairing.Coverage() != v1alpha1.CoverageOutside || !pairing.ApprovalMissing() {
		t.Error(pairing.Findings(), pairing.Coverage())
	}
	pairing.Declarations = pairing.Declarations[7:9]
	if pairing.Coverage() != v1alpha1.CoverageUnclear {
		t.Error(pairing.Coverage())
	}
	if (capability.Pairing{}).Coverage() != v1alpha1.CoverageCovered {
		t.Error("nothing declared is covered")
	}
}

func TestAFindingFitsItsLimits(t *testing.T) {
	long := strings.Repeat("\u202E\U0001F916 deploys ", 300)
	finding := judged(t, v1alpha1.FieldReads, long, long+"x")
	if got := utf8.RuneCountInString(*finding.Declaration); got != 2048 {
		t.Error(got)
	}
	pkg, agent := pairOf(t, v1alpha1.FieldApprovals, []v1alpha1.Statement{v1alpha1.Statement(long)}, []v1alpha1.Statement{v1alpha1.Statement(long + "x")})
	for _, declared := range capability.Pair(pkg, agent, v1alpha1.InstallMode(long)).Declarations {
		if utf8.RuneCountInString(declared.Message) > 1024 {
			t.Error(declared.Message)
		}
	}
}

func TestSpeaksOf(t *testing.T) {
	for _, tc := range []struct {
		service v1alpha1.ServiceName
		has     string
		want    v1alpha1.Coverage
	}{
		{"slack", "Slack Web API", v1alpha1.CoverageCovered},
		{"slack", "GitHub | Slack (where configured)", v1alpha1.CoverageCovered},
		{"google-drive", "Google Drive", v1alpha1.CoverageCovered},
		{"google-drive", "Google Docs in the drive", v1alpha1.CoverageOutside},
		{"slack", "api.slack.com", v1alpha1.CoverageCovered},
		{"slack", "*.slack.com", v1alpha1.CoverageCovered},
		{"slack", "slack.evil.com", v1alpha1.CoverageOutside},
		{"slack", "slackers.com", v1alpha1.CoverageOutside},
		{"api.slack.com", "*.slack.com", v1alpha1.CoverageCovered},
		{"slack", "Any network endpoint reachable from the local machine (via Bash tool)", v1alpha1.CoverageCovered},
		{"slack", "Any network endpoint (in full-auto mode)", v1alpha1.CoverageUnclear},
		{"slack", "Any service except Slack", v1alpha1.CoverageUnclear},
		{"slack", "MCP servers that the user configured", v1alpha1.CoverageUnclear},
		{"slack", "Anthropic Claude API", v1alpha1.CoverageOutside},
		{"slack", "No Slack access", v1alpha1.CoverageOutside},
		{"slack", "No network but Slack", v1alpha1.CoverageUnclear},
		{"slack", "", v1alpha1.CoverageOutside},
	} {
		subject := document(t, "")
		if tc.has != "" {
			for text := range strings.SplitSeq(tc.has, " | ") {
				subject.Capabilities.CanAccess = append(subject.Capabilities.CanAccess, v1alpha1.Statement(text))
			}
		}
		if got := capability.SpeaksOf(subject, tc.service); got != tc.want {
			t.Errorf("%s with %q: %s, want %s", tc.service, tc.has, got, tc.want)
		}
	}
}
