package capability_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/capability"
)

// fixture reads a file of testdata.
func fixture(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", path))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// fixtures gives the files of testdata that match, never none.
func fixtures(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*", "*.yaml"))
	if err != nil || len(files) != 13 {
		t.Fatal(files, err)
	}
	return files
}

func TestReadTellsTheTwoSchemasApart(t *testing.T) {
	agent, err := capability.Read(fixture(t, "agents/claude-code.yaml"))
	if err != nil || agent.Package != nil || agent.Agent.Agent.Name != "Claude Code" {
		t.Errorf("%+v, %v", agent, err)
	}
	pkg, err := capability.Read(fixture(t, "packages/costguard.yaml"))
	if err != nil || pkg.Agent != nil || pkg.Package.Package != "costguard" {
		t.Errorf("%+v, %v", pkg, err)
	}
	if _, err := capability.ReadPackageDocument(fixture(t, "agents/claude-code.yaml")); err == nil ||
		err.Error() != `line 1: schema: is "apai.agent-passport.v0.1"; it has to be apai.passport.v0.1` {
		t.Error(err)
	}
	if _, err := capability.ReadAgentDocument(fixture(t, "packages/costguard.yaml")); err == nil ||
		err.Error() != `line 1: schema: is "apai.passport.v0.1"; it has to be apai.agent-passport.v0.1` {
		t.Error(err)
	}
}

func TestReadKeepsUnknownFieldsAndOrder(t *testing.T) {
	source := strings.Replace(string(fixture(t, "agents/codex-cli.yaml")), "verified: false",
		"verified: false\nzeta: {b: 1.50, a: [0x1F, ~, yes, 2026-05-14T00:00:00Z]}\nalpha: <&>", 1)
	document, err := capability.ReadAgentDocument([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	want := `"verified":false,"zeta":{"b":1.50,"a":[31,null,"yes","2026-05-14T00:00:00Z"]},"alpha":"<&>","generated_at"`
	if !strings.Contains(string(document.Raw), want) {
		t.Errorf("%s", document.Raw)
	}
	if got := capability.Findings(document); len(got) != 1 || got[0].Condition != v1alpha1.ConditionUnknownFields {
		t.Errorf("%+v", got)
	}
}

// agentFile is a small document with one text replaced.
func agentFile(before, after string) string {
	const file = `schema: apai.agent-passport.v0.1
agent:
  name: Bot
  version: "1"
  vendor: Example
identity_key_fingerprint: unverified-v0.1
capabilities:
  can_read: []
  can_write: []
  can_access: []
  can_spend: []
  can_expose: []
  will_request_approval_for: []
sandboxed: false
install_modes_supported: [local-tool]
verified: false
generated_at: 2026-05-14T00:00:00Z
`
	if !strings.Contains(file, before) {
		panic(before)
	}
	return strings.Replace(file, before, after, 1)
}

func TestReadRefuses(t *testing.T) {
	entries := func(count int) string {
		return "can_read: [" + strings.TrimSuffix(strings.Repeat("x, ", count), ", ") + "]"
	}
	for name, tc := range map[string]struct{ file, want string }{
		"nothing":              {"", "the file is empty"},
		"comments alone":       {"# nothing\n", "the file is empty"},
		"a list":               {"- a\n", "line 1: the document is not an object"},
		"text":                 {"hello", "line 1: the document is not an object"},
		"no YAML":              {"a: [", "the file is neither YAML nor JSON: line 1: did not find expected node content"},
		"a tab":                {"schema:\n\tx: 1", "the file is neither YAML nor JSON: line 2: found character that cannot start any token"},
		"no UTF-8":             {"schema: \xff", "the file is not UTF-8"},
		"ten megabytes":        {strings.Repeat("x", 10<<20), "the file has 10485760 bytes; a document has at most 1048576 (1 MiB)"},
		"a byte too much":      {agentFile("Bot", "Bot # "+strings.Repeat("x", 1<<20)), "the file has 1048939 bytes; a document has at most 1048576 (1 MiB)"},
		"two documents":        {agentFile("schema", "schema") + "---\na: 1\n", "line 18: the file has several documents; put each into a file of its own"},
		"deep in lists":        {agentFile("[]", strings.Repeat("[", 99999)), "brackets stand 100000 deep in each other; a document has at most 1000"},
		"deep in objects":      {agentFile("[]", strings.Repeat(`{"a":`, 20)+"1"+strings.Repeat("}", 20)), "line 8: capabilities.can_read.a.a.a.a.a.a.a.a.a.a.a.a.a.a: objects and lists stand more than 16 deep in each other"},
		"an alias":             {agentFile("name: Bot", "name: &n Bot\n  url: *n"), "line 3: agent.name: has a YAML anchor (&); write each value out\nline 4: agent.url: has a YAML alias (*); write the value out"},
		"a merge":              {agentFile("name: Bot", "<<: {a: b}\n  name: Bot"), "line 3: agent.<<: a name has to be text; a merge (<<) or another YAML value has no place there"},
		"a tag":                {agentFile("name: Bot", "name: !!binary aGk="), "line 3: agent.name: has a YAML tag (\"!!binary\"); leave it out"},
		"a key twice":          {agentFile("name: Bot", "name: Bot\n  name: Other"), "line 4: agent.name: is there twice, first in line 3"},
		"an unknown key twice": {agentFile("verified: false", "verified: false\nx: {y: 1, y: 2}"), "line 17: x.y: is there twice, first in line 17"},
		"a name as number":     {agentFile("name: Bot", "name: Bot\n  1: x"), "line 4: agent.1: a name has to be text; a merge (<<) or another YAML value has no place there"},
		"another schema":       {agentFile("apai.agent-passport.v0.1", "apai.agent-passport.v0.2"), `line 1: schema: is "apai.agent-passport.v0.2"; it has to be apai.agent-passport.v0.1 or apai.passport.v0.1`},
		"a schema in capitals": {agentFile("apai.agent-passport.v0.1", "APAI.agent-passport.v0.1"), `line 1: schema: is "APAI.agent-passport.v0.1"; it has to be apai.agent-passport.v0.1 or apai.passport.v0.1`},
		"no schema":            {agentFile("schema: apai.agent-passport.v0.1\n", ""), "line 1: schema: is missing; put apai.agent-passport.v0.1 or apai.passport.v0.1"},
		"all that is wrong": {
			strings.NewReplacer("  vendor: Example\n", "", "can_write: []", "can_write: all", "sandboxed: false", "sandboxed: maybe").Replace(agentFile("Bot", "")),
			"line 3: agent.name: has to be text; put  in quotes\nline 3: agent.vendor: is missing\n" +
				"line 8: capabilities.can_write: has to be a list of texts; [] is an empty one\nline 13: sandboxed: has to be true or false",
		},
		"an empty name":          {agentFile("name: Bot", `name: ""`), "line 3: agent.name: is empty"},
		"a long name":            {agentFile("Bot", strings.Repeat("ü", 257)), "line 3: agent.name: has 257 characters; it has at most 256"},
		"a version as number":    {agentFile(`"1"`, "1.0"), "line 4: agent.version: has to be text; put 1.0 in quotes"},
		"10,000 entries":         {agentFile("can_read: []", entries(10000)), "line 8: capabilities.can_read: has 10000 entries; it has at most 1000"},
		"1,001 entries":          {agentFile("can_read: []", entries(1001)), "line 8: capabilities.can_read: has 1001 entries; it has at most 1000"},
		"a long statement":       {agentFile("can_read: []", "can_read:\n    - ok\n    - "+strings.Repeat("x", 2049)), "line 10: capabilities.can_read[1]: has 2049 characters; it has at most 2048"},
		"an entry as object":     {agentFile("can_read: []", "can_read: [{a: b}]"), "line 8: capabilities.can_read[0]: has to be text"},
		"an entry as number":     {agentFile("can_read: []", "can_read: [7]"), "line 8: capabilities.can_read[0]: has to be text; put 7 in quotes"},
		"null for a list":        {agentFile("can_read: []", "can_read:"), "line 8: capabilities.can_read: has to be a list of texts; [] is an empty one"},
		"an unknown mode":        {agentFile("local-tool", "cloud"), `line 15: install_modes_supported[0]: is "cloud"; it has to be local-tool or cloud-sandbox or remote-connector`},
		"a mode twice":           {agentFile("local-tool", "local-tool, local-tool"), `line 15: install_modes_supported[1]: "local-tool" is there twice`},
		"no mode":                {agentFile("local-tool", ""), "line 15: install_modes_supported: has 0 entries; it has at least 1"},
		"yes for true":           {agentFile("sandboxed: false", "sandboxed: yes"), "line 14: sandboxed: has to be true or false"},
		"a date without time":    {agentFile("2026-05-14T00:00:00Z", "2026-05-14"), `line 17: generated_at: is "2026-05-14"; it has to be a date and time such as 2026-05-14T00:00:00Z`},
		"a bidirectional mark":   {agentFile("Bot", "B\u202Eot"), "line 3: agent.name: has U+202E, a character that a reader does not see; leave it out"},
		"an escaped one":         {agentFile("Bot", `"B\u202Eot"`), "line 3: agent.name: has U+202E, a character that a reader does not see; leave it out"},
		"a zero-width space":     {agentFile("can_read: []", "can_read: [\"a\u200Bb\"]"), "line 8: capabilities.can_read[0]: has U+200B, a character that a reader does not see; leave it out"},
		"one in a name":          {agentFile("verified: false", "verified: false\n\"ver\u200Dified\": true"), "line 17: ver<U+200D>ified: has U+200D, a character that a reader does not see; leave it out"},
		"a terminal's escape":    {agentFile("Bot", `"\e[31mBot"`), "line 3: agent.name: has U+001B, a character that a reader does not see; leave it out"},
		"a number beyond JSON":   {agentFile("verified: false", "verified: false\nx: .inf"), `line 17: x: is ".inf", a number that JSON cannot hold; put it in quotes`},
		"a schema as a list":     {agentFile("apai.agent-passport.v0.1", "[]"), `line 1: schema: is ""; it has to be apai.agent-passport.v0.1 or apai.passport.v0.1`},
		"capabilities as a list": {agentFile("agent:\n  name: Bot\n  version: \"1\"\n  vendor: Example", "agent: []"), "line 2: agent: has to be an object"},
	} {
		t.Run(name, func(t *testing.T) {
			document, err := capability.Read([]byte(tc.file))
			if err == nil {
				t.Fatal("read")
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Error(diff)
			}
			if document != (capability.Document{}) {
				t.Errorf("gave %+v too", document)
			}
			var problems capability.Problems
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Errorf("%T", err)
			}
		})
	}
}

func TestReadTakesWhatIsAllowed(t *testing.T) {
	for name, file := range map[string]string{
		"plain":               agentFile("Bot", "Bot"),
		"a byte order mark":   "\uFEFF" + agentFile("Bot", "Bot"),
		"a start mark":        "---\n" + agentFile("Bot", "Bot"),
		"an emoji":            agentFile("Bot", "\U0001F916\uFE0F"),
		"the longest":         agentFile("can_read: []", "can_read: ["+strings.TrimSuffix(strings.Repeat(`"`+strings.Repeat("ü", 200)+`", `, 1000), ", ")+"]"),
		"brackets in a text":  agentFile("can_read: []", "can_read: [\""+strings.Repeat("[", 900)+"\"]"),
		"an empty statement":  agentFile("can_read: []", `can_read: [""]`),
		"Arabic number signs": agentFile("Bot", "\u0600 1"),
		"a time zone":         agentFile("2026-05-14T00:00:00Z", "2026-05-14T00:00:00.5+02:00"),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := capability.Read([]byte(file)); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := capability.Read([]byte(`{"schema": "apai.passport.v0.1", "package": "p", "package_version": "1", "publisher": "x",
		"publisher_verified": false, "risk_level": "low", "reads": [], "writes": [], "accesses": []}`)); err != nil {
		t.Error(err)
	}
}

func TestProblemsShowTheFirstFifty(t *testing.T) {
	var problems capability.Problems
	for i := range 53 {
		problems = append(problems, capability.Problem{Line: i + 1, Path: fmt.Sprintf("a[%d]", i), Message: "is empty"})
	}
	said := problems.Error()
	if strings.Count(said, "\n") != 50 || !strings.HasSuffix(said, "line 50: a[49]: is empty\nand 3 more") {
		t.Error(said)
	}
}

func TestHiddenCharactersOfADocumentThatCameThroughTheAPI(t *testing.T) {
	subject := document(t, "")
	subject.Raw = []byte(`{"agent":{"name":"B\u202Eot"},"capabilities":{"can_read":["ok","a\u200Bb"]},"x\u2060":1}`)
	got := found(subject, v1alpha1.ConditionHiddenCharacters)
	want := &capability.Finding{
		Condition: v1alpha1.ConditionHiddenCharacters, Reason: v1alpha1.ReasonCharactersNotShown,
		Message: "characters that a reader does not see: U+202E in agent.name, U+200B in capabilities.can_read[1], " +
			"U+2060 in the name x<U+2060>; write the document without them",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	pkg := &v1alpha1.PackageDocument{Reads: []v1alpha1.Statement{"a\u200Fb"}, PublisherVerified: true}
	var conditions []v1alpha1.ConditionType
	for _, finding := range capability.PackageFindings(pkg) {
		conditions = append(conditions, finding.Condition)
	}
	if diff := cmp.Diff([]v1alpha1.ConditionType{v1alpha1.ConditionHiddenCharacters, v1alpha1.ConditionUnprovenClaim}, conditions); diff != "" {
		t.Error(diff)
	}
}

func TestPackageFindings(t *testing.T) {
	pkg, err := capability.ReadPackageDocument([]byte(strings.Replace(string(fixture(t, "packages/costguard.yaml")), "findings: []", "findings: []\n  extra: 1\nhomepage: x", 1)))
	if err != nil {
		t.Fatal(err)
	}
	var conditions []v1alpha1.ConditionType
	var said []string
	for _, finding := range capability.PackageFindings(pkg) {
		conditions, said = append(conditions, finding.Condition), append(said, finding.Message)
	}
	if diff := cmp.Diff([]v1alpha1.ConditionType{v1alpha1.ConditionUnknownFields, v1alpha1.ConditionUnprovenClaim}, conditions); diff != "" {
		t.Error(diff)
	}
	if !strings.HasPrefix(said[0], "apai.passport.v0.1 does not know homepage, scanner.extra;") || !strings.Contains(said[1], "publisher_verified: true") {
		t.Error(said)
	}
}
