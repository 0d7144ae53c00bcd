package observability

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// promtool plays every case of testdata/alerts.yaml against the rules that are shipped.
func TestAlertsFireAndAreSilent(t *testing.T) {
	dir := t.TempDir()
	shipped, err := yaml.Marshal(shippedRules(t))
	if err != nil {
		t.Fatal(err)
	}
	cases, err := os.ReadFile("testdata/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"rules.yaml": shipped, "alerts.yaml": cases} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	promtool(t, "check", "rules", filepath.Join(dir, "rules.yaml"))
	promtool(t, "test", "rules", filepath.Join(dir, "alerts.yaml"))
}

// promtool runs as it is pinned in hack/tools, without the service discovery that rules do not need and that takes
// many minutes to compile. go tool takes no tags, hence go run.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", append([]string{
		"run", "-modfile=hack/tools/go.mod", "-tags=remove_all_sd", "github.com/prometheus/prometheus/cmd/promtool",
	}, args...)...)
	command.Dir, command.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args[:2], " "), err, output)
	}
}

func TestEveryAlertIsPlayedBothWays(t *testing.T) {
	text, err := os.ReadFile("testdata/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var played struct {
		Tests []struct {
			Cases []struct {
				Alert    string `json:"alertname"`
				Expected []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	if err := yaml.Unmarshal(text, &played); err != nil {
		t.Fatal(err)
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range played.Tests {
		for _, one := range test.Cases {
			if len(one.Expected) > 0 {
				fires[one.Alert] = true
			} else {
				silent[one.Alert] = true
			}
		}
	}
	for _, alert := range alerts(t) {
		if !fires[alert.Alert] || !silent[alert.Alert] {
			t.Errorf("%s is played firing: %v, silent: %v; want both", alert.Alert, fires[alert.Alert], silent[alert.Alert])
		}
	}
}

var alertName = regexp.MustCompile(`^AgentPassport[A-Z]\w+$`)

func TestEveryAlertSaysWhatHappensAndWhatToDo(t *testing.T) {
	index := string(read(t, "docs/runbooks/README.md"))
	for _, alert := range alerts(t) {
		if !alertName.MatchString(alert.Alert) {
			t.Errorf("alert %s: want a name that begins with AgentPassport", alert.Alert)
		}
		if severity := alert.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s: severity %q, want critical or warning", alert.Alert, severity)
		}
		if summary := alert.Annotations["summary"]; !strings.HasSuffix(summary, ".") {
			t.Errorf("%s: its summary is no sentence: %q", alert.Alert, summary)
		}
		if want := "https://agentpassport.dev/operator/docs/runbooks/" + alert.Alert + ".md"; alert.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url %q, want %q", alert.Alert, alert.Annotations["runbook_url"], want)
		}
		if row := "| [" + alert.Alert + "](" + alert.Alert + ".md) | " + alert.Labels["severity"] + " |"; !strings.Contains(index, row) {
			t.Errorf("docs/runbooks/README.md has no row %q", row)
		}
	}
}

func TestEveryAlertHasItsRunbook(t *testing.T) {
	var names []string
	for _, alert := range alerts(t) {
		names = append(names, alert.Alert)
	}
	files, err := filepath.Glob(filepath.Join(root, "docs", "runbooks", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	var pages []string
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".md"); name != "README" {
			pages = append(pages, name)
			checkRunbook(t, name)
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, pages) {
		t.Errorf("alerts %q, pages %q", names, pages)
	}
}

func checkRunbook(t *testing.T, name string) {
	t.Helper()
	text := string(read(t, "docs/runbooks/"+name+".md"))
	if !strings.HasPrefix(text, "# "+name+"\n") {
		t.Errorf("%s.md does not begin with its name", name)
	}
	at := 0
	for _, heading := range []string{"## What it means", "## What users see", "## How to look", "## How to mend"} {
		next := strings.Index(text, "\n"+heading+"\n")
		if next < at {
			t.Errorf("%s.md: no heading %q in its place", name, heading)
		}
		at = next
	}
	if !strings.Contains(text, "```sh\n") {
		t.Errorf("%s.md has no command", name)
	}
}
