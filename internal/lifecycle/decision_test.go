package lifecycle

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/review"
)

// judgedCheckout is the agent's Checkout of a mission that used a service it was not granted, with its
// verdict.
func judgedCheckout(onCritical v1alpha1.Escalation, with ...changePassport) *v1alpha1.Checkout {
	made := checkout(50, "a", reporting("slack", "stripe"))
	its := agent(func(a *v1alpha1.AgentPassport) { a.Spec.Accountability.OnCritical = onCritical })
	made.Status = Judge(over(v1alpha1.PhaseCheckedOut, 50, with...), &made, its, nil, review.DefaultThresholds(), after(60))
	return &made
}

func reviewed(decision v1alpha1.Decision, notes string) *v1alpha1.Review {
	return &v1alpha1.Review{Decision: decision, Notes: notes, Reviewer: &v1alpha1.Actor{Username: "ann", Via: "gateway"}}
}

func TestPursueAVerdict(t *testing.T) {
	if got := Pursue(judgedCheckout(v1alpha1.EscalateNotify), "manager", after(70)); got != nil {
		t.Errorf("nothing follows, but %+v", got)
	}
	made := judgedCheckout(v1alpha1.EscalateBlock)
	before := made.DeepCopy()
	first := Pursue(made, "manager", after(70))
	if diff := cmp.Diff(before, made); diff != "" {
		t.Errorf("what was given changed: %s", diff)
	}
	want := &v1alpha1.AgentBlock{
		ObjectMeta: metav1.ObjectMeta{Namespace: "support", Name: blockName("bot", "a", "flags")},
		Spec: v1alpha1.AgentBlockSpec{
			AgentRef: &v1alpha1.AgentReference{Name: "bot"}, Cause: &v1alpha1.BlockCause{Kind: "Checkout", Name: "checkout-a", UID: "a"},
			Reason: "the verdict on passport mission is Blocked: Agent used stripe, which its passport does not carry",
		},
	}
	if diff := cmp.Diff(want, first.Block); diff != "" || len(first.Lift) > 0 {
		t.Errorf("%s, lift %v", diff, first.Lift)
	}
	// Whatever was done of it, a repeat asks for the same; once it is stored, for nothing: a block that
	// somebody lifts is not made again.
	if diff := cmp.Diff(first, Pursue(made, "manager", after(70))); diff != "" {
		t.Error(diff)
	}
	made.Status = first.Status
	if got := said(made.Status.Conditions, v1alpha1.ConditionReady); got != "True Judged" || Decided(made) {
		t.Errorf("%s, decided %v", got, made.Status.DecidedTime)
	}
	if again := Pursue(made, "manager", after(80)); again != nil {
		t.Errorf("%+v", again)
	}
}

func TestPursueAReview(t *testing.T) {
	signalled := func(p *v1alpha1.Passport) {
		p.Status.Signals = []v1alpha1.Signal{
			{Type: review.CheckpointBurst, Severity: v1alpha1.SeverityWarning, Count: 1}, {Type: review.AbandonedMission, Severity: v1alpha1.SeverityInfo, Count: 1},
		}
	}
	bySignals := []string{blockName("bot", "passport-uid", review.CheckpointBurst), blockName("bot", "passport-uid", review.AbandonedMission)}
	byFlags, byReview := blockName("bot", "a", "flags"), blockName("bot", "a", "review")
	onBehalf := &v1alpha1.Actor{Username: "ann", Via: "manager"}
	for name, tc := range map[string]struct {
		onCritical v1alpha1.Escalation
		passport   []changePassport
		review     *v1alpha1.Review

		blocks   bool
		lifts    []string
		reason   string
		accepted string
		message  string
	}{
		"approved": {
			onCritical: v1alpha1.EscalateNotify, review: reviewed(v1alpha1.DecisionApproved, ""),
			reason: "checkout checkout-a was approved", accepted: "True Approved", message: "approved (by ann, via gateway)",
		},
		"approved, with notes": {
			onCritical: v1alpha1.EscalateNotify, review: reviewed(v1alpha1.DecisionApproved, "it was ancillary"),
			reason: "checkout checkout-a was approved: it was ancillary", accepted: "True Approved", message: "approved (by ann, via gateway): it was ancillary",
		},
		"approved, where flags blocked": {
			onCritical: v1alpha1.EscalateBlock, review: reviewed(v1alpha1.DecisionApproved, ""),
			lifts: []string{byFlags}, reason: "checkout checkout-a was approved", accepted: "True Approved",
		},
		"approved, where signals were raised": {
			onCritical: v1alpha1.EscalateNotify, passport: []changePassport{signalled}, review: reviewed(v1alpha1.DecisionApproved, ""),
			lifts: bySignals, reason: "checkout checkout-a was approved", accepted: "True Approved",
		},
		"approved, where signals were raised and flags blocked": {
			onCritical: v1alpha1.EscalateBlock, passport: []changePassport{signalled}, review: reviewed(v1alpha1.DecisionApproved, ""),
			lifts: append(bySignals[:2:2], byFlags), reason: "checkout checkout-a was approved", accepted: "True Approved",
		},
		"blocked": {
			onCritical: v1alpha1.EscalateNotify, review: reviewed(v1alpha1.DecisionBlocked, "no"), blocks: true,
			reason: "AgentBlock " + byReview + " of the review of checkout checkout-a took its place", accepted: "False Blocked",
			message: "blocked (by ann, via gateway): no; until AgentBlock " + byReview + " is lifted, agent bot gets no passport",
		},
		"blocked, where flags and signals blocked": {
			onCritical: v1alpha1.EscalateBlock, passport: []changePassport{signalled}, review: reviewed(v1alpha1.DecisionBlocked, ""), blocks: true,
			lifts: append(bySignals[:2:2], byFlags), reason: "AgentBlock " + byReview + " of the review of checkout checkout-a took its place", accepted: "False Blocked",
		},
	} {
		t.Run(name, func(t *testing.T) {
			made := judgedCheckout(tc.onCritical, tc.passport...)
			made.Spec.Review, made.Generation = tc.review, 2
			if tc.onCritical == v1alpha1.EscalateBlock {
				escalation := Pursue(made, "manager", after(61))
				if escalation.Block == nil || escalation.Block.Name != byFlags || escalation.Status.DecidedTime != nil {
					t.Fatalf("the flags block first: %+v", escalation)
				}
				made.Status = escalation.Status
			}
			got := Pursue(made, "manager", after(70).Add(time.Millisecond))
			if (got.Block != nil) != tc.blocks {
				t.Fatalf("%+v", got.Block)
			}
			if tc.blocks && (got.Block.Name != byReview || !cmp.Equal(got.Block.Spec.By, onBehalf) || got.Block.Spec.Cause.UID != "a" || got.Block.Spec.AgentRef.Name != "bot") {
				t.Errorf("%+v", got.Block)
			}
			if diff := cmp.Diff(tc.lifts, got.Lift); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(v1alpha1.BlockLift{Reason: tc.reason, By: onBehalf}, got.Lifting); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(got, Pursue(made, "manager", after(70))); diff != "" {
				t.Errorf("a repeat asks for something else: %s", diff)
			}
			verdict, flags := made.Status.Verdict, made.Status.Flags
			made.Status = got.Status
			if !made.Status.DecidedTime.Time.Equal(after(70)) || made.Status.ObservedGeneration != 2 || made.Status.Verdict != verdict || !cmp.Equal(made.Status.Flags, flags) {
				t.Errorf("%+v", made.Status)
			}
			if accepted := said(made.Status.Conditions, v1alpha1.ConditionAccepted); accepted != tc.accepted {
				t.Errorf("Accepted is %s", accepted)
			}
			for _, condition := range made.Status.Conditions {
				if condition.Type == string(v1alpha1.ConditionAccepted) && tc.message != "" && condition.Message != tc.message {
					t.Errorf("%q", condition.Message)
				}
			}
			if again := Pursue(made, "manager", after(80)); again != nil {
				t.Errorf("decided, and yet %+v", again)
			}
		})
	}
}

func TestPursueAReviewByNobody(t *testing.T) {
	made := judgedCheckout(v1alpha1.EscalateNotify)
	made.Spec.Review = &v1alpha1.Review{Decision: v1alpha1.DecisionBlocked}
	got := Pursue(made, "manager", after(70))
	if got.Block.Spec.By != nil || got.Lifting.By != nil {
		t.Errorf("by %v, lifted by %v", got.Block.Spec.By, got.Lifting.By)
	}
}

// A Clean Checkout is decided; admission refuses its review, and where it does not, nothing follows.
func TestPursueAReviewOfWhatIsClean(t *testing.T) {
	made := checkout(50, "a")
	made.Status = Judge(over(v1alpha1.PhaseCheckedOut, 50), &made, agent(), nil, review.DefaultThresholds(), after(60))
	made.Spec.Review = reviewed(v1alpha1.DecisionBlocked, "")
	if got := Pursue(&made, "manager", after(70)); got != nil {
		t.Errorf("%+v", got)
	}
}

func TestReasonsStayInTheirLimits(t *testing.T) {
	notes := strings.Repeat("ü", 1000)
	for _, decision := range []v1alpha1.Decision{v1alpha1.DecisionApproved, v1alpha1.DecisionBlocked} {
		made := judgedCheckout(v1alpha1.EscalateNotify)
		made.Spec.Review = reviewed(decision, notes)
		got := Pursue(made, "manager", after(70))
		reasons := []string{got.Lifting.Reason}
		if got.Block != nil {
			reasons = append(reasons, got.Block.Spec.Reason)
		}
		for _, reason := range reasons {
			if n := utf8.RuneCountInString(reason); n > 500 || !utf8.ValidString(reason) {
				t.Errorf("%d characters: %s", n, reason)
			}
		}
	}
}

// The blocks of a mission have names of their own, that tell the agent and that the API takes.
func TestBlockNames(t *testing.T) {
	seen := map[string]bool{}
	for _, agent := range []string{"bot", strings.Repeat("a", 63), strings.Repeat("a.", 31) + "a"} {
		for _, cause := range []types.UID{"a", "b", "passport-uid"} {
			for _, finding := range []string{"flags", "review", review.CheckpointBurst, review.AbandonedMission} {
				name := blockName(agent, cause, finding)
				if errs := validation.IsDNS1123Subdomain(name); len(errs) > 0 || seen[name] || !strings.HasPrefix(name, agent+"-") || name != blockName(agent, cause, finding) {
					t.Errorf("%s: %v", name, errs)
				}
				seen[name] = true
			}
		}
	}
}

func TestABlockTellsTheFlagThatIsTheAgents(t *testing.T) {
	flag := func(kind, message string) v1alpha1.Flag {
		return v1alpha1.Flag{Type: kind, Severity: v1alpha1.SeverityWarning, Message: message}
	}
	failed, raised, late := flag(review.DetectorError, "it failed"), flag(review.SignalRaised, "it was raised"), flag(review.LateCheckout, "it was late")
	for _, flags := range [][]v1alpha1.Flag{{late}, {failed, late}, {raised, failed, late}, {raised, late, failed}} {
		made := judgedCheckout(v1alpha1.EscalateBlock)
		made.Status.Flags = flags
		if reason := Pursue(made, "manager", after(70)).Block.Spec.Reason; !strings.HasSuffix(reason, ": it was late") {
			t.Errorf("%s", reason)
		}
	}
}

func TestKeepUntil(t *testing.T) {
	for name, tc := range map[string]struct {
		decided *metav1.Time
		ttl     *int32
		want    time.Time
	}{
		"a day after the end":              {nil, nil, after(100 + 86400)},
		"so long after the end":            {nil, ptr.To(int32(60)), after(160)},
		"not at all":                       {nil, ptr.To(int32(0)), after(100)},
		"after the decision":               {&metav1.Time{Time: after(500)}, ptr.To(int32(60)), after(560)},
		"a day after the decision":         {&metav1.Time{Time: after(500)}, nil, after(500 + 86400)},
		"decided in the second of the end": {&metav1.Time{Time: after(100)}, ptr.To(int32(60)), after(160)},
		"decided before the end":           {&metav1.Time{Time: after(50)}, ptr.To(int32(60)), after(160)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := KeepUntil(after(100), tc.decided, tc.ttl); !got.Equal(tc.want) {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}

func TestFeeds(t *testing.T) {
	clean := func(change ...changeCheckout) *v1alpha1.Checkout {
		made := checkout(50, "a")
		made.Status = Judge(over(v1alpha1.PhaseCheckedOut, 50), &made, agent(), nil, review.DefaultThresholds(), after(60))
		for _, change := range change {
			change(&made)
		}
		return &made
	}
	decided := func(decision v1alpha1.Decision) *v1alpha1.Checkout {
		made := judgedCheckout(v1alpha1.EscalateNotify)
		made.Spec.Review = reviewed(decision, "")
		made.Status = Pursue(made, "manager", after(70)).Status
		return made
	}
	refused := checkout(50, "a")
	refused.Status = Refused(nil, &refused, Refusal{Reason: v1alpha1.ReasonPassportNotFound, Message: "no"}, noon)
	unjudged := checkout(50, "a")
	for name, tc := range map[string]struct {
		checkout *v1alpha1.Checkout
		agent    *v1alpha1.AgentPassport
		want     bool
	}{
		"clean":                      {clean(), agent(), true},
		"approved":                   {decided(v1alpha1.DecisionApproved), agent(), true},
		"blocked":                    {decided(v1alpha1.DecisionBlocked), agent(), false},
		"awaiting review":            {judgedCheckout(v1alpha1.EscalateNotify), agent(), false},
		"refused":                    {&refused, agent(), false},
		"not judged":                 {&unjudged, agent(), false},
		"in the baseline already":    {clean(func(c *v1alpha1.Checkout) { c.Status.BaselineTime = &metav1.Time{Time: noon} }), agent(), false},
		"no agent":                   {clean(), nil, false},
		"another agent of the name":  {clean(), agent(func(a *v1alpha1.AgentPassport) { a.UID = "another" }), false},
		"an agent that is going":     {clean(), agent(func(a *v1alpha1.AgentPassport) { a.DeletionTimestamp = &metav1.Time{Time: noon} }), false},
		"an agent that is suspended": {clean(), agent(func(a *v1alpha1.AgentPassport) { a.Spec.Suspend = true }), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Feeds(tc.checkout, tc.agent); got != tc.want {
				t.Error(got)
			}
		})
	}
}
