package lifecycle

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit/wire"
	"agentpassport.dev/operator/internal/review"
)

// seen is a report of gateway-0, of what it saw from so many seconds after noon on.
func seen(sequence int64, kind string, first, last int, with ...func(*Report)) Report {
	made := Report{
		Gateway: "gateway-0", Sequence: sequence, Type: kind, Service: "notion", Message: fmt.Sprint("seen until ", last),
		First: after(first), Last: after(last), Count: 1,
	}
	for _, change := range with {
		change(&made)
	}
	return made
}

func by(gateway string) func(*Report) { return func(r *Report) { r.Gateway = gateway } }

func times(n int32) func(*Report) { return func(r *Report) { r.Count = n } }

func observed(sequence int64) []v1alpha1.ObserverSequence {
	return []v1alpha1.ObserverSequence{{Gateway: "gateway-0", Sequence: sequence}}
}

// What a gateway says twice counts once, whatever else it says.
func TestAReportCountsOnce(t *testing.T) {
	passport := active(leash(v1alpha1.ModeEnforced, 900, 300, 86400))
	first := seen(7, "constraint_violation", 10, 20, times(3))
	second := seen(9, "constraint_violation", 5, 15, times(2))
	for range 2 {
		got := Advance(Situation{Passport: passport, Agent: agent(), Now: after(30), Reports: []Report{first, first, second}})
		want := []v1alpha1.Signal{{
			Type: "constraint_violation", Severity: v1alpha1.SeverityWarning, Message: "seen until 20",
			FirstTime: metaAfter(5), LastTime: metaAfter(20), Count: 5,
		}}
		if diff := cmp.Diff(want, got.Status.Signals); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(observed(9), got.Status.Observers); diff != "" {
			t.Error(diff)
		}
		passport.Status = got.Status
	}
}

func TestReportsThatRevoke(t *testing.T) {
	for name, tc := range map[string]struct {
		mode    v1alpha1.AccountabilityMode
		reports []Report
		accept  string
		phase   v1alpha1.Phase
		end     int
	}{
		"scope_drift, Enforced":         {mode: "Enforced", reports: []Report{seen(1, "scope_drift", 10, 10)}, phase: "Revoked", end: 10},
		"scope_drift, Logged":           {mode: "Logged", reports: []Report{seen(1, "scope_drift", 10, 10)}, phase: "Active"},
		"scope_drift, Standard":         {mode: "Standard", reports: []Report{seen(1, "scope_drift", 10, 10)}, phase: "Active"},
		"scope_drift, accepted":         {mode: "Enforced", reports: []Report{seen(1, "scope_drift", 10, 10)}, accept: "scope_drift", phase: "Active"},
		"the earliest of two":           {mode: "Enforced", reports: []Report{seen(1, "foreign_workload", 20, 20), seen(1, "scope_drift", 12, 30, by("gateway-1"))}, phase: "Revoked", end: 12},
		"before the issue":              {mode: "Enforced", reports: []Report{seen(1, "foreign_workload", -20, 20)}, phase: "Revoked", end: 0},
		"by a clock that is ahead":      {mode: "Enforced", reports: []Report{seen(1, "foreign_workload", 200, 200)}, phase: "Revoked", end: 100},
		"a constraint_violation":        {mode: "Enforced", reports: []Report{seen(1, "constraint_violation", 10, 10)}, phase: "Active"},
		"what the operator finds alone": {mode: "Enforced", reports: []Report{seen(1, "checkpoint_silence", 10, 10)}, phase: "Active"},
	} {
		t.Run(name, func(t *testing.T) {
			its := agent(func(a *v1alpha1.AgentPassport) {
				if tc.accept != "" {
					a.Spec.Accountability.Accept = []v1alpha1.StandingException{{Type: tc.accept, Until: metaAfter(1000), Reason: "known"}}
				}
			})
			passport := active(leash(tc.mode, 900, 300, 86400))
			got := Advance(Situation{Passport: passport, Agent: its, Now: after(100), ListedAt: after(100), Reports: tc.reports})
			if got.Status.Phase != tc.phase || got.Status.Phase.Finished() && !got.Status.EndTime.Time.Equal(after(tc.end)) {
				t.Errorf("%s at %v, want %s at %v", got.Status.Phase, got.Status.EndTime, tc.phase, after(tc.end))
			}
			if len(got.Status.Observers) == 0 {
				t.Error("nobody is noted")
			}
		})
	}
}

// A passport drifts once, whoever sees it, and however often.
func TestADriftIsRaisedOnce(t *testing.T) {
	passport := active(leash(v1alpha1.ModeLogged, 900, 300, 86400))
	for round := range 2 {
		sequence := int64(round + 1)
		got := Advance(Situation{Passport: passport, Agent: agent(), Now: after(30), Reports: []Report{
			seen(sequence, "scope_drift", 10, 10, times(2)), seen(sequence, "scope_drift", 12, 12, by("gateway-1")),
		}})
		passport.Status = got.Status
	}
	if len(passport.Status.Signals) != 1 || passport.Status.Signals[0].Count != 2 || len(passport.Status.Observers) != 2 {
		t.Errorf("%+v, %v", passport.Status.Signals, passport.Status.Observers)
	}
}

// What comes when the mission is over is noted, and may block the agent. The end stays as it is.
func TestAReportAfterTheEnd(t *testing.T) {
	passport := over(v1alpha1.PhaseCheckedOut, 50)
	got := Advance(Situation{Passport: passport, Agent: agent(), Now: after(100), Reports: []Report{
		seen(1, "use_after_checkout", 60, 60), seen(2, "scope_drift", 40, 40),
	}})
	if len(got.Blocks) != 1 || got.Blocks[0].Name != blockName("bot", passport.UID, "use_after_checkout") {
		t.Errorf("blocks: %+v", got.Blocks)
	}
	same := cmpopts.IgnoreFields(v1alpha1.PassportStatus{}, "Signals", "Observers")
	if diff := cmp.Diff(passport.Status, got.Status, same); diff != "" {
		t.Errorf("the end changed: %s", diff)
	}
	if len(got.Status.Signals) != 2 || got.Status.Observers[0].Sequence != 2 {
		t.Errorf("%+v %+v", got.Status.Signals, got.Status.Observers)
	}
	rejected := requested()
	rejected.Status.Phase, rejected.Status.EndTime = v1alpha1.PhaseRejected, second(after(1))
	if got := Advance(Situation{Passport: rejected, Now: after(100), Reports: []Report{seen(1, "scope_drift", 1, 1)}}); len(got.Status.Signals) > 0 {
		t.Errorf("%+v of a passport that was never issued", got.Status.Signals)
	}
}

// A block that a report brought before a crash waits for the gateway to say it again, for a minute. The
// end is the same as without the crash; where nobody says it, the block ends the passport.
func TestABlockOfAReportWaitsForItsFinding(t *testing.T) {
	strict := agent(func(a *v1alpha1.AgentPassport) { a.Spec.Accountability.OnWarning = v1alpha1.EscalateBlock })
	for name, tc := range map[string]struct {
		mode    v1alpha1.AccountabilityMode
		now     int
		reports []Report
		reason  v1alpha1.Reason
		end     int
	}{
		"not said again yet":               {mode: "Logged", now: 70, reason: v1alpha1.ReasonIssued},
		"not said for a minute":            {mode: "Logged", now: 71, reason: v1alpha1.ReasonAgentBlocked, end: 11},
		"said again":                       {mode: "Logged", now: 20, reports: []Report{seen(1, "scope_drift", 10, 10)}, reason: v1alpha1.ReasonAgentBlocked, end: 11},
		"said again, and it revokes":       {mode: "Enforced", now: 20, reports: []Report{seen(1, "scope_drift", 10, 10)}, reason: v1alpha1.ReasonSignalRaised, end: 10},
		"said again late, and it revokes":  {mode: "Enforced", now: 90, reports: []Report{seen(1, "scope_drift", 11, 11)}, reason: v1alpha1.ReasonSignalRaised, end: 11},
		"another is said, so it waits yet": {mode: "Logged", now: 20, reports: []Report{seen(1, "odd", 10, 10)}, reason: v1alpha1.ReasonIssued},
	} {
		t.Run(name, func(t *testing.T) {
			passport := active(leash(tc.mode, 900, 300, 86400))
			made := blockFor(passport, "scope_drift", "seen")
			made.CreationTimestamp = metaAfter(11)
			got := Advance(Situation{
				Passport: passport, Agent: strict, Blocks: []v1alpha1.AgentBlock{made}, Now: after(tc.now), ListedAt: after(tc.now), Reports: tc.reports,
			})
			if reason := v1alpha1.Reason(readyOf(got.Status.Conditions).Reason); reason != tc.reason {
				t.Fatalf("%s, want %s", reason, tc.reason)
			}
			if tc.reason == v1alpha1.ReasonIssued {
				if !got.Wake.Equal(after(71)) {
					t.Errorf("wakes at %v", got.Wake)
				}
			} else if !got.Status.EndTime.Time.Equal(after(tc.end)) {
				t.Errorf("ended at %v", got.Status.EndTime)
			}
		})
	}
}

func TestObserversAreBounded(t *testing.T) {
	passport := active(leash(v1alpha1.ModeLogged, 900, 300, 86400))
	var reports []Report
	for i := range 70 {
		reports = append(reports, seen(int64(1000-i), "credential_burst", i%10, 10, by(fmt.Sprintf("gateway-%02d", i))))
	}
	got := Advance(Situation{Passport: passport, Agent: agent(), Now: after(30), Reports: reports})
	if n := len(got.Status.Observers); n != 64 || got.Status.Observers[63].Gateway != "gateway-63" || got.Status.Signals[0].Count != 70 {
		t.Errorf("%d observers, the last %v; %+v", n, got.Status.Observers[n-1], got.Status.Signals)
	}
	if got := more(1<<31-2, 5); got != 1<<31-1 {
		t.Errorf("a count of %d", got)
	}
}

func TestObserved(t *testing.T) {
	got := Observed(wire.Calls{JTI: "pp_1", Services: map[string]wire.ServiceCalls{
		"slack":  {Sent: 7, Refused: map[string]int64{"method_not_allowed": 2, "constraint_violation": 1, "audit_unavailable": 9, "upstream_failed": 4}},
		"github": {Sent: 3},
		"stripe": {Refused: map[string]int64{"credential_outside_scope": 5}},
	}}, []string{"gateway-2", "gateway-0", "gateway-2"})
	want := &v1alpha1.ObservedCalls{
		Calls: 10, Denied: 8, Missing: []string{"gateway-0", "gateway-2"},
		Services: []v1alpha1.ObservedService{{Service: "github", Calls: 3}, {Service: "slack", Calls: 7, Denied: 3}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A verdict goes by what was raised before it, but for what is held against the agent alone, and keeps a
// copy of what gateways saw. The services that they saw feed the baseline.
func TestJudgeByWhatGatewaysSaw(t *testing.T) {
	passport, made := over(v1alpha1.PhaseCheckedOut, 50), checkout(50, "a", func(c *v1alpha1.Checkout) { c.Spec.ServicesUsed = []v1alpha1.ServiceName{"slack"} })
	passport.Status.Signals = []v1alpha1.Signal{
		{Type: review.UseAfterCheckout, Severity: v1alpha1.SeverityCritical, Count: 1, FirstTime: metav1.NewTime(after(60)), LastTime: metav1.NewTime(after(60))},
	}
	saw := &v1alpha1.ObservedCalls{Calls: 2, Services: []v1alpha1.ObservedService{{Service: "slack", Calls: 1}, {Service: "zendesk", Calls: 1}}}
	status := Judge(passport, &made, agent(), nil, review.DefaultThresholds(), after(60).Add(time.Millisecond))
	if status.Verdict != v1alpha1.VerdictClean || len(status.Mission.Signals) > 0 || status.Mission.Observed != nil {
		t.Errorf("%s %v %+v", status.Verdict, status.Flags, status.Mission)
	}
	status = Judge(passport, &made, agent(), saw, review.DefaultThresholds(), after(60))
	if status.Verdict != v1alpha1.VerdictBlocked || status.FlagSummary != "ungranted_service, unreported_service" {
		t.Errorf("%s: %s", status.Verdict, status.FlagSummary)
	}
	saw.Calls = 99
	if status.Mission.Observed.Calls != 2 {
		t.Error("the record is no copy")
	}
	if diff := cmp.Diff([]v1alpha1.ServiceName{"slack", "slack", "zendesk"}, usedServices(status.Mission)); diff != "" {
		t.Error(diff)
	}
}
