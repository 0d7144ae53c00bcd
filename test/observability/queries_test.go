package observability

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

var promQL = parser.NewParser(parser.Options{})

// unknown says which metrics and labels of a query the operator does not have, and whether it is a query at all.
func unknown(known map[string][]string, expr string) []string {
	parsed, err := promQL.ParseExpr(expr)
	if err != nil {
		return []string{err.Error()}
	}
	var wrong []string
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		switch node := node.(type) {
		case *parser.VectorSelector:
			has, is := labelsOf(known, node.Name)
			if !is {
				wrong = append(wrong, "no metric "+node.Name)
			}
			for _, matcher := range node.LabelMatchers {
				if is && matcher.Name != model.MetricNameLabel && !slices.Contains(has, matcher.Name) {
					wrong = append(wrong, fmt.Sprintf("%s has no label %s", node.Name, matcher.Name))
				}
			}
		case *parser.AggregateExpr:
			wrong = append(wrong, ungroupable(known, node)...)
		}
		return nil
	})
	return wrong
}

// ungroupable says which labels that an aggregation groups by are not on all that it sums.
func ungroupable(known map[string][]string, aggregation *parser.AggregateExpr) []string {
	var wrong []string
	parser.Inspect(aggregation.Expr, func(node parser.Node, _ []parser.Node) error {
		series, is := node.(*parser.VectorSelector)
		if !is {
			return nil
		}
		has, _ := labelsOf(known, series.Name)
		for _, label := range aggregation.Grouping {
			if !slices.Contains(has, label) {
				wrong = append(wrong, fmt.Sprintf("%s has no label %s to group by", series.Name, label))
			}
		}
		return nil
	})
	return wrong
}

func TestUnknownFindsWhatIsWrong(t *testing.T) {
	known := map[string][]string{"calls_total": {"code"}, "wait_seconds": nil}
	for expr, want := range map[string]string{
		`sum by (code) (rate(calls_total{code="ok",job="gateway"}[5m]))`:       "",
		`histogram_quantile(0.9, sum by (le) (rate(wait_seconds_bucket[5m])))`: "",
		`sum(rate(calls_totl[5m]))`:                                            "no metric calls_totl",
		`calls_total{reason="ok"}`:                                             "calls_total has no label reason",
		`sum by (reason) (calls_total)`:                                        "calls_total has no label reason to group by",
		`calls_total_bucket`:                                                   "no metric calls_total_bucket",
		`sum by (front) (wait_seconds_count) > 0`:                              "wait_seconds_count has no label front to group by",
	} {
		if got := strings.Join(unknown(known, expr), "; "); got != want {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
	if len(unknown(known, "sum(")) == 0 {
		t.Error("half a query is taken for one")
	}
}

func TestAlertsAskForWhatIsThere(t *testing.T) {
	known := exposed(t)
	for _, alert := range alerts(t) {
		for _, wrong := range unknown(known, alert.Expr) {
			t.Errorf("%s: %s", alert.Alert, wrong)
		}
	}
}

var legendLabel = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

func TestDashboardsAskForWhatIsThere(t *testing.T) {
	known := exposed(t)
	for file, board := range dashboards(t) {
		for _, panel := range board.Panels {
			for _, target := range panel.Targets {
				for _, wrong := range unknown(known, query(target.Expr)) {
					t.Errorf("%s, panel %q: %s", file, panel.Title, wrong)
				}
				for _, label := range legendLabel.FindAllStringSubmatch(target.LegendFormat, -1) {
					if !groups(query(target.Expr), label[1]) {
						t.Errorf("%s, panel %q: the legend names %s, which the query does not keep", file, panel.Title, label[1])
					}
				}
			}
		}
	}
}

// groups says whether a query keeps a label through an aggregation.
func groups(expr, label string) bool {
	parsed, err := promQL.ParseExpr(expr)
	if err != nil {
		return false
	}
	kept := false
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		if aggregation, is := node.(*parser.AggregateExpr); is {
			kept = kept || slices.Contains(aggregation.Grouping, label)
		}
		return nil
	})
	return kept
}

var ownMetric = regexp.MustCompile(`\bagent(?:passport|_passport_gateway)_[a-z_]*[a-z]\b`)

// What a page tells people to look at is there; a line that ends in * names a family.
func TestPagesNameMetricsThatAreThere(t *testing.T) {
	known := exposed(t)
	named := 0
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, name := range ownMetric.FindAllString(string(text), -1) {
			named++
			if _, is := labelsOf(known, name); !is {
				t.Errorf("%s names %s, which nothing exposes", path, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if named == 0 {
		t.Error("no page names a metric")
	}
}

// Every metric of the operator's own is explained where an operator looks for it.
func TestMetricsAreDocumented(t *testing.T) {
	pages := string(read(t, "docs/operations.md")) + string(read(t, "docs/audit-api.md"))
	for name := range exposed(t) {
		if ownMetric.MatchString(name) && !strings.Contains(pages, "`"+name+"`") {
			t.Errorf("%s is in no table: describe it in docs/operations.md", name)
		}
	}
}
