package lifecycle

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/review"
)

func said(conditions []metav1.Condition, kind v1alpha1.ConditionType) string {
	for _, condition := range conditions {
		if condition.Type == string(kind) {
			return string(condition.Status) + " " + condition.Reason
		}
	}
	return ""
}

func reporting(services ...v1alpha1.ServiceName) changeCheckout {
	return func(c *v1alpha1.Checkout) { c.Spec.ServicesUsed = services }
}

// TestJudge has a mission that may use slack, and means to; its agent is granted github too.
func TestJudge(t *testing.T) {
	const (
		notify = v1alpha1.EscalateNotify
		block  = v1alpha1.EscalateBlock
	)
	granted := func(p *v1alpha1.Passport) {
		p.Status.Issued.Services = append(p.Status.Issued.Services, v1alpha1.IssuedService{Service: "github"})
	}
	raised := func(severity v1alpha1.Severity) changePassport {
		return func(p *v1alpha1.Passport) {
			p.Status.Signals = []v1alpha1.Signal{{Type: review.CheckpointBurst, Severity: severity, Count: 1, Message: "so many"}}
		}
	}
	undeclared, ungranted := reporting("slack", "github"), reporting("slack", "stripe")
	for name, tc := range map[string]struct {
		passport              []changePassport
		checkout              []changeCheckout
		onWarning, onCritical v1alpha1.Escalation
		agent                 []changeAgent
		gone                  bool

		verdict         v1alpha1.Verdict
		escalation      v1alpha1.Escalation
		ready, accepted string
	}{
		"nothing to say": {
			onWarning: block, onCritical: block,
			verdict: v1alpha1.VerdictClean, ready: "True Judged", accepted: "True Clean",
		},
		"information alone": {
			checkout: []changeCheckout{reporting()}, onWarning: block, onCritical: block,
			verdict: v1alpha1.VerdictClean, ready: "True Judged", accepted: "True Clean",
		},
		"a warning, told of": {
			passport: []changePassport{granted}, checkout: []changeCheckout{undeclared}, onWarning: notify, onCritical: block,
			verdict: v1alpha1.VerdictFlagged, ready: "True Judged", accepted: "Unknown AwaitingReview",
		},
		"a warning that blocks": {
			passport: []changePassport{granted}, checkout: []changeCheckout{undeclared}, onWarning: block, onCritical: notify,
			verdict: v1alpha1.VerdictFlagged, escalation: block, ready: "Unknown BlockingAgent", accepted: "Unknown AwaitingReview",
		},
		"a critical flag, told of": {
			checkout: []changeCheckout{ungranted}, onWarning: notify, onCritical: notify,
			verdict: v1alpha1.VerdictBlocked, ready: "True Judged", accepted: "Unknown AwaitingReview",
		},
		"a critical flag that blocks": {
			checkout: []changeCheckout{ungranted}, onWarning: notify, onCritical: block,
			verdict: v1alpha1.VerdictBlocked, escalation: block, ready: "Unknown BlockingAgent", accepted: "Unknown AwaitingReview",
		},
		"a critical flag where warnings alone block": {
			checkout: []changeCheckout{ungranted}, onWarning: block, onCritical: notify,
			verdict: v1alpha1.VerdictBlocked, ready: "True Judged", accepted: "Unknown AwaitingReview",
		},
		"a signal, which blocked when it was raised": {
			passport: []changePassport{raised(v1alpha1.SeverityWarning)}, onWarning: block, onCritical: block,
			verdict: v1alpha1.VerdictFlagged, ready: "True Judged", accepted: "Unknown AwaitingReview",
		},
		"a flag that is no worse than a signal that blocked": {
			passport: []changePassport{granted, raised(v1alpha1.SeverityWarning)}, checkout: []changeCheckout{undeclared}, onWarning: block, onCritical: block,
			verdict: v1alpha1.VerdictFlagged, ready: "True Judged", accepted: "Unknown AwaitingReview",
		},
		"a flag that is worse than a signal that blocked": {
			passport: []changePassport{raised(v1alpha1.SeverityWarning)}, checkout: []changeCheckout{ungranted}, onWarning: block, onCritical: block,
			verdict: v1alpha1.VerdictBlocked, escalation: block, ready: "Unknown BlockingAgent", accepted: "Unknown AwaitingReview",
		},
		"a flag beside a signal that blocked nobody": {
			passport: []changePassport{granted, raised(v1alpha1.SeverityInfo)}, checkout: []changeCheckout{undeclared}, onWarning: block, onCritical: block,
			verdict: v1alpha1.VerdictFlagged, escalation: block, ready: "Unknown BlockingAgent", accepted: "Unknown AwaitingReview",
		},
		"a standing exception": {
			passport: []changePassport{granted}, checkout: []changeCheckout{undeclared}, onWarning: block, onCritical: block,
			agent: []changeAgent{func(a *v1alpha1.AgentPassport) {
				a.Spec.Accountability.Accept = []v1alpha1.StandingException{{Type: review.UndeclaredService, Until: metaAfter(51), Reason: "known"}}
			}},
			verdict: v1alpha1.VerdictClean, ready: "True Judged", accepted: "True Clean",
		},
		"a standing exception until the second of the checkout": {
			passport: []changePassport{granted}, checkout: []changeCheckout{undeclared}, onWarning: notify, onCritical: block,
			agent: []changeAgent{func(a *v1alpha1.AgentPassport) {
				a.Spec.Accountability.Accept = []v1alpha1.StandingException{{Type: review.UndeclaredService, Until: metaAfter(50), Reason: "known"}}
			}},
			verdict: v1alpha1.VerdictFlagged, ready: "True Judged", accepted: "Unknown AwaitingReview",
		},
		"no agent to block": {
			checkout: []changeCheckout{ungranted}, gone: true,
			verdict: v1alpha1.VerdictBlocked, ready: "True Judged", accepted: "Unknown AwaitingReview",
		},
		"another agent of the name": {
			checkout: []changeCheckout{ungranted}, onWarning: block, onCritical: block,
			agent:   []changeAgent{func(a *v1alpha1.AgentPassport) { a.UID = "another" }},
			verdict: v1alpha1.VerdictBlocked, ready: "True Judged", accepted: "Unknown AwaitingReview",
		},
		"late": {
			passport: []changePassport{func(p *v1alpha1.Passport) { p.Status.Phase = v1alpha1.PhaseExpired }}, onWarning: block,
			verdict: v1alpha1.VerdictFlagged, escalation: block, ready: "Unknown BlockingAgent", accepted: "Unknown AwaitingReview",
		},
		"by the operator": {
			passport: []changePassport{func(p *v1alpha1.Passport) { p.Status.Phase = v1alpha1.PhaseRevoked }}, checkout: []changeCheckout{byTheOperator("passport-uid")}, onWarning: notify,
			verdict: v1alpha1.VerdictFlagged, ready: "True Judged", accepted: "Unknown AwaitingReview",
		},
	} {
		t.Run(name, func(t *testing.T) {
			passport, made := over(v1alpha1.PhaseCheckedOut, 50, tc.passport...), checkout(50, "a", tc.checkout...)
			its := agent(append(tc.agent, func(a *v1alpha1.AgentPassport) {
				a.Spec.Accountability.OnWarning, a.Spec.Accountability.OnCritical = tc.onWarning, tc.onCritical
			})...)
			if tc.gone {
				its = nil
			}
			before := []any{passport.DeepCopy(), made.DeepCopy(), its.DeepCopy()}
			status := Judge(passport, &made, its, nil, review.DefaultThresholds(), after(60).Add(time.Millisecond))
			if diff := cmp.Diff(before, []any{passport, &made, its}); diff != "" {
				t.Errorf("what was given changed: %s", diff)
			}
			ready, accepted := said(status.Conditions, v1alpha1.ConditionReady), said(status.Conditions, v1alpha1.ConditionAccepted)
			if status.Verdict != tc.verdict || status.Escalation != tc.escalation || ready != tc.ready || accepted != tc.accepted {
				t.Errorf("%s, escalation %q, Ready %s, Accepted %s; flags %+v", status.Verdict, status.Escalation, ready, accepted, status.Flags)
			}
			if !status.JudgedTime.Time.Equal(after(60)) || (tc.verdict == v1alpha1.VerdictClean) != (status.DecidedTime != nil) {
				t.Errorf("judged %v, decided %v", status.JudgedTime, status.DecidedTime)
			}
			if status.DecidedTime != nil && !status.DecidedTime.Time.Equal(after(60)) {
				t.Errorf("decided %v", status.DecidedTime)
			}
			if status.PassportUID != "passport-uid" || status.JTI != "pp_1" || status.SessionID != "ses_1" || status.ObservedGeneration != 1 {
				t.Errorf("%+v", status)
			}
			if made.Status = status; !Judged(&made) || WasRefused(&made) || Decided(&made) != (tc.verdict == v1alpha1.VerdictClean) {
				t.Errorf("%+v", status)
			}
		})
	}
}

// A reader has the mission's passport and checkpoints no longer.
func TestJudgeKeepsWhatItWentBy(t *testing.T) {
	passport := over(v1alpha1.PhaseRevoked, 250, func(p *v1alpha1.Passport) {
		p.Spec.RequestedBy, p.Spec.TTLSecondsAfterFinished = &v1alpha1.Actor{Username: "ann"}, ptr.To(int32(60))
		p.Status.Checkpoints, p.Status.Actions, p.Status.LongestGapSeconds = ptr.To(int32(2)), 30, 200
		p.Status.ServicesUsed, p.Status.Submitters = []v1alpha1.ServiceName{"slack", "stripe"}, []string{"bot", "pipeline"}
		p.Status.Signals = []v1alpha1.Signal{{Type: review.CredentialOutsideScope, Severity: v1alpha1.SeverityCritical, Count: 1, Message: "odd"}}
	})
	its := agent(func(a *v1alpha1.AgentPassport) {
		a.Status.Baseline = &v1alpha1.Baseline{
			Missions: 7, Actions: v1alpha1.Distribution{Mean: "20", Variance: "25"}, DurationSeconds: v1alpha1.Distribution{Mean: "300", Variance: "1"},
		}
	})
	made := checkout(260, "a", reporting("notion"), func(c *v1alpha1.Checkout) {
		c.Spec.ActionsCount, c.Spec.SubmittedBy = ptr.To(int64(40)), &v1alpha1.Actor{Username: "carol"}
	})
	want := &v1alpha1.MissionRecord{
		AgentUID: "agent-uid", Mode: v1alpha1.ModeEnforced, Intent: passport.Spec.Intent, GrantedServices: []v1alpha1.ServiceName{"slack"},
		Phase: v1alpha1.PhaseRevoked, Reason: "Revoked", Message: "it is over", IssueTime: &metav1.Time{Time: noon}, EndTime: &metav1.Time{Time: after(250)},
		DurationSeconds: 250, CheckpointIntervalSeconds: 300, LongestGapSeconds: 200, Checkpoints: 2, CheckpointActions: 30, Actions: 40,
		ServicesUsed: []v1alpha1.ServiceName{"notion", "slack", "stripe"}, Signals: passport.Status.Signals, RequestedBy: passport.Spec.RequestedBy,
		Submitters: []string{"bot", "carol", "pipeline"}, TTLSecondsAfterFinished: ptr.To(int32(60)),
		Baseline: &v1alpha1.BaselineSnapshot{Missions: 7, Actions: its.Status.Baseline.Actions, DurationSeconds: its.Status.Baseline.DurationSeconds},
	}
	judged := func(change ...changeCheckout) *v1alpha1.MissionRecord {
		changed := made.DeepCopy()
		for _, change := range change {
			change(changed)
		}
		return Judge(passport, changed, its, nil, review.DefaultThresholds(), after(270)).Mission
	}
	if diff := cmp.Diff(want, judged()); diff != "" {
		t.Error(diff)
	}
	// Without a total, the checkpoints' sum counts; the operator, which checks out for others, is no submitter.
	want.Actions, want.Submitters, want.ServicesUsed = 30, []string{"bot", "pipeline"}, []v1alpha1.ServiceName{"slack", "stripe"}
	if diff := cmp.Diff(want, judged(byTheOperator("passport-uid"), reporting(), func(c *v1alpha1.Checkout) { c.Spec.ActionsCount = nil })); diff != "" {
		t.Error(diff)
	}
	passport.Status.Submitters = nil
	for i := range 32 {
		passport.Status.Submitters = append(passport.Status.Submitters, fmt.Sprintf("u%02d", i))
	}
	if got := judged().Submitters; !cmp.Equal(got, passport.Status.Submitters) {
		t.Errorf("%v", got)
	}
}

func TestJudgeTellsAReviewerWhatToDo(t *testing.T) {
	made := checkout(50, "a", reporting("slack", "stripe"))
	for escalation, want := range map[v1alpha1.Escalation][]string{
		v1alpha1.EscalateNotify: {"Blocked for ", "ungranted_service", "checkout-a -n support", `"decision":"Approved"`, "to block agent bot"},
		v1alpha1.EscalateBlock:  {"blocked by AgentBlock " + blockName("bot", "a", "flags"), `"Approved" lifts the block`, "to keep it blocked"},
	} {
		its := agent(func(a *v1alpha1.AgentPassport) { a.Spec.Accountability.OnCritical = escalation })
		status := Judge(over(v1alpha1.PhaseCheckedOut, 50), &made, its, nil, review.DefaultThresholds(), after(60))
		for _, condition := range status.Conditions {
			for _, words := range want {
				if condition.Type == string(v1alpha1.ConditionAccepted) && !strings.Contains(condition.Message, words) {
					t.Errorf("%s: %q lacks %q", escalation, condition.Message, words)
				}
			}
		}
	}
}
