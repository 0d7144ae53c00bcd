package review_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/internal/review"
)

// fields gives every threshold by the name that it has in the config file.
func fields(t review.Thresholds) map[string]float64 {
	text, err := json.Marshal(t)
	if err != nil {
		panic(err)
	}
	values := map[string]float64{}
	if err := json.Unmarshal(text, &values); err != nil {
		panic(err)
	}
	return values
}

func TestEveryThresholdHasLimits(t *testing.T) {
	limits := review.Limits()
	for name, value := range fields(review.DefaultThresholds()) {
		limit, ok := limits[name]
		if !ok || value < limit[0] || value > limit[1] {
			t.Errorf("%s: %v is not within %v", name, value, limit)
		}
		delete(limits, name)
	}
	if len(limits) > 0 {
		t.Errorf("limits of no threshold: %v", limits)
	}
}

// docs/detectors.md names every threshold, with its default and its limits, and no other.
func TestThresholdsAreDocumented(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `([A-Za-z]+)` \\| ([0-9.]+) \\| ([^|]+) \\| ([0-9.]+) to ([0-9.]+) \\|")
	got := map[string]string{}
	for _, match := range row.FindAllStringSubmatch(documentation(t), -1) {
		got[match[1]] = fmt.Sprintf("%s within %s to %s", match[2], match[4], match[5])
	}
	want := map[string]string{}
	limits := review.Limits()
	text := func(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
	for name, value := range fields(review.DefaultThresholds()) {
		want[name] = fmt.Sprintf("%s within %s to %s", text(value), text(limits[name][0]), text(limits[name][1]))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The config file in docs/detectors.md is the defaults, spelled out.
func TestTheDocumentedConfigIsTheDefaults(t *testing.T) {
	_, rest, found := strings.Cut(documentation(t), "```yaml\nreview:\n")
	config, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("there is no config file in docs/detectors.md")
	}
	spelledOut(t, "review:\n"+config)
}

// spelledOut fails where a config is not all the defaults.
func spelledOut(t *testing.T, config string) {
	t.Helper()
	got, err := review.ParseConfig([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(review.DefaultThresholds(), got); diff != "" {
		t.Error(diff)
	}
	for name := range review.Limits() {
		if !strings.Contains(config, "\n  "+name+": ") {
			t.Errorf("%s is not spelled out", name)
		}
	}
}

// docs/detectors.md names every type of flag and signal, and how bad it is.
func TestTypesAreDocumented(t *testing.T) {
	text := documentation(t)
	for kind, severity := range map[string]string{
		review.UngrantedService:    "critical",
		review.UndeclaredService:   "warning",
		review.NoCheckout:          "warning",
		review.LateCheckout:        "warning",
		review.CheckpointGap:       "warning",
		review.ActionsMismatch:     "warning",
		review.ActionVolumeAnomaly: "warning",
		review.DetectorError:       "warning",
		review.SignalRaised:        "as the signal",
		review.DurationOverrun:     "info; warning",
		review.DurationAnomaly:     "info",
		review.NovelService:        "info",
		review.UnusedService:       "info",
		review.FlagsOmitted:        "as the worst",

		review.UnreportedService:     "critical; warning",
		review.DeniedCalls:           "warning; critical",
		review.ObservationIncomplete: "warning",

		review.ScopeDrift:             "warning",
		review.CredentialBurst:        "warning",
		review.ConstraintViolation:    "warning",
		review.UseAfterCheckout:       "critical",
		review.UseAfterRevocation:     "warning",
		review.ForeignWorkload:        "critical",
		review.CallRateAnomaly:        "warning",
		review.CredentialOutsideScope: "critical; warning in Logged",
		review.CheckpointSilence:      "warning",
		review.CheckpointBurst:        "warning",
		review.AbandonedMission:       "warning",
	} {
		if !strings.Contains(text, "\n| `"+kind+"` | "+severity) {
			t.Errorf("%s (%s) is not in docs/detectors.md", kind, severity)
		}
	}
}

func documentation(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/detectors.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
