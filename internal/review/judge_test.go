package review_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/review"
)

// told writes flags as lines, for tables.
func told(flags []v1alpha1.Flag) []string {
	lines := make([]string, 0, len(flags))
	for _, flag := range flags {
		lines = append(lines, strings.Join(strings.Fields(fmt.Sprintf("%s %s %s: %s", flag.Severity, flag.Type, flag.Service, flag.Message)), " "))
	}
	return lines
}

// change is one step away from a mission that nobody can say anything against.
type change func(*review.Mission)

func reported(used ...v1alpha1.ServiceName) change {
	return func(m *review.Mission) { m.Report.Services = used }
}

func checkpointed(used ...v1alpha1.ServiceName) change {
	return func(m *review.Mission) { m.CheckpointServices = used }
}

func granted(names ...v1alpha1.ServiceName) change {
	return func(m *review.Mission) { m.Granted = names }
}

func actions(n int64) change {
	return func(m *review.Mission) { m.Report.Actions = &n }
}

func checkpointActions(n int64) change {
	return func(m *review.Mission) { m.CheckpointActions = n }
}

func lasting(seconds int) change {
	return func(m *review.Mission) {
		m.End = noon.Add(time.Duration(seconds) * time.Second)
		m.Report.At = m.End
	}
}

func silent(mode v1alpha1.AccountabilityMode, seconds int) change {
	return func(m *review.Mission) { m.Mode, m.LongestGap = mode, time.Duration(seconds)*time.Second }
}

func ended(phase v1alpha1.Phase, before time.Duration) change {
	return func(m *review.Mission) { m.Phase, m.Report.At = phase, m.End.Add(before) }
}

func signals(raised ...v1alpha1.Signal) change {
	return func(m *review.Mission) { m.Signals = raised }
}

func signal(kind string, severity v1alpha1.Severity, count int32, message string) v1alpha1.Signal {
	return v1alpha1.Signal{
		Type: kind, Severity: severity, Count: count, Message: message,
		FirstTime: metav1.NewTime(noon), LastTime: metav1.NewTime(noon.Add(time.Minute)),
	}
}

// baseline gives the agent so many missions before this one.
func baseline(missions int64) change {
	return func(m *review.Mission) { *m = seasoned(*m); m.Baseline.Missions = missions }
}

func usualActions(mean, variance v1alpha1.Decimal) change {
	return func(m *review.Mission) {
		baseline(5)(m)
		m.Baseline.Actions = v1alpha1.Distribution{Mean: mean, Variance: variance}
	}
}

func usualSeconds(mean, variance v1alpha1.Decimal) change {
	return func(m *review.Mission) {
		baseline(5)(m)
		m.Baseline.DurationSeconds = v1alpha1.Distribution{Mean: mean, Variance: variance}
	}
}

// seen is what the gateways saw: so many calls to each service, and so many that they refused.
func seen(denied int64, calls map[v1alpha1.ServiceName]int64) change {
	return func(m *review.Mission) {
		m.Observed = &v1alpha1.ObservedCalls{Denied: denied}
		for service, n := range calls {
			m.Observed.Calls += n
			m.Observed.Services = append(m.Observed.Services, v1alpha1.ObservedService{Service: service, Calls: n})
		}
	}
}

func seenSlack(calls int64) change { return seen(0, map[v1alpha1.ServiceName]int64{"slack": calls}) }

func missing(gateways ...string) change {
	return func(m *review.Mission) { m.Observed.Missing = gateways }
}

func noEstimate(m *review.Mission)    { m.Intent.EstimatedDurationSeconds = 0 }
func noIntent(m *review.Mission)      { m.Intent = nil }
func noTotal(m *review.Mission)       { m.Report.Actions = nil }
func noSource(m *review.Mission)      { m.Report.Source = "" }
func noInterval(m *review.Mission)    { m.Interval = 0 }
func knowsGithub(m *review.Mission)   { m.Baseline.Services = m.Baseline.Services[:1] }
func knowsNothing(m *review.Mission)  { m.Baseline.Services = nil }
func gone(m *review.Mission)          { *m = abandoned() }
func with(changes ...change) []change { return changes }

// Every detector at its edges: with the last value that is fine, and with the first that is not.
func TestDetectors(t *testing.T) {
	const (
		logged, enforced = v1alpha1.ModeLogged, v1alpha1.ModeEnforced
		expired, revoked = v1alpha1.PhaseExpired, v1alpha1.PhaseRevoked

		notion  = "warning undeclared_service notion: Agent used notion but did not declare it in intent"
		aws     = "critical ungranted_service aws: Agent used aws, which its passport does not carry"
		overrun = "%s duration_overrun : Mission took %d s, but its intent estimated 600 s"
		late    = "warning late_checkout : Agent checked out at %s, when its passport was already %s, since 2026-04-23T12:10:00Z"
		none    = "warning no_checkout : Agent did not check out: its passport is Expired, since 2026-04-23T12:10:00Z," +
			" and the operator checked out for it at 2026-04-23T13:10:00Z"
		many = "warning action_volume_anomaly : Mission took %d actions; this agent's missions take %d on average, and up to %d is usual"
		long = "info duration_anomaly : Mission took %d s; this agent's missions take %d s on average, and up to %d s is usual"
	)
	f := fmt.Sprintf
	for name, tc := range map[string]struct {
		changes []change
		want    []string
	}{
		"nothing":                      {},
		"nothing, against a baseline":  {changes: with(baseline(5))},
		"nothing more of the operator": {with(gone), []string{none}},

		"undeclared in the checkout":              {with(reported("slack", "notion", "github")), []string{notion}},
		"undeclared in a checkpoint":              {with(checkpointed("notion", "slack")), []string{notion}},
		"undeclared, and the operator checks out": {with(gone, checkpointed("notion")), []string{notion, none}},
		"without an intent all is undeclared": {with(noIntent), []string{
			strings.ReplaceAll(notion, "notion", "github"), strings.ReplaceAll(notion, "notion", "slack"),
		}},

		"ungranted, and so not undeclared": {with(reported("stripe", "slack", "github", "aws")), []string{
			aws, strings.ReplaceAll(aws, "aws", "stripe"),
		}},
		"ungranted, though declared":             {with(granted("slack")), []string{strings.ReplaceAll(aws, "aws", "github")}},
		"ungranted, and the operator checks out": {with(gone, checkpointed("aws")), []string{aws, none}},

		"unused": {with(reported()), []string{
			"info unused_service github: Agent declared github in intent but did not use it",
		}},
		"unused, in order of names": {with(reported(), checkpointed()), []string{
			"info unused_service github: Agent declared github in intent but did not use it",
			"info unused_service slack: Agent declared slack in intent but did not use it",
		}},

		"as many actions as in the checkpoints": {changes: with(checkpointActions(12))},
		"one action fewer": {with(checkpointActions(13)), []string{
			"warning actions_mismatch : Agent reported 12 actions in all, but 13 in its checkpoints",
		}},
		"a total of none": {with(actions(0)), []string{
			"warning actions_mismatch : Agent reported 0 actions in all, but 12 in its checkpoints",
		}},
		"no total":             {changes: with(noTotal)},
		"the operator's total": {with(gone, actions(0)), []string{none}},

		"as long as estimated":              {changes: with(lasting(600))},
		"a second over the estimate":        {with(lasting(601)), []string{f(overrun, "info", 601)}},
		"one and a half times the estimate": {with(lasting(900)), []string{f(overrun, "info", 900)}},
		"a second over that":                {with(lasting(901)), []string{f(overrun, "warning", 901)}},
		"no estimate":                       {changes: with(noEstimate, lasting(86400))},
		"no intent, so no estimate":         {changes: with(noIntent, lasting(86400), reported(), checkpointed())},

		"Logged, silent for an interval": {changes: with(silent(logged, 300))},
		"Logged, silent for a second more": {with(silent(logged, 301)), []string{
			"warning checkpoint_gap : Agent made no checkpoint for 301 s; one was due every 300 s",
		}},
		"Enforced, silent for a second more": {changes: with(silent(enforced, 301))},
		"Logged, without an interval":        {changes: with(silent(logged, 301), noInterval)},

		"late, a second after the expiry": {with(ended(expired, time.Second)), []string{f(late, "2026-04-23T12:10:01Z", "Expired")}},
		"late, in the second of the end":  {with(ended(revoked, 0)), []string{f(late, "2026-04-23T12:10:00Z", "Revoked")}},
		"no source is the agent":          {with(ended(expired, 0), noSource), []string{f(late, "2026-04-23T12:10:00Z", "Expired")}},

		"actions within the least σ":           {changes: with(usualActions("12", "0"), actions(21))},
		"one action over the least σ":          {with(usualActions("12", "0"), actions(22)), []string{f(many, 22, 12, 21)}},
		"actions within σ":                     {changes: with(usualActions("12", "16"), actions(24))},
		"one action over σ":                    {with(usualActions("12", "16"), actions(25)), []string{f(many, 25, 12, 24)}},
		"actions within the share of the mean": {changes: with(usualActions("100", "81"), actions(130))},
		"one action over the share":            {with(usualActions("100", "81"), actions(131)), []string{f(many, 131, 100, 130)}},
		"actions, after four missions":         {changes: with(baseline(4), actions(1_000_000))},
		"actions of checkpoints alone":         {with(gone, baseline(5), checkpointActions(22)), []string{none, f(many, 22, 12, 21)}},

		"time within the least σ":             {changes: with(usualSeconds("60", "0"), noEstimate, lasting(150))},
		"a second over the least σ":           {with(usualSeconds("60", "0"), noEstimate, lasting(151)), []string{f(long, 151, 60, 150)}},
		"time within σ":                       {changes: with(usualSeconds("600", "10000"), noEstimate, lasting(900))},
		"a second over σ":                     {with(usualSeconds("600", "10000"), noEstimate, lasting(901)), []string{f(long, 901, 600, 900)}},
		"time within the share of the mean":   {changes: with(usualSeconds("600", "3600"), noEstimate, lasting(780))},
		"a second over the share of the mean": {with(usualSeconds("600", "3600"), noEstimate, lasting(781)), []string{f(long, 781, 600, 780)}},
		"time, after four missions":           {changes: with(baseline(4), noEstimate, lasting(86400))},

		"novel":                      {with(baseline(5), knowsGithub), []string{"info novel_service slack: Agent used slack for the first time in 6 missions"}},
		"novel, after four missions": {changes: with(baseline(4), knowsNothing)},

		"seen, all as reported": {changes: with(seen(0, map[v1alpha1.ServiceName]int64{"slack": 8, "github": 4}))},
		"seen, and nothing":     {changes: with(seen(0, nil))},
		"seen, not reported, inside the intent": {with(reported("slack"), seen(0, map[v1alpha1.ServiceName]int64{"slack": 8, "github": 4})), []string{
			"warning unreported_service github: Agent called github, inside its intent, and no report says so",
		}},
		"seen, not reported, outside the intent": {with(seen(0, map[v1alpha1.ServiceName]int64{"slack": 11, "notion": 1})), []string{
			"critical unreported_service notion: Agent called notion, outside its intent, and no report says so", notion,
		}},
		"seen and refused, so not used": {changes: with(seen(0, map[v1alpha1.ServiceName]int64{"slack": 12, "notion": 0}))},
		"seen, and the operator checks out": {with(gone, seen(0, map[v1alpha1.ServiceName]int64{"github": 40, "notion": 1})), []string{
			notion, none,
		}},
		"seen, novel": {with(reported("github"), checkpointed("github"), baseline(5), knowsGithub, seenSlack(12)), []string{
			"warning unreported_service slack: Agent called slack, inside its intent, and no report says so",
			"info novel_service slack: Agent used slack for the first time in 6 missions",
		}},
		"reported five fewer than seen":      {changes: with(seenSlack(17))},
		"reported six fewer than seen":       {with(seenSlack(18)), []string{"warning actions_mismatch : Agent reported 12 actions, but the gateways saw 18 calls"}},
		"reported a fifth fewer than seen":   {changes: with(actions(80), seenSlack(100))},
		"reported more than a fifth fewer":   {with(actions(79), seenSlack(100)), []string{"warning actions_mismatch : Agent reported 79 actions, but the gateways saw 100 calls"}},
		"reported a fifth more than seen":    {changes: with(actions(120), seenSlack(100))},
		"reported more than a fifth more":    {with(actions(121), seenSlack(100)), []string{"warning actions_mismatch : Agent reported 121 actions, but the gateways saw 100 calls"}},
		"no total, and the checkpoints' six": {with(noTotal, seenSlack(18)), []string{"warning actions_mismatch : Agent reported 12 actions, but the gateways saw 18 calls"}},
		"reported more, and a gateway is missing": {with(actions(121), seenSlack(100), missing("gateway-1")), []string{
			"warning observation_incomplete : What these gateways saw of the mission did not arrive in time: gateway-1",
		}},
		"reported fewer, and a gateway is missing": {with(seenSlack(18), missing("gateway-0", "gateway-1")), []string{
			"warning actions_mismatch : Agent reported 12 actions, but the gateways saw 18 calls",
			"warning observation_incomplete : What these gateways saw of the mission did not arrive in time: gateway-0, gateway-1",
		}},
		"one call refused":  {with(seen(1, nil)), []string{"warning denied_calls : Gateways refused 1 call for the service, the target or a constraint"}},
		"nine calls":        {with(seen(9, nil)), []string{"warning denied_calls : Gateways refused 9 calls for the service, the target or a constraint"}},
		"ten calls refused": {with(seen(10, nil)), []string{"critical denied_calls : Gateways refused 10 calls for the service, the target or a constraint"}},

		"a signal once": {with(signals(signal("checkpoint_burst", v1alpha1.SeverityWarning, 1, "too many"))), []string{
			"warning signal_raised : Signal checkpoint_burst was raised: too many",
		}},
		"signals, the worst first": {with(signals(signal("a", v1alpha1.SeverityInfo, 2, ""), signal("b", v1alpha1.SeverityCritical, 3, "bad"))), []string{
			"critical signal_raised : Signal b was raised 3 times: bad",
			"info signal_raised : Signal a was raised 2 times",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := ticket()
			for _, change := range tc.changes {
				change(&m)
			}
			verdict, flags := review.Judge(m, nil, review.DefaultThresholds())
			if diff := cmp.Diff(append([]string{}, tc.want...), told(flags)); diff != "" {
				t.Error(diff)
			}
			if want := verdictOf(tc.want); verdict != want {
				t.Errorf("verdict %s, want %s", verdict, want)
			}
		})
	}
}

func verdictOf(lines []string) v1alpha1.Verdict {
	severity, _, _ := strings.Cut(strings.Join(lines, ""), " ")
	switch severity {
	case "critical":
		return v1alpha1.VerdictBlocked
	case "warning":
		return v1alpha1.VerdictFlagged
	default:
		return v1alpha1.VerdictClean
	}
}

// Every threshold moves its detector.
func TestThresholdsAreObeyed(t *testing.T) {
	for name, tc := range map[string]struct {
		changes []change
		set     func(*review.Thresholds)
		flag    string
		without bool
	}{
		"durationOverrunInfoPercent":    {with(lasting(601)), func(t *review.Thresholds) { t.DurationOverrunInfoPercent = 101 }, review.DurationOverrun, true},
		"durationOverrunWarningPercent": {with(lasting(660)), func(t *review.Thresholds) { t.DurationOverrunWarningPercent = 109 }, "warning " + review.DurationOverrun, false},
		"anomalyMinMissions":            {with(baseline(5), actions(22)), func(t *review.Thresholds) { t.AnomalyMinMissions = 6 }, review.ActionVolumeAnomaly, true},
		"anomalySigmas":                 {with(baseline(5), actions(22)), func(t *review.Thresholds) { t.AnomalySigmas = 3.5 }, review.ActionVolumeAnomaly, true},
		"anomalySigmaFloorPercent":      {with(usualActions("100", "0"), actions(131)), func(t *review.Thresholds) { t.AnomalySigmaFloorPercent = 11 }, review.ActionVolumeAnomaly, true},
		"anomalySigmaFloorActions":      {with(baseline(5), actions(22)), func(t *review.Thresholds) { t.AnomalySigmaFloorActions = 4 }, review.ActionVolumeAnomaly, true},
		"actionsMismatchPercent":        {with(seenSlack(18)), func(t *review.Thresholds) { t.ActionsMismatchPercent = 34 }, review.ActionsMismatch, true},
		"actionsMismatchActions":        {with(seenSlack(18)), func(t *review.Thresholds) { t.ActionsMismatchActions = 6 }, review.ActionsMismatch, true},
		"deniedCallsWarning":            {with(seen(1, nil)), func(t *review.Thresholds) { t.DeniedCallsWarning = 2 }, review.DeniedCalls, true},
		"deniedCallsCritical":           {with(seen(9, nil)), func(t *review.Thresholds) { t.DeniedCallsCritical = 9 }, "critical " + review.DeniedCalls, false},
		"anomalySigmaFloorSeconds":      {with(usualSeconds("60", "0"), lasting(151)), func(t *review.Thresholds) { t.AnomalySigmaFloorSeconds = 31 }, review.DurationAnomaly, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := ticket()
			for _, change := range tc.changes {
				change(&m)
			}
			raised := func(thresholds review.Thresholds) bool {
				_, flags := review.Judge(m, nil, thresholds)
				return strings.Contains(strings.Join(told(flags), "\n"), tc.flag+" ")
			}
			thresholds := review.DefaultThresholds()
			if raised(thresholds) != tc.without {
				t.Fatalf("by default, %s is raised: %v", tc.flag, !tc.without)
			}
			tc.set(&thresholds)
			if raised(thresholds) == tc.without {
				t.Errorf("with the threshold, %s is raised: %v", tc.flag, tc.without)
			}
		})
	}
}

func TestEvidence(t *testing.T) {
	m := seasoned(ticket())
	m.Mode, m.LongestGap, m.Phase = v1alpha1.ModeLogged, 301*time.Second, v1alpha1.PhaseExpired
	m.End, m.Report.At = noon.Add(1000*time.Second), noon.Add(1001*time.Second)
	m.CheckpointActions, m.CheckpointServices = 23, services{"aws", "notion"}
	m.Report.Services = services{"notion"}
	m.Signals = []v1alpha1.Signal{signal("checkpoint_burst", v1alpha1.SeverityWarning, 2, "too many")}
	_, flags := review.Judge(m, nil, review.DefaultThresholds())

	want := map[string]string{
		"ungranted_service aws":     "reportedBy=checkpoints grantedServices=github, notion, slack",
		"undeclared_service notion": "reportedBy=checkpoints, checkout declaredServices=slack, github",
		"late_checkout ":            "phase=Expired endTime=2026-04-23T12:16:40Z checkoutTime=2026-04-23T12:16:41Z",
		"checkpoint_gap ":           "longestGapSeconds=301 checkpointIntervalSeconds=300 checkpoints=2",
		"actions_mismatch ":         "actionsReported=12 checkpointActions=23 checkpoints=2",
		"action_volume_anomaly ":    "actions=23 limit=21 mean=12 sigma=3 missions=5",
		"duration_overrun ":         "durationSeconds=1000 estimatedDurationSeconds=600 percent=166",
		"duration_anomaly ":         "durationSeconds=1000 limit=780 mean=600 sigma=60 missions=5",
		"signal_raised ":            "signal=checkpoint_burst count=2 firstTime=2026-04-23T12:00:00Z lastTime=2026-04-23T12:01:00Z",
		"novel_service aws":         "reportedBy=checkpoints missions=5",
		"novel_service notion":      "reportedBy=checkpoints, checkout missions=5",
		"unused_service github":     "servicesUsed=aws, notion",
		"unused_service slack":      "servicesUsed=aws, notion",
	}
	got := map[string]string{}
	for _, flag := range flags {
		var facts []string
		for _, fact := range flag.Evidence {
			facts = append(facts, fact.Name+"="+fact.Value)
		}
		got[flag.Type+" "+string(flag.Service)] = strings.Join(facts, " ")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	_, flags = review.Judge(abandoned(), nil, review.DefaultThresholds())
	facts := []v1alpha1.Evidence{
		{Name: "phase", Value: "Expired"},
		{Name: "endTime", Value: "2026-04-23T12:10:00Z"},
		{Name: "checkoutTime", Value: "2026-04-23T13:10:00Z"},
	}
	if diff := cmp.Diff(facts, flags[0].Evidence); diff != "" {
		t.Errorf("no_checkout: %s", diff)
	}
}

// A detector that fails is told of, and hides nothing.
func TestAFailingDetectorHidesNoOther(t *testing.T) {
	finds := func(kind string, severity v1alpha1.Severity, err error) review.Detector {
		return func(review.Mission, review.Thresholds) ([]review.Finding, error) {
			return []review.Finding{{Type: kind, Severity: severity, Message: "found"}}, err
		}
	}
	panics := func(m review.Mission, _ review.Thresholds) ([]review.Finding, error) {
		return []review.Finding{{Message: string(m.Intent.Services[99])}}, nil
	}
	verdict, flags := review.JudgeBy(ticket(), nil, review.DefaultThresholds(),
		review.Named{Name: "first", Look: finds("first", v1alpha1.SeverityInfo, nil)},
		review.Named{Name: "panics", Look: panics},
		review.Named{Name: "errs", Look: finds("errs", v1alpha1.SeverityInfo, errors.New("no idea"))},
		review.Named{Name: "last", Look: finds("last", v1alpha1.SeverityWarning, nil)},
	)
	want := []string{
		"warning detector_error : Detector panics failed, and may have missed something: panic: runtime error: index out of range [99] with length 2",
		"warning detector_error : Detector errs failed, and may have missed something: no idea",
		"warning last : found",
		"info first : found",
		"info errs : found",
	}
	if diff := cmp.Diff(want, told(flags)); diff != "" {
		t.Error(diff)
	}
	if verdict != v1alpha1.VerdictFlagged {
		t.Errorf("verdict %s", verdict)
	}
	if diff := cmp.Diff([]v1alpha1.Evidence{{Name: "detector", Value: "errs"}, {Name: "error", Value: "no idea"}}, flags[1].Evidence); diff != "" {
		t.Error(diff)
	}
}

func TestADamagedBaselineHidesNothing(t *testing.T) {
	m := seasoned(ticket())
	m.Baseline.Actions.Mean, m.Baseline.DurationSeconds.Variance = "NaN", ""
	m.Report.Services = services{"slack", "github", "notion"}
	_, flags := review.Judge(m, nil, review.DefaultThresholds())
	want := []string{
		"warning undeclared_service notion: Agent used notion but did not declare it in intent",
		`warning detector_error : Detector action_volume_anomaly failed, and may have missed something: baseline.actions: mean: "NaN" is not a decimal number`,
		`warning detector_error : Detector duration_anomaly failed, and may have missed something: baseline.durationSeconds: variance: "" is not a decimal number`,
		"info novel_service notion: Agent used notion for the first time in 6 missions",
	}
	if diff := cmp.Diff(want, told(flags)); diff != "" {
		t.Error(diff)
	}
}

// An exception counts at the time of the checkout, for its service, and for every detector.
func TestJudgeAccepts(t *testing.T) {
	m := ticket()
	m.Report.Services = services{"slack", "github", "notion", "aws"}
	at := m.Report.At
	for name, tc := range map[string]struct {
		exceptions []v1alpha1.StandingException
		verdict    v1alpha1.Verdict
		severities string
	}{
		"none":                           {nil, v1alpha1.VerdictBlocked, "critical aws, warning notion"},
		"of the critical one":            {[]v1alpha1.StandingException{exception(review.UngrantedService, "aws", at.Add(time.Second))}, v1alpha1.VerdictFlagged, "warning notion, info aws"},
		"that ends with the checkout":    {[]v1alpha1.StandingException{exception(review.UngrantedService, "aws", at)}, v1alpha1.VerdictBlocked, "critical aws, warning notion"},
		"of another service":             {[]v1alpha1.StandingException{exception(review.UngrantedService, "notion", at.Add(time.Second))}, v1alpha1.VerdictBlocked, "critical aws, warning notion"},
		"of both, in order of detectors": {[]v1alpha1.StandingException{exception(review.UndeclaredService, "", at.Add(time.Hour)), exception(review.UngrantedService, "", at.Add(time.Hour))}, v1alpha1.VerdictClean, "info aws, info notion"},
	} {
		t.Run(name, func(t *testing.T) {
			verdict, flags := review.Judge(m, tc.exceptions, review.DefaultThresholds())
			var got []string
			for _, flag := range flags {
				got = append(got, fmt.Sprintf("%s %s", flag.Severity, flag.Service))
				if accepted := strings.HasSuffix(flag.Message, ": migration"); accepted != (flag.Severity == v1alpha1.SeverityInfo) {
					t.Errorf("%s: %s", flag.Severity, flag.Message)
				}
			}
			if verdict != tc.verdict || strings.Join(got, ", ") != tc.severities {
				t.Errorf("%s: %v", verdict, got)
			}
		})
	}
}

func TestSummary(t *testing.T) {
	info, warning, critical := v1alpha1.SeverityInfo, v1alpha1.SeverityWarning, v1alpha1.SeverityCritical
	flag := func(kind string, severity v1alpha1.Severity) v1alpha1.Flag {
		return v1alpha1.Flag{Type: kind, Severity: severity}
	}
	for _, tc := range []struct {
		want  string
		flags []v1alpha1.Flag
	}{
		{"", nil},
		{"2 info", []v1alpha1.Flag{flag(review.NovelService, info), flag(review.UnusedService, info)}},
		{"ungranted_service, late_checkout, 1 info", []v1alpha1.Flag{
			flag(review.UngrantedService, critical), flag(review.UngrantedService, critical), flag(review.LateCheckout, warning), flag(review.UnusedService, info),
		}},
	} {
		if got := review.Summary(tc.flags); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}

func TestEscalates(t *testing.T) {
	info, warning, critical := v1alpha1.SeverityInfo, v1alpha1.SeverityWarning, v1alpha1.SeverityCritical
	block, notify := v1alpha1.EscalateBlock, v1alpha1.EscalateNotify
	for _, tc := range []struct {
		kind                  string
		severity              v1alpha1.Severity
		onWarning, onCritical v1alpha1.Escalation
		want                  bool
	}{
		{review.UndeclaredService, warning, notify, block, false},
		{review.UndeclaredService, warning, block, notify, true},
		{review.UngrantedService, critical, notify, block, true},
		{review.UngrantedService, critical, block, notify, false},
		{review.UngrantedService, critical, "", "", false},
		{review.NovelService, info, block, block, false},
		{review.SignalRaised, warning, block, block, false},
		{review.SignalRaised, critical, block, block, false},
		{review.DetectorError, warning, block, block, false},
	} {
		flags := []v1alpha1.Flag{{Type: review.NovelService, Severity: info}, {Type: tc.kind, Severity: tc.severity}}
		if got := review.Escalates(flags, v1alpha1.Accountability{OnWarning: tc.onWarning, OnCritical: tc.onCritical}); got != tc.want {
			t.Errorf("%s %s, onWarning %q, onCritical %q: %v", tc.severity, tc.kind, tc.onWarning, tc.onCritical, got)
		}
	}
	// What a signal has blocked for already is not blocked for again, unless a flag is worse.
	for _, tc := range []struct {
		signal, flag v1alpha1.Severity
		onWarning    v1alpha1.Escalation
		want         bool
	}{
		{critical, critical, block, false},
		{critical, warning, block, false},
		{warning, critical, block, true},
		{warning, critical, notify, true},
		{warning, warning, block, false},
		{info, warning, block, true},
	} {
		flags := []v1alpha1.Flag{{Type: review.SignalRaised, Severity: tc.signal}, {Type: review.UngrantedService, Severity: tc.flag}}
		if got := review.Escalates(flags, v1alpha1.Accountability{OnWarning: tc.onWarning, OnCritical: block}); got != tc.want {
			t.Errorf("a flag of severity %s beside a signal of severity %s, onWarning %q: %v", tc.flag, tc.signal, tc.onWarning, got)
		}
	}
	if review.Escalates(nil, v1alpha1.Accountability{OnWarning: block, OnCritical: block}) {
		t.Error("no flag blocks nobody")
	}
}

func TestFlagsAreBounded(t *testing.T) {
	finds := func(n int) review.Named {
		return review.Named{Name: "many", Look: func(review.Mission, review.Thresholds) ([]review.Finding, error) {
			found := make([]review.Finding, n)
			for i := range found {
				found[i] = review.Finding{Type: "many", Severity: v1alpha1.SeverityInfo, Message: strings.Repeat("m", 600)}
				for j := range 20 {
					found[i].Evidence = append(found[i].Evidence, v1alpha1.Evidence{Name: fmt.Sprint("fact", j)})
				}
			}
			found[n-1].Severity = v1alpha1.SeverityWarning
			return found, nil
		}}
	}
	_, flags := review.JudgeBy(ticket(), nil, review.DefaultThresholds(), finds(256))
	if len(flags) != 256 || flags[255].Type != "many" || len(flags[0].Evidence) != 16 || utf8.RuneCountInString(flags[0].Message) != 512 {
		t.Errorf("%d flags, the last %s", len(flags), flags[len(flags)-1].Type)
	}
	for found, omitted := range map[int]int{257: 2, 300: 45} {
		verdict, flags := review.JudgeBy(ticket(), nil, review.DefaultThresholds(), finds(found))
		if len(flags) != 256 || verdict != v1alpha1.VerdictFlagged || flags[0].Severity != v1alpha1.SeverityWarning {
			t.Fatalf("%d findings: %d flags, %s", found, len(flags), verdict)
		}
		want := fmt.Sprintf("info flags_omitted : %d more flags were left out; none is worse than this one", omitted)
		if got := told(flags)[255]; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

var (
	someServices = rapid.SliceOfN(rapid.StringMatching(`[a-e][a-c0-9._-]{0,61}[a-b]`), 0, 64)
	severities   = []v1alpha1.Severity{v1alpha1.SeverityInfo, v1alpha1.SeverityWarning, v1alpha1.SeverityCritical}
)

func drawServices(t *rapid.T, name string) services {
	var drawn services
	for _, service := range someServices.Draw(t, name) {
		drawn = append(drawn, v1alpha1.ServiceName(service))
	}
	return drawn
}

func drawMission(t *rapid.T) review.Mission {
	m := review.Mission{
		Mode:               rapid.SampledFrom([]v1alpha1.AccountabilityMode{v1alpha1.ModeEnforced, v1alpha1.ModeLogged}).Draw(t, "mode"),
		Granted:            drawServices(t, "granted"),
		Phase:              rapid.SampledFrom([]v1alpha1.Phase{v1alpha1.PhaseCheckedOut, v1alpha1.PhaseExpired, v1alpha1.PhaseRevoked}).Draw(t, "phase"),
		Issue:              noon,
		End:                noon.Add(time.Duration(rapid.IntRange(0, 2592000).Draw(t, "seconds")) * time.Second),
		Interval:           time.Duration(rapid.IntRange(60, 3600).Draw(t, "interval")) * time.Second,
		LongestGap:         time.Duration(rapid.IntRange(0, 7200).Draw(t, "gap")) * time.Second,
		CheckpointActions:  rapid.Int64Min(0).Draw(t, "checkpointActions"),
		CheckpointServices: append(drawServices(t, "checkpointed"), drawServices(t, "checkpointed later")...),
		Report: review.Report{
			Source:   rapid.SampledFrom([]v1alpha1.CheckoutSource{v1alpha1.SourceAgent, v1alpha1.SourceOperator}).Draw(t, "source"),
			At:       noon.Add(time.Hour),
			Services: drawServices(t, "reported"),
			Actions:  rapid.SampledFrom([]*int64{nil, ptr.To[int64](0), ptr.To[int64](1e9)}).Draw(t, "actions"),
		},
	}
	m.Intent = &v1alpha1.Intent{Services: drawServices(t, "declared"), EstimatedDurationSeconds: rapid.Int32Range(0, 2592000).Draw(t, "estimate")}
	for i := range rapid.IntRange(0, 32).Draw(t, "signals") {
		m.Signals = append(m.Signals, signal(fmt.Sprintf("signal_%d", i), rapid.SampledFrom(severities).Draw(t, "severity"),
			1, strings.Repeat("x", rapid.IntRange(0, 512).Draw(t, "message"))))
	}
	if rapid.Bool().Draw(t, "seasoned") {
		m = seasoned(m)
	}
	return m
}

// Whatever the mission, its flags fit into a Checkout, the worst first, and the verdict is the worst.
func TestJudgeFitsTheCheckout(t *testing.T) {
	order := map[v1alpha1.Severity]int{v1alpha1.SeverityCritical: 0, v1alpha1.SeverityWarning: 1, v1alpha1.SeverityInfo: 2}
	verdicts := []v1alpha1.Verdict{v1alpha1.VerdictBlocked, v1alpha1.VerdictFlagged, v1alpha1.VerdictClean}
	rapid.Check(t, func(t *rapid.T) {
		m := drawMission(t)
		verdict, flags := review.Judge(m, nil, review.DefaultThresholds())
		if len(flags) > 256 {
			t.Fatalf("%d flags", len(flags))
		}
		worst, last := v1alpha1.VerdictClean, 0
		for i, flag := range flags {
			if i == 0 {
				worst = verdicts[order[flag.Severity]]
			}
			if order[flag.Severity] < last {
				t.Fatalf("flag %d is worse than the one before", i)
			}
			last = order[flag.Severity]
			if flag.Type == review.DetectorError || flag.Message == "" || utf8.RuneCountInString(flag.Message) > 512 || len(flag.Evidence) > 16 {
				t.Fatalf("%+v", flag)
			}
			seen := map[string]bool{}
			for _, fact := range flag.Evidence {
				if fact.Name == "" || len(fact.Name) > 63 || seen[fact.Name] || utf8.RuneCountInString(fact.Value) > 256 {
					t.Fatalf("%+v", fact)
				}
				seen[fact.Name] = true
			}
		}
		if verdict != worst {
			t.Fatalf("verdict %s, the first flag says %s", verdict, worst)
		}
		again, same := review.Judge(m, nil, review.DefaultThresholds())
		if diff := cmp.Diff(flags, same); again != verdict || diff != "" {
			t.Fatalf("judged again: %s %s", again, diff)
		}
	})
}

func TestAbandoned(t *testing.T) {
	want := review.Finding{
		Type: review.AbandonedMission, Severity: v1alpha1.SeverityWarning, At: noon.Add(time.Hour),
		Message: "the passport expired at 2026-04-23T12:00:00Z, and its agent did not check out within 3600 s",
	}
	if diff := cmp.Diff(want, review.Abandoned(noon, time.Hour)); diff != "" {
		t.Error(diff)
	}
}
