package signals

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/review"
)

func standing(uid types.UID) *decision.Standing {
	return &decision.Standing{
		Namespace: "support", Name: "mission", UID: uid, Agent: "bot", AgentUID: "agent-uid", HasIntent: true, EndTime: after(-10),
	}
}

func tracker(t *testing.T, baseline *v1alpha1.Baseline) *Tracker {
	t.Helper()
	made, err := NewTracker(NewPending("gateway-0", Left{}), review.DefaultThresholds(), func(namespace, agent string, uid types.UID) *v1alpha1.Baseline {
		if namespace != "support" || agent != "bot" || uid != "agent-uid" {
			t.Errorf("asked for %s/%s %s", namespace, agent, uid)
		}
		return baseline
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (t *Tracker) told() []string {
	batch, _ := t.pending.take(after(1000), 1000)
	var told []string
	for _, s := range batch {
		told = append(told, fmt.Sprintf("%s %s %d: %s", s.Type, s.Service, s.Count, s.Message))
	}
	return told
}

func TestRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		seen Seen
		want []string
	}{
		"no passport":               {Seen{Code: decision.CodeOutsideScope, Service: "stripe"}, nil},
		"outside the scope":         {Seen{Standing: standing("1"), Code: decision.CodeOutsideScope, Service: "stripe"}, []string{`credential_outside_scope stripe 1: a call names "stripe", which is neither granted nor in the intent`}},
		"not granted, but declared": {Seen{Standing: standing("1"), Code: decision.CodeOutsideScope, Service: "stripe", Declared: true}, nil},
		"a constraint":              {Seen{Standing: standing("1"), Code: decision.CodeConstraint, Service: "slack"}, []string{`constraint_violation slack 1: a call to "slack" broke a constraint of its grant`}},
		"a foreign workload":        {Seen{Standing: standing("1"), Code: decision.CodeForeignCaller, Service: "slack"}, []string{"foreign_workload slack 1: somebody who may not use agent bot showed its token"}},
		"five seconds after":        {Seen{Standing: standing("1"), Code: decision.CodeCheckedOut, At: after(-5)}, nil},
		"a moment more":             {Seen{Standing: standing("1"), Code: decision.CodeCheckedOut, At: after(-4.999)}, []string{"use_after_checkout  1: the token was used at 2026-04-23T11:59:55Z; its mission checked out at 2026-04-23T11:59:50Z"}},
		"after the revocation":      {Seen{Standing: standing("1"), Code: decision.CodeRevoked, At: noon}, []string{"use_after_revocation  1: the token was used at 2026-04-23T12:00:00Z, when its passport was revoked"}},
		"after the expiry":          {Seen{Standing: standing("1"), Code: decision.CodeExpired, At: noon}, []string{"use_after_revocation  1: the token was used at 2026-04-23T12:00:00Z, when its passport was expired"}},
		"the gateway's own fault":   {Seen{Standing: standing("1"), Code: decision.CodeAuditUnavailable, Service: "slack"}, nil},
		"a target":                  {Seen{Standing: standing("1"), Code: decision.CodeForeignTarget, Service: "slack"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tracker := tracker(t, nil)
			tracker.Note(tc.seen)
			if diff := cmp.Diff(tc.want, tracker.told()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAllowedCalls(t *testing.T) {
	tracker := tracker(t, &v1alpha1.Baseline{
		Missions: 5, Actions: v1alpha1.Distribution{Mean: "10", Variance: "0"}, DurationSeconds: v1alpha1.Distribution{Mean: "600", Variance: "0"},
	})
	for i := range 40 {
		tracker.Note(Seen{
			Standing: standing("1"), Service: "slack", Declared: true, Credential: true, Allowed: true, Code: decision.Allowed,
			Method: "POST", Path: "/chat", At: after(float64(i)),
		})
	}
	tracker.Note(Seen{Standing: standing("2"), Service: "notion", Allowed: true, Method: "DELETE", Path: "/pages/7", At: noon})
	without := standing("3")
	without.HasIntent = false
	tracker.Note(Seen{Standing: without, Service: "notion", Allowed: true, Method: "DELETE", Path: "/pages/7", At: noon})
	want := []string{
		"credential_burst  2: more than 15 uses of credentials within 30 s",
		"call_rate_anomaly  1: 32 calls within a minute; up to 31.0 are usual",
		`scope_drift notion 1: a call to "notion" scores 0.85, all calls score 0.85, against the intent`,
	}
	if diff := cmp.Diff(want, tracker.told()); diff != "" {
		t.Error(diff)
	}
}

// Calls of one mission on many goroutines are all counted.
func TestManyAtOnce(t *testing.T) {
	tracker := tracker(t, nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 500 {
				tracker.Note(Seen{Standing: standing("1"), Service: "slack", Code: decision.CodeConstraint, At: noon})
				tracker.Note(Seen{Standing: standing("1"), Service: "slack", Declared: true, Allowed: true, Method: "GET", Path: "/", At: noon})
			}
		})
	}
	all.Wait()
	its, _ := tracker.missions.Get("1")
	batch, _ := tracker.pending.take(noon, 10)
	if its.pace.calls != 4000 || len(batch) != 1 || batch[0].Count != 4000 {
		t.Errorf("%d calls, %+v", its.pace.calls, batch)
	}
}

// An agent that names many services costs no more than a few reports, and none of a value of it is long.
func TestReportsOfOnePassportAreBounded(t *testing.T) {
	tracker := tracker(t, nil)
	for i := range 1000 {
		tracker.Note(Seen{
			Standing: standing("1"), Code: decision.CodeOutsideScope, At: noon,
			Service: v1alpha1.ServiceName(fmt.Sprint(i, "\n", strings.Repeat("x", 1000))),
		})
	}
	batch, _ := tracker.pending.take(noon, 1000)
	total := int32(0)
	for _, signal := range batch {
		total += signal.Count
		if len(signal.Service) > 63 || len(signal.Message) > 512 || strings.Contains(signal.Message, "\n") {
			t.Errorf("%+v", signal)
		}
	}
	if len(batch) > 17 || total != 1000 || batch[len(batch)-1].Service != "" {
		t.Errorf("%d reports of %d", len(batch), total)
	}
}
