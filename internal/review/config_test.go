package review_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/internal/review"
)

func TestParseConfig(t *testing.T) {
	two := review.DefaultThresholds()
	two.AnomalySigmas, two.CheckpointBurst = 2.5, 20
	all := review.Thresholds{
		DurationOverrunInfoPercent: 120, DurationOverrunWarningPercent: 120, AnomalyMinMissions: 2, AnomalySigmas: 10,
		AnomalySigmaFloorPercent: 0, AnomalySigmaFloorActions: 0, AnomalySigmaFloorSeconds: 86400, AnomalySigmaFloorCallRate: 0,
		ActionsMismatchPercent: 0, ActionsMismatchActions: 1_000_000, DeniedCallsWarning: 10, DeniedCallsCritical: 10,
		ScopeDriftCall: 1, ScopeDriftSum: 0.1, CredentialBurst: 1000, UseAfterCheckoutSeconds: 0, CheckpointBurst: 1, AbandonedAfterSeconds: 60,
	}
	for name, tc := range map[string]struct {
		config string
		want   review.Thresholds
	}{
		"an empty file":       {"", review.DefaultThresholds()},
		"comments alone":      {"# nothing\n---\n# set\n", review.DefaultThresholds()},
		"no thresholds":       {"review:\n", review.DefaultThresholds()},
		"an empty list":       {"review: {}\n", review.DefaultThresholds()},
		"an absent value":     {"review:\n  checkpointBurst:\n", review.DefaultThresholds()},
		"some, and comments":  {"# two\nreview:\n  anomalySigmas: 2.5 # σ\n  checkpointBurst: 20\n", two},
		"behind a --- line":   {"---\nreview: {anomalySigmas: 2.5, checkpointBurst: 20}\n", two},
		"a whole, as decimal": {"review: {anomalySigmas: 2.5, checkpointBurst: 20.0}\n", two},
		"all, at their limits": {`review:
  durationOverrunInfoPercent: 120
  durationOverrunWarningPercent: 120
  anomalyMinMissions: 2
  anomalySigmas: 10
  anomalySigmaFloorPercent: 0
  anomalySigmaFloorActions: 0
  anomalySigmaFloorSeconds: 86400
  anomalySigmaFloorCallRate: 0
  actionsMismatchPercent: 0
  actionsMismatchActions: 1000000
  deniedCallsWarning: 10
  deniedCallsCritical: 10
  scopeDriftCall: 1
  scopeDriftSum: 0.1
  credentialBurst: 1000
  useAfterCheckoutSeconds: 0
  checkpointBurst: 1
  abandonedAfterSeconds: 60
`, all},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := review.ParseConfig([]byte(tc.config))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseConfigRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		config string
		want   []string
	}{
		"a text":             {"thresholds", []string{"want the key review, with thresholds below it"}},
		"a list":             {"- review", []string{"want the key review, with thresholds below it"}},
		"a list below":       {"review: [1]", []string{"review: want thresholds below it"}},
		"broken YAML":        {"review:\n\tanomalySigmas: 2", []string{"yaml: line 2: found character that cannot start any token"}},
		"a key twice":        {"review: {checkpointBurst: 1, checkpointBurst: 2}", []string{"yaml: unmarshal errors:", `  line 1: key "checkpointBurst" already set in map`}},
		"a second document":  {"review: {}\n---\nreview: {}\n", []string{"there is more than one YAML document: put all into one"}},
		"another case":       {"review: {CheckpointBurst: 1}", []string{"review.CheckpointBurst: there is no such key"}},
		"infinity":           {"review: {anomalySigmas: .inf}", []string{"json: unsupported value: +Inf"}},
		"a part of a whole":  {"review: {checkpointBurst: 1.5}", []string{"review.checkpointBurst: 1.5 is not a whole number within 1 to 1000"}},
		"more than a number": {"review: {checkpointBurst: 99999999999}", []string{"review.checkpointBurst: 99999999999 is not a whole number within 1 to 1000"}},
		"a warning before its information": {"review: {durationOverrunWarningPercent: 99}", []string{
			"review.durationOverrunWarningPercent: 99 is below durationOverrunInfoPercent, which is 100",
		}},
		"critical before the warning": {"review: {deniedCallsWarning: 11}", []string{
			"review.deniedCallsCritical: 10 is below deniedCallsWarning, which is 11",
		}},
		"all that is wrong at once": {"reviews: {}\nreview: {anomalySigmas: 0.5, checkpointBurst: 0, anomalyMinMissions: '5', b: 1, a: 2}\n", []string{
			"reviews: there is no such key",
			`review.anomalyMinMissions: "5" is not a whole number within 2 to 100`,
			"review.anomalySigmas: 0.5 is not a number within 1 to 10",
			"review.checkpointBurst: 0 is not a whole number within 1 to 1000",
			"review.a: there is no such key",
			"review.b: there is no such key",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := review.ParseConfig([]byte(tc.config))
			if err == nil {
				t.Fatalf("accepted: %+v", got)
			}
			if diff := cmp.Diff(tc.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Error(diff)
			}
			if got != (review.Thresholds{}) {
				t.Errorf("thresholds in spite of the error: %+v", got)
			}
		})
	}
}

// Every threshold is taken at both of its limits, and refused past them.
func TestParseConfigLimits(t *testing.T) {
	for name, limits := range review.Limits() {
		for _, tc := range []struct {
			value float64
			fine  bool
		}{{limits[0], true}, {limits[1], true}, {limits[0] - 1, false}, {limits[1] + 1, false}} {
			value := strconv.FormatFloat(tc.value, 'f', -1, 64)
			config := fmt.Sprintf("review:\n  %s: %s\n", name, value)
			switch name { // these bound each other
			case "durationOverrunInfoPercent":
				config += "  durationOverrunWarningPercent: 10000\n"
			case "durationOverrunWarningPercent":
				config += "  durationOverrunInfoPercent: 1\n"
			case "deniedCallsWarning":
				config += "  deniedCallsCritical: 1000000\n"
			case "deniedCallsCritical":
				config += "  deniedCallsWarning: 1\n"
			}
			_, err := review.ParseConfig([]byte(config))
			if (err == nil) != tc.fine {
				t.Errorf("%s: %v", config, err)
			}
			if err != nil && !strings.HasPrefix(err.Error(), fmt.Sprintf("review.%s: %s is not a", name, value)) {
				t.Errorf("%s: %v", config, err)
			}
		}
	}
}

// FuzzParseConfig looks for thresholds out of their limits that are accepted, and for panics.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("review:\n  anomalySigmas: 2.5\n  checkpointBurst: 20\n"))
	f.Add([]byte("review: {durationOverrunInfoPercent: 200, durationOverrunWarningPercent: 0x10}\n---\n"))
	f.Add([]byte("a: &a [*a, .nan]\nreview: {<<: *a, ? 1}"))
	f.Add([]byte("review: {checkpointBurst: null, abandonedAfterSeconds: 1e3, x: !!binary aGk=}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := review.ParseConfig(data)
		if err != nil {
			if err.Error() == "" || got != (review.Thresholds{}) {
				t.Fatalf("%+v, %q", got, err)
			}
			return
		}
		limits := review.Limits()
		for name, value := range fields(got) {
			if !(limits[name][0] <= value && value <= limits[name][1]) {
				t.Fatalf("%s: %v", name, value)
			}
		}
		if got.DurationOverrunWarningPercent < got.DurationOverrunInfoPercent || got.DeniedCallsCritical < got.DeniedCallsWarning {
			t.Fatalf("%+v", got)
		}
	})
}
