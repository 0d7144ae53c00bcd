package lifecycle

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
)

var authority = Authority{
	Issuer: "https://passports.example.org", GatewayAudience: "gateway",
	Subject: func(namespace, agent string) string {
		return "spiffe://example.org/ns/" + namespace + "/agent/" + agent
	},
}

type (
	changePassport = func(*v1alpha1.Passport)
	changeAgent    = func(*v1alpha1.AgentPassport)
)

// What is wrong with a passport, in the order in which the rules are asked: each row is rejected
// for its own reason where all that follow are wrong too.
func TestDecide(t *testing.T) {
	wrongs := []struct {
		name     string
		passport changePassport
		agent    changeAgent
		missing  bool
		blocks   []v1alpha1.AgentBlock
		now      int

		verdict Verdict
		reason  v1alpha1.Reason
		message string
	}{
		{
			name:     "revoked before it began",
			passport: func(p *v1alpha1.Passport) { p.Spec.Revocation = &v1alpha1.Revocation{Reason: "typo"} },
			verdict:  VerdictReject, reason: v1alpha1.ReasonRevokedByRequest, message: "revoked before it was issued: typo",
		},
		{
			name: "too late", now: 541,
			verdict: VerdictReject, reason: v1alpha1.ReasonNotIssuedInTime, message: "not issued within 600 s of its creation",
		},
		{
			name: "no agent", missing: true,
			verdict: VerdictWait, reason: v1alpha1.ReasonAgentNotFound, message: "AgentPassport bot does not exist in namespace support: apply it, or create a Passport with another agentRef",
		},
		{
			name:    "an agent that is being deleted",
			agent:   func(a *v1alpha1.AgentPassport) { a.DeletionTimestamp = &metav1.Time{Time: noon} },
			verdict: VerdictWait, reason: v1alpha1.ReasonAgentNotFound, message: "AgentPassport bot does not exist in namespace support: apply it, or create a Passport with another agentRef",
		},
		{
			name:    "suspended",
			agent:   func(a *v1alpha1.AgentPassport) { a.Spec.Suspend = true },
			verdict: VerdictReject, reason: v1alpha1.ReasonPassportBlocked,
			message: "agent bot is suspended: set spec.suspend of its AgentPassport to false, then create another Passport",
		},
		{
			name: "blocked", blocks: []v1alpha1.AgentBlock{block(-1, "newer", "bot"), block(-2, "stop", "")},
			verdict: VerdictReject, reason: v1alpha1.ReasonPassportBlocked,
			message: "agent bot is blocked by AgentBlock stop (odd): a responder lifts it by kubectl patch agentblocks.agentpassport.dev stop -n support --type=merge" +
				` -p '{"spec":{"lifted":{"reason":"..."}}}'; then create another Passport`,
		},
		{
			name:     "no intent",
			passport: func(p *v1alpha1.Passport) { p.Spec.Intent = nil },
			verdict:  VerdictReject, reason: v1alpha1.ReasonAccountabilityRequired,
			message: "agent bot is Enforced, so a Passport has to declare spec.intent.summary and spec.intent.services",
		},
		{
			name:     "over the agent's lifetime",
			passport: func(p *v1alpha1.Passport) { p.Spec.ActiveDeadlineSeconds = 86401 },
			verdict:  VerdictReject, reason: v1alpha1.ReasonLifetimeExceeded,
			message: "activeDeadlineSeconds is 86401, over the 86400 s of maxLifetimeSeconds of agent bot",
		},
		{
			name: "a scope beyond the grant",
			passport: func(p *v1alpha1.Passport) {
				p.Spec.Services = append(p.Spec.Services, v1alpha1.ServiceGrant{Service: "github", Scopes: []v1alpha1.Scope{"admin"}})
			},
			verdict: VerdictReject, reason: v1alpha1.ReasonScopeEscalation,
			message: "spec.services: the grant for github does not hold the scope admin; agent bot",
		},
		{
			name: "a service beyond the grants",
			passport: func(p *v1alpha1.Passport) {
				p.Spec.Services = append(p.Spec.Services, v1alpha1.ServiceGrant{Service: "stripe"})
			},
			verdict: VerdictReject, reason: v1alpha1.ReasonServiceNotGranted,
			message: "spec.services: the agent has no grant for stripe; agent bot",
		},
	}
	for i, first := range wrongs {
		for _, all := range []bool{false, true} {
			name := first.name + ", alone"
			if all {
				name = first.name + ", with all that follows"
			}
			t.Run(name, func(t *testing.T) {
				passport, its, now := requested(), agent(), noon
				var blocks []v1alpha1.AgentBlock
				for _, wrong := range wrongs[i:] {
					if wrong.passport != nil {
						wrong.passport(passport)
					}
					if wrong.agent != nil {
						wrong.agent(its)
					}
					blocks = append(blocks, wrong.blocks...)
					if wrong.now != 0 {
						now = after(wrong.now)
					}
					if !all {
						break
					}
				}
				if first.missing {
					its = nil
				}
				got := Decide(passport, its, Rules{Blocks: blocks}, authority, now)
				want := Decision{Verdict: first.verdict, Reason: first.reason, Message: first.message}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestDecideOnAnIntent(t *testing.T) {
	intent := func(summary string, services ...v1alpha1.ServiceName) *v1alpha1.Intent {
		return &v1alpha1.Intent{Summary: summary, Services: services}
	}
	for name, tc := range map[string]struct {
		mode    v1alpha1.AccountabilityMode
		intent  *v1alpha1.Intent
		asked   []v1alpha1.ServiceGrant
		reason  v1alpha1.Reason
		message string
	}{
		"Enforced, none":            {v1alpha1.ModeEnforced, nil, nil, v1alpha1.ReasonAccountabilityRequired, "declare spec.intent.summary and spec.intent.services"},
		"Logged, none":              {v1alpha1.ModeLogged, nil, nil, v1alpha1.ReasonAccountabilityRequired, "agent bot is Logged, so"},
		"Logged, empty":             {v1alpha1.ModeLogged, intent(""), nil, v1alpha1.ReasonAccountabilityRequired, "spec.intent.summary and spec.intent.services"},
		"Enforced, a blank summary": {v1alpha1.ModeEnforced, intent(" \t\n", "slack"), nil, v1alpha1.ReasonAccountabilityRequired, "declare spec.intent.summary"},
		"Enforced, no services":     {v1alpha1.ModeEnforced, intent("x"), nil, v1alpha1.ReasonAccountabilityRequired, "declare spec.intent.services"},
		"Standard, none":            {v1alpha1.ModeStandard, nil, nil, "", ""},
		"Standard, empty":           {v1alpha1.ModeStandard, intent(""), nil, "", ""},
		"Enforced, granted":         {v1alpha1.ModeEnforced, intent("x", "github", "slack"), nil, "", ""},
		"Enforced, not granted": {
			v1alpha1.ModeEnforced, intent("x", "stripe", "slack", "aws"), nil, v1alpha1.ReasonServiceNotGranted,
			"spec.intent.services names stripe, aws, and the passport would carry github, slack: grant it in spec.grants of AgentPassport bot, or leave it out",
		},
		"Enforced, narrowed away": {
			v1alpha1.ModeEnforced, intent("x", "slack"),
			[]v1alpha1.ServiceGrant{{Service: "github"}},
			v1alpha1.ReasonServiceNotGranted,
			"spec.intent.services names slack, and the passport would carry github:",
		},
		"Standard, not granted": {v1alpha1.ModeStandard, intent("x", "stripe"), nil, v1alpha1.ReasonServiceNotGranted, "names stripe"},
	} {
		t.Run(name, func(t *testing.T) {
			passport := requested(func(p *v1alpha1.Passport) { p.Spec.Intent, p.Spec.Services = tc.intent, tc.asked })
			its := agent(func(a *v1alpha1.AgentPassport) { a.Spec.Accountability.Mode = tc.mode })
			got := Decide(passport, its, Rules{}, authority, noon)
			if got.Reason != tc.reason || !strings.Contains(got.Message, tc.message) || (got.Verdict == VerdictIssue) != (tc.reason == "") {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestDecideAtTheIssueDeadline(t *testing.T) {
	for name, tc := range map[string]struct {
		now  time.Time
		want Verdict
	}{
		"a second before":      {after(539), VerdictIssue},
		"at it":                {after(540), VerdictIssue},
		"a millisecond after":  {after(540).Add(time.Millisecond), VerdictReject},
		"before its own birth": {after(-61), VerdictIssue}, // a clock that is estimated may be a little behind
	} {
		t.Run(name, func(t *testing.T) {
			if got := Decide(requested(), agent(), Rules{}, authority, tc.now); got.Verdict != tc.want {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestDecideRepeatsWhatWasWaitedFor(t *testing.T) {
	passport := requested()
	passport.Status = Pending(passport, Decide(passport, nil, Rules{}, authority, noon), noon)
	got := Decide(passport, nil, Rules{}, authority, after(3600))
	want := "not issued within 600 s of its creation; it waited for: AgentPassport bot does not exist in namespace support: apply it, or create a Passport with another agentRef"
	if got.Reason != v1alpha1.ReasonNotIssuedInTime || got.Message != want {
		t.Errorf("%+v", got)
	}
}

func TestDecideIgnoresBlocksThatAreLiftedOrForOthers(t *testing.T) {
	blocks := []v1alpha1.AgentBlock{block(-1, "lifted", "bot", lifted), block(-1, "other", "other-bot"), block(-1, "all", "", lifted)}
	if got := Decide(requested(), agent(), Rules{Blocks: blocks}, authority, noon); got.Verdict != VerdictIssue {
		t.Errorf("%+v", got)
	}
}

func TestTerms(t *testing.T) {
	carries := []v1alpha1.IssuedService{
		{Service: "github", Scopes: []v1alpha1.Scope{"repo:read", "repo:write"}},
		{Service: "slack", Scopes: []v1alpha1.Scope{"chat:write"}},
	}
	base := v1alpha1.IssuedTerms{
		AgentUID: "agent-uid", AgentGeneration: 7, Mode: v1alpha1.ModeEnforced, Services: carries,
		Issuer: "https://passports.example.org", Subject: "spiffe://example.org/ns/support/agent/bot", Audience: []string{"gateway"},
		TTLSeconds: 900, CheckpointIntervalSeconds: 300, Deadline: metaAfter(86400), SecretName: "mission-token",
	}
	for name, tc := range map[string]struct {
		passport changePassport
		agent    changeAgent
		want     func(*v1alpha1.IssuedTerms)
	}{
		"as they are by default": {},
		"a deadline of its own":  {passport: func(p *v1alpha1.Passport) { p.Spec.ActiveDeadlineSeconds = 400 }, want: func(w *v1alpha1.IssuedTerms) { w.Deadline = metaAfter(400) }},
		"the agent's own limit, to the second": {
			passport: func(p *v1alpha1.Passport) { p.Spec.ActiveDeadlineSeconds = 60 },
			agent:    func(a *v1alpha1.AgentPassport) { a.Spec.Accountability.MaxLifetimeSeconds = 60 },
			want:     func(w *v1alpha1.IssuedTerms) { w.Deadline = metaAfter(60) },
		},
		"the agent's limit where it has none": {
			agent: func(a *v1alpha1.AgentPassport) { a.Spec.Accountability.MaxLifetimeSeconds = 120 },
			want:  func(w *v1alpha1.IssuedTerms) { w.Deadline = metaAfter(120) },
		},
		"mode Logged": {
			agent: func(a *v1alpha1.AgentPassport) { a.Spec.Accountability.Mode = v1alpha1.ModeLogged },
			want:  func(w *v1alpha1.IssuedTerms) { w.Mode = v1alpha1.ModeLogged },
		},
		"mode Standard has no interval": {
			agent: func(a *v1alpha1.AgentPassport) { a.Spec.Accountability.Mode = v1alpha1.ModeStandard },
			want: func(w *v1alpha1.IssuedTerms) {
				w.Mode, w.CheckpointIntervalSeconds = v1alpha1.ModeStandard, 0
			},
		},
		"no Secret": {
			passport: func(p *v1alpha1.Passport) { p.Spec.TokenDelivery = v1alpha1.DeliveryNone },
			want:     func(w *v1alpha1.IssuedTerms) { w.SecretName = "" },
		},
		"a Secret of its own": {
			passport: func(p *v1alpha1.Passport) { p.Spec.SecretName = "mine" },
			want:     func(w *v1alpha1.IssuedTerms) { w.SecretName = "mine" },
		},
		"an audience, the gateway's first and once": {
			passport: func(p *v1alpha1.Passport) { p.Spec.Audience = []string{"z", "gateway", "a"} },
			want:     func(w *v1alpha1.IssuedTerms) { w.Audience = []string{"gateway", "z", "a"} },
		},
		"a narrowing": {
			passport: func(p *v1alpha1.Passport) { p.Spec.Services = []v1alpha1.ServiceGrant{{Service: "slack"}} },
			want:     func(w *v1alpha1.IssuedTerms) { w.Services = carries[1:] },
		},
		"services that the intent leaves out, where they are refused": {
			agent: func(a *v1alpha1.AgentPassport) { a.Spec.Accountability.UndeclaredServices = v1alpha1.UndeclaredRefuse },
			want:  func(w *v1alpha1.IssuedTerms) { w.Services = carries[1:] },
		},
		"services that the intent leaves out, mode Standard": {
			agent: func(a *v1alpha1.AgentPassport) {
				a.Spec.Accountability.UndeclaredServices, a.Spec.Accountability.Mode = v1alpha1.UndeclaredRefuse, v1alpha1.ModeStandard
			},
			want: func(w *v1alpha1.IssuedTerms) {
				w.Mode, w.CheckpointIntervalSeconds = v1alpha1.ModeStandard, 0
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			passport, its, want := requested(), agent(), *base.DeepCopy()
			if tc.passport != nil {
				tc.passport(passport)
			}
			if tc.agent != nil {
				tc.agent(its)
			}
			if tc.want != nil {
				tc.want(&want)
			}
			got := Decide(passport, its, Rules{}, authority, noon.Add(987*time.Millisecond))
			if diff := cmp.Diff(Decision{Verdict: VerdictIssue, Terms: want}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestIssue(t *testing.T) {
	passport := requested()
	passport.Status = Pending(passport, Decide(passport, nil, Rules{}, authority, after(-50)), after(-50))
	terms := leash(v1alpha1.ModeEnforced, 900, 300, 86400)
	terms.SecretName = "mission-token"
	got := Issue(passport, terms, noon.Add(999*time.Millisecond), "pp_1", "ses_1")
	ready := *readyOf(got.Conditions)
	if ready.Status != metav1.ConditionTrue || ready.Reason != "Issued" || !ready.LastTransitionTime.Time.Equal(noon) {
		t.Errorf("%+v", ready)
	}
	got.Conditions = nil
	want := v1alpha1.PassportStatus{
		ObservedGeneration: 1, Phase: v1alpha1.PhaseActive, JTI: "pp_1", SessionID: "ses_1", IssueTime: &metav1.Time{Time: noon},
		ExpirationTime: &metav1.Time{Time: after(300)}, CheckpointBy: &metav1.Time{Time: after(150)},
		Checkpoints: new(int32), DelegationDepth: new(int32), Issued: &terms,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if passport.Status.Phase != v1alpha1.PhasePending {
		t.Error("the Passport that was read changed")
	}
}

func TestPendingKeepsItsTransitionTime(t *testing.T) {
	passport := requested()
	waits := Decide(passport, nil, Rules{}, authority, noon)
	passport.Status = Pending(passport, waits, noon)
	if again := Pending(passport, waits, after(60)); !cmp.Equal(passport.Status, again) {
		t.Error(cmp.Diff(passport.Status, again))
	}
}

func TestReject(t *testing.T) {
	passport := requested()
	decision := Decide(passport, nil, Rules{}, authority, after(541))
	got := Reject(passport, decision, after(541).Add(time.Millisecond))
	want := v1alpha1.PassportStatus{
		ObservedGeneration: 1, Phase: v1alpha1.PhaseRejected, EndTime: &metav1.Time{Time: after(541)},
		Conditions: []metav1.Condition{
			{Type: "Ready", Status: "False", Reason: "NotIssuedInTime", Message: decision.Message, ObservedGeneration: 1, LastTransitionTime: metaAfter(541)},
			{Type: "Stalled", Status: "True", Reason: "NotIssuedInTime", Message: decision.Message, ObservedGeneration: 1, LastTransitionTime: metaAfter(541)},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestConditionMessagesAreCut(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1024: 1024, 1025: 1024, 40000: 1024} {
		var conditions []metav1.Condition
		SetCondition(&conditions, 1, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonIssued, strings.Repeat("ü", n), noon)
		message := []rune(conditions[0].Message)
		if len(message) != want || (n > want && message[want-1] != '…') {
			t.Errorf("%d characters became %d", n, len(message))
		}
	}
}
