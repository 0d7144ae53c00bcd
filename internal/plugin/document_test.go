package plugin_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/plugin"
)

// samples are documents that the documentation shows.
const samples = "../../config/samples/documents/"

// noon is the time at which the plugin runs.
var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

type result struct {
	code     int
	out, err string
}

// run runs the plugin without a cluster, with something on standard input.
func run(t *testing.T, input string, args ...string) result {
	t.Helper()
	t.Setenv("KUBECONFIG", os.DevNull)
	var out, err bytes.Buffer
	code := plugin.Run(t.Context(), plugin.Options{
		Streams: genericiooptions.IOStreams{In: strings.NewReader(input), Out: &out, ErrOut: &err},
		Clock:   clocktesting.NewFakeClock(noon), Version: "test",
	}, append([]string{"document"}, args...))
	return result{code, out.String(), err.String()}
}

// write writes a file for one test, and gives its name.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func sample(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(samples + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// vendor makes a key, and gives the names of files with its halves.
func vendor(t *testing.T, seed byte) (private, public string) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	open, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "vendor.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))),
		write(t, "vendor.pub", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: open})))
}

const (
	agentFile   = samples + "agents/support-bot.yaml"
	packageFile = samples + "packages/ticket-digest.yaml"
	riskyFile   = samples + "packages/release-helper.yaml"
	packFile    = samples + "packs/support.yaml"
)

func TestValidate(t *testing.T) {
	good := run(t, "", "validate", agentFile, packageFile)
	want := agentFile + ": good: agent Support Bot 1.4.0 of vendor Example Helpdesk\n" +
		packageFile + ": good: package ticket-digest 0.3.0 of publisher example-helpdesk\n"
	if good.code != 0 || good.out != want {
		t.Errorf("%d %s%s", good.code, good.out, good.err)
	}
	odd := write(t, "odd.yaml", sample(t, "agents/support-bot.yaml")+"more: 1\n")
	if got := run(t, "", "validate", odd); got.code != 0 || !strings.Contains(got.out, odd+": note: ") || !strings.Contains(got.out, "more") {
		t.Errorf("%+v", got)
	}
	bad := write(t, "bad.yaml", strings.NewReplacer("sandboxed: false", "sandboxed: maybe", "  - remote-connector", "  - carrier-pigeon").
		Replace(sample(t, "agents/support-bot.yaml")))
	got := run(t, "", "validate", bad, agentFile, "nowhere.yaml")
	for _, line := range []string{bad + ":25: sandboxed: has to be true or false\n", bad + `:27: install_modes_supported[0]: is "carrier-pigeon"`, "nowhere.yaml: no such file", agentFile + ": good: "} {
		if !strings.Contains(got.out, line) {
			t.Errorf("no %q in\n%s", line, got.out)
		}
	}
	if got.code != 1 || got.err != "error: 2 of 3 files cannot be used: each line above says where, and why\n" {
		t.Errorf("%d %s", got.code, got.err)
	}
	if got := run(t, sample(t, "agents/support-bot.yaml"), "validate", "-"); got.code != 0 {
		t.Errorf("%+v", got)
	}
}

func TestImportPrintsAManifest(t *testing.T) {
	private, _ := vendor(t, 1)
	jws := run(t, "", "sign", agentFile, "--key="+private)
	codes := write(t, "codes.yaml", "reads: [\"read:git\"]\n")
	got := run(t, "", "import", agentFile, "-n", "agents", "--name=helper", "--signature="+strings.TrimSpace(jws.out), "--codes="+codes)
	want := "apiVersion: agentpassport.dev/v1alpha1\nkind: AgentPassport\nmetadata:\n  name: helper\n  namespace: agents\nspec:\n  document:\n    " +
		strings.TrimSuffix(strings.ReplaceAll(sample(t, "agents/support-bot.yaml"), "\n", "\n    "), "    ") +
		"  codes:\n    reads:\n    - read:git\n  signature:\n    jws: " + jws.out
	if got.code != 0 || got.out != want {
		t.Errorf("%d %s\n%s", got.code, got.err, got.out)
	}
	if plain := run(t, "", "import", packageFile); plain.code != 0 || !strings.Contains(plain.out, "kind: CapabilityPassport\nmetadata:\n  name: ticket-digest\nspec:\n") {
		t.Errorf("%+v", plain)
	}
	// What it prints is a file that every command takes.
	manifest := write(t, "manifest.yaml", got.out)
	if got := run(t, "", "diff", manifest, agentFile); got.code != 1 || got.out != "- codes.reads: read:git\n" {
		t.Errorf("%+v", got)
	}
	for says, args := range map[string][]string{
		"--yes and --dry-run go with --apply": {agentFile, "--yes"},
		"--name=A_B: ":                        {agentFile, "--name=A_B"},
	} {
		if got := run(t, "", append([]string{"import"}, args...)...); got.code != 64 || !strings.Contains(got.err, says) {
			t.Errorf("%+v, want %q", got, says)
		}
	}
	if got := run(t, "", "import", agentFile, "--codes="+agentFile); got.code != 1 || !strings.Contains(got.err, "not the codes of a document") {
		t.Errorf("%+v", got)
	}
}

func TestExportIsByteStable(t *testing.T) {
	once := run(t, "", "export", agentFile)
	again := run(t, once.out, "export", "-")
	manifest := run(t, "", "import", agentFile)
	third := run(t, manifest.out, "export", "-")
	if once.code != 0 || once.out != again.out || once.out != third.out || !strings.HasPrefix(once.out, "schema: \"apai.agent-passport.v0.1\"\nagent:\n") {
		t.Errorf("%s\n%s\n%s", once.out, again.out, third.out)
	}
	canonical := run(t, "", "export", agentFile, "-o", "json")
	if canonical.code != 0 || !json.Valid([]byte(canonical.out)) || !strings.HasPrefix(canonical.out, `{"agent":{"name":"Support Bot",`) || strings.HasSuffix(canonical.out, "\n") {
		t.Errorf("%+v", canonical)
	}
	if got := run(t, "", "export", agentFile, "-o", "xml"); got.code != 64 {
		t.Errorf("%+v", got)
	}
}

func TestDiff(t *testing.T) {
	next := write(t, "next.yaml", strings.NewReplacer(`"1.4.0"`, `"1.5.0"`, `    - "Refunds and credits"`+"\n", "", `    - "Slack API"`, "    - \"Slack API\"\n    - \"Jira API\"").
		Replace(sample(t, "agents/support-bot.yaml")))
	got := run(t, "", "diff", agentFile, next)
	want := "+ capabilities.can_access: Jira API\n- capabilities.will_request_approval_for: Refunds and credits\n~ agent.version: \"1.4.0\" -> \"1.5.0\"\n"
	if got.code != 1 || got.out != want || got.err != "" {
		t.Errorf("%d %s%s", got.code, got.out, got.err)
	}
	var rows []map[string]string
	if got := run(t, "", "diff", agentFile, next, "-o", "json"); json.Unmarshal([]byte(got.out), &rows) != nil || len(rows) != 3 || got.code != 1 ||
		rows[0]["path"] != "capabilities.can_access" || rows[0]["change"] != "Gained" || rows[0]["after"] != "Jira API" {
		t.Errorf("%+v", got)
	}
	if got := run(t, "", "diff", agentFile, agentFile, "-o", "yaml"); got.code != 0 || got.out != "[]\n" {
		t.Errorf("%+v", got)
	}
	for says, args := range map[string][]string{
		"holds these against each other": {agentFile, packageFile},
		"no such file":                   {agentFile, "nowhere.yaml"},
		"capabilities: is missing":       {agentFile, write(t, "short.yaml", "schema: apai.agent-passport.v0.1\n")},
	} {
		if got := run(t, "", append([]string{"diff"}, args...)...); got.code != 2 || !strings.Contains(got.err, says) {
			t.Errorf("%+v, want %q", got, says)
		}
	}
	if got := run(t, "", "diff", "-", "-"); got.code != 64 {
		t.Errorf("%+v", got)
	}
}

func TestSignAndVerify(t *testing.T) {
	private, public := vendor(t, 1)
	_, other := vendor(t, 2)
	signed := run(t, "", "sign", agentFile, "--key="+private)
	if signed.code != 0 || strings.Count(signed.out, "\n") != 1 || !strings.Contains(signed.out, "..") ||
		!strings.HasPrefix(signed.err, "signed agent Support Bot 1.4.0 of vendor Example Helpdesk with key ") {
		t.Fatalf("%+v", signed)
	}
	jws := write(t, "bot.jws", signed.out)
	patch := run(t, sample(t, "agents/support-bot.yaml"), "sign", "-", "--key="+private, "-o", "yaml")
	if patch.out != "spec:\n  signature:\n    jws: "+signed.out {
		t.Errorf("%+v", patch)
	}
	publicText, err := os.ReadFile(public)
	if err != nil {
		t.Fatal(err)
	}
	vendorKey := func(vendor, more string) string {
		manifest, err := yaml.Marshal(map[string]any{
			"apiVersion": "agentpassport.dev/v1alpha1", "kind": "VendorKey", "metadata": map[string]any{"name": "helpdesk"},
			"spec": map[string]any{"vendor": vendor, "keys": []any{map[string]any{"name": "main", "publicKey": string(publicText)}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return write(t, "key.yaml", strings.Replace(string(manifest), "name: main\n", "name: main\n"+more, 1))
	}
	changed := write(t, "changed.yaml", strings.Replace(sample(t, "agents/support-bot.yaml"), "1.4.0", "1.4.1", 1))
	spaced := write(t, "spaced.yaml", "# Another comment.\n\n"+sample(t, "agents/support-bot.yaml"))
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"the public key":          {[]string{agentFile, "--signature=" + jws, "--public-key=" + public}, 0, "verified: signed by the key in " + public},
		"the signature itself":    {[]string{agentFile, "--signature=" + strings.TrimSpace(signed.out), "--public-key=" + public}, 0, "\nverified: "},
		"the patch":               {[]string{agentFile, "--signature=" + write(t, "patch.yaml", patch.out), "--public-key=" + public}, 0, "\nverified: "},
		"another comment":         {[]string{spaced, "--signature=" + jws, "--public-key=" + public}, 0, "\nverified: "},
		"a VendorKey":             {[]string{agentFile, "--signature=" + jws, "--vendor-key=" + vendorKey("example HELPDESK", "")}, 0, "main of VendorKey helpdesk"},
		"a VendorKey for an hour": {[]string{agentFile, "--signature=" + jws, "--vendor-key=" + vendorKey("Example Helpdesk", "    notAfter: \"2026-08-01T13:00:00Z\"\n")}, 0, "until         2026-08-01T13:00:00Z"},
		"another vendor's":        {[]string{agentFile, "--signature=" + jws, "--vendor-key=" + vendorKey("Helpdesk", "")}, 2, "not verified (KeyNotTrusted): "},
		"over":                    {[]string{agentFile, "--signature=" + jws, "--vendor-key=" + vendorKey("Example Helpdesk", "    notAfter: \"2026-08-01T12:00:00Z\"\n")}, 2, "not verified (KeyNotValid): "},
		"revoked":                 {[]string{agentFile, "--signature=" + jws, "--vendor-key=" + vendorKey("Example Helpdesk", "    revoked: {reason: stolen}\n")}, 2, "not verified (KeyRevoked): "},
		"another key":             {[]string{agentFile, "--signature=" + jws, "--public-key=" + other}, 2, "not verified (KeyNotTrusted): "},
		"another document":        {[]string{changed, "--signature=" + jws, "--public-key=" + public}, 2, "not verified (SignatureInvalid): "},
		"no signature":            {[]string{agentFile, "--public-key=" + public}, 2, "not verified (NotSigned): "},
		"no such file":            {[]string{agentFile, "--signature=nowhere", "--public-key=" + public}, 1, "neither a signature"},
		"a private key":           {[]string{agentFile, "--signature=" + jws, "--public-key=" + private}, 1, "it is a private key"},
		"no VendorKey":            {[]string{agentFile, "--signature=" + jws, "--vendor-key=" + packFile}, 1, `it has a "PolicyPack"`},
	} {
		if got := run(t, "", append([]string{"verify"}, test.args...)...); got.code != test.code || !strings.Contains("\n"+got.out+got.err, test.says) {
			t.Errorf("%s: %+v, want %d %q", name, got, test.code, test.says)
		}
	}
}

func TestSignRefusesWhatIsNoKey(t *testing.T) {
	private, public := vendor(t, 1)
	secret, err := os.ReadFile(private)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	named := write(t, "named.yaml", strings.Replace(sample(t, "agents/support-bot.yaml"), "unverified-v0.1", "another", 1))
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"an RSA key":          {[]string{agentFile, "--key=" + write(t, "rsa.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))}, 1, "an RSA key"},
		"a public key":        {[]string{agentFile, "--key=" + public}, 1, "it is a public key, which signs nothing"},
		"no key":              {[]string{agentFile, "--key=" + agentFile}, 1, "no PEM block"},
		"no flag":             {[]string{agentFile}, 64, "--key is missing"},
		"both from stdin":     {[]string{"-", "--key=-"}, 64, "standard input"},
		"another fingerprint": {[]string{named, "--key=" + private}, 1, "names key another in identity_key_fingerprint"},
		"no document":         {[]string{private, "--key=" + private}, 1, ""},
	} {
		got := run(t, "", append([]string{"sign"}, test.args...)...)
		if got.code != test.code || !strings.Contains(got.err, test.says) || got.out != "" {
			t.Errorf("%s: %+v, want %d %q", name, got, test.code, test.says)
		}
		if body := strings.Split(string(secret), "\n")[1]; strings.Contains(got.out+got.err, body) {
			t.Errorf("%s: it prints the key", name)
		}
	}
	if got := run(t, string(secret), "sign", agentFile, "--key=-"); got.code != 0 {
		t.Errorf("%+v", got)
	}
}

func TestPair(t *testing.T) {
	unclear := write(t, "unclear.yaml", strings.Replace(sample(t, "packages/ticket-digest.yaml"), "Slack API", "The thing behind the door", 1))
	const remote, local = "--install-mode=remote-connector", "--install-mode=local-tool"
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"compatible":                  {[]string{packageFile, agentFile, remote}, 0, "\ncompatible: of 6 declarations 6 covered, 0 outside, 0 unclear\n"},
		"outside":                     {[]string{packageFile, agentFile, local}, 2, "\nnot compatible: of 7 declarations 6 covered, 1 outside, 0 unclear\n"},
		"outside, and never mind":     {[]string{packageFile, agentFile, local, "--fail-on=none"}, 0, "\nnot compatible: "},
		"outside counts":              {[]string{packageFile, agentFile, local, "--fail-on=outside"}, 2, "\nnot compatible: "},
		"unclear":                     {[]string{unclear, agentFile, remote}, 3, "\na person has to compare: of 6 declarations 5 covered, 0 outside, 1 unclear\n"},
		"unclear is good enough":      {[]string{unclear, agentFile, remote, "--fail-on=outside"}, 0, "\na person has to compare: "},
		"policy blocks":               {[]string{riskyFile, agentFile, remote, "--policy=" + packFile}, 2, "Block    support   no-high-risk"},
		"policy has nothing to say":   {[]string{packageFile, agentFile, remote, "--policy=" + packFile}, 0, "\ncompatible: "},
		"the two in the other order":  {[]string{agentFile, packageFile, remote}, 64, "the package comes first"},
		"no mode":                     {[]string{packageFile, agentFile}, 64, "--install-mode is missing"},
		"a mode that there is not":    {[]string{packageFile, agentFile, "--install-mode=local"}, 64, "want one of local-tool, cloud-sandbox, remote-connector"},
		"a failure that there is not": {[]string{packageFile, agentFile, remote, "--fail-on=all"}, 64, "--fail-on=all"},
		"no file":                     {[]string{packageFile, "nowhere.yaml", remote}, 1, "no such file"},
		"no pack":                     {[]string{packageFile, agentFile, remote, "--policy=" + agentFile}, 1, "a PolicyPack in agentpassport.dev/v1alpha1 is needed"},
		"one file":                    {[]string{packageFile, remote}, 64, "takes the package's file and the agent's"},
	} {
		if got := run(t, "", append([]string{"pair"}, test.args...)...); got.code != test.code || !strings.Contains("\n"+got.out+got.err, test.says) {
			t.Errorf("%s: %+v, want %d %q", name, got, test.code, test.says)
		}
	}
}

func TestPairPrintsATableForEachField(t *testing.T) {
	got := run(t, "", "pair", packageFile, agentFile, "--install-mode=local-tool", "--all", "-o", "wide")
	want := `install       local-tool

approvals (will_request_approval_for)
COVERAGE   RULE    DECLARATION           WHY
Covered    exact   Refunds and credits   will_request_approval_for has the same words

install_mode (install_modes_supported)
`
	if !strings.Contains(got.out, want) {
		t.Errorf("%s", got.out)
	}
	for _, head := range []string{
		"package       ticket-digest 0.3.0 of publisher example-helpdesk\n", "\nagent         Support Bot 1.4.0 of vendor Example Helpdesk\n",
		"\nreads (can_read)\n", "\nwrites (can_write)\n", "\naccesses (can_access)\n", "\nspends (can_spend)\n", "\nexposes (can_expose)\n",
	} {
		if !strings.Contains(got.out, head) {
			t.Errorf("no %q in\n%s", head, got.out)
		}
	}
}

func TestPairAsAnObject(t *testing.T) {
	got := run(t, "", "pair", riskyFile, agentFile, "--install-mode=local-tool", "--policy="+packFile, "-o", "json")
	var check v1alpha1.CompatibilityCheck
	if err := json.Unmarshal([]byte(got.out), &check); err != nil {
		t.Fatal(err)
	}
	status := check.Status
	if got.code != 2 || check.Kind != "CompatibilityCheck" || *status.Summary.Outside < 1 || len(status.Findings) != int(*status.Summary.Outside+*status.Summary.Unclear) ||
		len(status.Policy) != 1 || status.PackageDigest == "" || status.AgentDigest == "" {
		t.Errorf("%d %+v", got.code, check)
	}
}

// A pack that asks for a verified package sees the signature in the manifest, where the key is given, and believes
// nothing that the file says of itself.
func TestPairChecksSignatures(t *testing.T) {
	private, public := vendor(t, 1)
	signed := run(t, "", "sign", packageFile, "--key="+private)
	manifest := run(t, "", "import", packageFile, "--signature="+strings.TrimSpace(signed.out))
	file := write(t, "package.yaml", manifest.out+"status:\n  verified: true\n")
	pack := write(t, "pack.yaml", `apiVersion: agentpassport.dev/v1alpha1
kind: PolicyPack
metadata: {name: signed}
spec:
  mode: Enforce
  rules:
  - id: signed-alone
    action: Block
    at: [Install]
    packages: {verified: false}
`)
	args := []string{"pair", file, agentFile, "--install-mode=remote-connector", "--policy=" + pack}
	if got := run(t, "", args...); got.code != 2 || !strings.Contains(got.out, "blocked by policy") {
		t.Errorf("%+v", got)
	}
	if got := run(t, "", append(args, "--public-key="+public)...); got.code != 0 {
		t.Errorf("%+v", got)
	}
}
