package lifecycle

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/review"
)

type changeCheckout = func(*v1alpha1.Checkout)

// checkout is the agent's Checkout of the mission, made so many seconds after noon.
func checkout(n int, uid string, with ...changeCheckout) v1alpha1.Checkout {
	made := v1alpha1.Checkout{
		ObjectMeta: metav1.ObjectMeta{Namespace: "support", Name: "checkout-" + uid, UID: types.UID(uid), Generation: 1, CreationTimestamp: metaAfter(n)},
		Spec: v1alpha1.CheckoutSpec{
			PassportRef: v1alpha1.PassportReference{Name: "mission"}, AgentRef: v1alpha1.AgentReference{Name: "bot"},
			Source: v1alpha1.SourceAgent, Outcome: v1alpha1.OutcomeSucceeded, ServicesUsed: []v1alpha1.ServiceName{"slack"},
		},
	}
	for _, change := range with {
		change(&made)
	}
	return made
}

func byAnother(c *v1alpha1.Checkout) { c.Spec.AgentRef.Name = "other" }

func judgedFor(uid types.UID) changeCheckout {
	return func(c *v1alpha1.Checkout) { c.Status.PassportUID = uid }
}

// byTheOperator makes a Checkout the operator's own, of the Passport with this UID.
func byTheOperator(uid types.UID) changeCheckout {
	return func(c *v1alpha1.Checkout) {
		c.Spec.Source, c.Name = v1alpha1.SourceOperator, operatorCheckoutName(requested(func(p *v1alpha1.Passport) { p.UID = uid }))
	}
}

func claimed(uid types.UID) changePassport {
	return func(p *v1alpha1.Passport) {
		p.Status.Checkout = &v1alpha1.CheckoutReference{Name: "checkout-" + string(uid), UID: uid}
	}
}

// over is a Passport of noon, with a leash to 300 s after it, that ended.
func over(phase v1alpha1.Phase, end int, with ...changePassport) *v1alpha1.Passport {
	passport := active(leash(v1alpha1.ModeEnforced, 900, 300, 86400))
	finish(&passport.Status, 1, phase, v1alpha1.Reason(phase), "it is over", after(end))
	for _, change := range with {
		change(passport)
	}
	return passport
}

func TestRefuse(t *testing.T) {
	for name, tc := range map[string]struct {
		passport *v1alpha1.Passport
		checkout v1alpha1.Checkout
		want     v1alpha1.Reason
	}{
		"of nothing":                               {nil, checkout(0, "a"), v1alpha1.ReasonPassportNotFound},
		"before the issue":                         {requested(), checkout(-30, "a"), ""},
		"while it lives":                           {active(leash(v1alpha1.ModeEnforced, 900, 300, 86400)), checkout(10, "a"), ""},
		"late, while nobody else's is its own":     {over(v1alpha1.PhaseExpired, 300), checkout(9999, "a"), ""},
		"its own":                                  {over(v1alpha1.PhaseCheckedOut, 10, claimed("a")), checkout(10, "a"), ""},
		"the second":                               {over(v1alpha1.PhaseCheckedOut, 10, claimed("b")), checkout(10, "a"), v1alpha1.ReasonAlreadyCheckedOut},
		"in the second of the Passport":            {requested(), checkout(-60, "a"), ""},
		"a second before the Passport":             {requested(), checkout(-61, "a"), v1alpha1.ReasonPassportNotFound},
		"judged for another of the name":           {requested(), checkout(-60, "a", judgedFor("earlier")), v1alpha1.ReasonPassportNotFound},
		"judged for this one":                      {requested(), checkout(-60, "a", judgedFor("passport-uid")), ""},
		"by another agent":                         {requested(), checkout(0, "a", byAnother), v1alpha1.ReasonNotYours},
		"by another agent, of a Rejected one":      {rejected(), checkout(0, "a", byAnother), v1alpha1.ReasonNotYours},
		"of a Rejected one":                        {rejected(), checkout(0, "a"), v1alpha1.ReasonPassportEnded},
		"in mode Standard":                         {active(leash(v1alpha1.ModeStandard, 900, 0, 86400)), checkout(0, "a"), v1alpha1.ReasonCheckoutNotAvailable},
		"in mode Logged":                           {active(leash(v1alpha1.ModeLogged, 900, 300, 86400)), checkout(0, "a"), ""},
		"the operator's own":                       {over(v1alpha1.PhaseRevoked, 10), checkout(10, "a", byTheOperator("passport-uid")), ""},
		"the operator's own of another, long gone": {over(v1alpha1.PhaseRevoked, 10), checkout(10, "a", byTheOperator("earlier")), v1alpha1.ReasonPassportNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			refusal := Refuse(tc.passport, &tc.checkout)
			if tc.want == "" {
				if refusal != nil {
					t.Errorf("%+v", refusal)
				}
				return
			}
			if refusal == nil || refusal.Reason != tc.want || !strings.Contains(refusal.Message, "mission") {
				t.Fatalf("%+v, want %s", refusal, tc.want)
			}
			status := Refused(tc.passport, &tc.checkout, *refusal, after(20).Add(time.Millisecond))
			tc.checkout.Status = status
			got := map[string]string{}
			for _, condition := range status.Conditions {
				got[condition.Type] = string(condition.Status)
				if condition.Reason != string(tc.want) || condition.Message != refusal.Message || !condition.LastTransitionTime.Time.Equal(after(20)) {
					t.Errorf("%+v", condition)
				}
			}
			if diff := cmp.Diff(map[string]string{"Ready": "False", "Accepted": "False", "Stalled": "True"}, got); diff != "" {
				t.Error(diff)
			}
			if !WasRefused(&tc.checkout) || Judged(&tc.checkout) || Decided(&tc.checkout) || Feeds(&tc.checkout, agent()) {
				t.Errorf("%+v", status)
			}
		})
	}
}

// rejected is a Passport that was never issued.
func rejected() *v1alpha1.Passport {
	passport := requested()
	finish(&passport.Status, 1, v1alpha1.PhaseRejected, v1alpha1.ReasonPassportBlocked, "no", noon)
	return passport
}

// TestCheckoutEnds has an Enforced passport of noon, with a leash to 300 s after it.
func TestCheckoutEnds(t *testing.T) {
	refused := func(c *v1alpha1.Checkout) {
		c.Status = Refused(nil, c, Refusal{Reason: v1alpha1.ReasonPassportNotFound, Message: "no"}, noon)
	}
	for name, tc := range map[string]struct {
		mode      v1alpha1.AccountabilityMode
		checkouts []v1alpha1.Checkout
		blocks    []v1alpha1.AgentBlock
		reports   []v1alpha1.Checkpoint
		passport  []changePassport
		now       int

		phase   v1alpha1.Phase
		end     int
		counted int32
		its     types.UID
	}{
		"none":                                {now: 200, phase: v1alpha1.PhaseActive},
		"one":                                 {checkouts: []v1alpha1.Checkout{checkout(50, "a")}, now: 60, phase: v1alpha1.PhaseCheckedOut, end: 50, its: "a"},
		"the earliest":                        {checkouts: []v1alpha1.Checkout{checkout(51, "a"), checkout(50, "b")}, now: 60, phase: v1alpha1.PhaseCheckedOut, end: 50, its: "b"},
		"in one second, the lower UID":        {checkouts: []v1alpha1.Checkout{checkout(50, "b"), checkout(50, "a"), checkout(50, "c")}, now: 60, phase: v1alpha1.PhaseCheckedOut, end: 50, its: "a"},
		"before the issue":                    {checkouts: []v1alpha1.Checkout{checkout(-30, "a")}, now: 60, phase: v1alpha1.PhaseCheckedOut, its: "a"},
		"before the Passport":                 {checkouts: []v1alpha1.Checkout{checkout(-61, "a")}, now: 60, phase: v1alpha1.PhaseActive},
		"another agent's":                     {checkouts: []v1alpha1.Checkout{checkout(50, "a", byAnother)}, now: 60, phase: v1alpha1.PhaseActive},
		"one that was refused":                {checkouts: []v1alpha1.Checkout{checkout(50, "a", refused), checkout(51, "b")}, now: 60, phase: v1alpha1.PhaseCheckedOut, end: 51, its: "b"},
		"in mode Standard":                    {mode: v1alpha1.ModeStandard, checkouts: []v1alpha1.Checkout{checkout(50, "a")}, now: 60, phase: v1alpha1.PhaseActive},
		"in mode Logged":                      {mode: v1alpha1.ModeLogged, checkouts: []v1alpha1.Checkout{checkout(50, "a")}, now: 60, phase: v1alpha1.PhaseCheckedOut, end: 50, its: "a"},
		"in the second of the expiry":         {checkouts: []v1alpha1.Checkout{checkout(300, "a")}, now: 9999, phase: v1alpha1.PhaseCheckedOut, end: 300, its: "a"},
		"a second after the expiry":           {checkouts: []v1alpha1.Checkout{checkout(301, "a")}, now: 9999, phase: v1alpha1.PhaseExpired, end: 300, its: "a"},
		"after the expiry, while it is young": {checkouts: []v1alpha1.Checkout{checkout(301, "a")}, now: 304, phase: v1alpha1.PhaseActive},
		"behind a block":                      {checkouts: []v1alpha1.Checkout{checkout(51, "a")}, blocks: []v1alpha1.AgentBlock{block(50, "stop", "bot")}, now: 60, phase: v1alpha1.PhaseRevoked, end: 50, its: "a"},
		"in one second with a block":          {checkouts: []v1alpha1.Checkout{checkout(50, "a")}, blocks: []v1alpha1.AgentBlock{block(50, "stop", "bot")}, now: 60, phase: v1alpha1.PhaseRevoked, end: 50, its: "a"},
		"ahead of a block":                    {checkouts: []v1alpha1.Checkout{checkout(49, "a")}, blocks: []v1alpha1.AgentBlock{block(50, "stop", "bot")}, now: 60, phase: v1alpha1.PhaseCheckedOut, end: 49, its: "a"},
		"ahead of a deletion": {
			checkouts: []v1alpha1.Checkout{checkout(49, "a")}, passport: []changePassport{func(p *v1alpha1.Passport) { p.DeletionTimestamp = &metav1.Time{Time: after(50)} }},
			now: 60, phase: v1alpha1.PhaseCheckedOut, end: 49, its: "a",
		},
		"with checkpoints of its second and of the next": {
			checkouts: []v1alpha1.Checkout{checkout(50, "a")}, reports: []v1alpha1.Checkpoint{report(49, "1"), report(50, "2"), report(51, "3")},
			now: 60, phase: v1alpha1.PhaseCheckedOut, end: 50, counted: 2, its: "a",
		},
		"in one second with a checkpoint that revokes": {
			checkouts: []v1alpha1.Checkout{checkout(50, "a")}, reports: []v1alpha1.Checkpoint{report(50, "1", using("stripe"))},
			now: 60, phase: v1alpha1.PhaseRevoked, end: 50, counted: 1, its: "a",
		},
		"ahead of a checkpoint that would have revoked": {
			checkouts: []v1alpha1.Checkout{checkout(49, "a")}, reports: []v1alpha1.Checkpoint{report(50, "1", using("stripe"))},
			now: 60, phase: v1alpha1.PhaseCheckedOut, end: 49, its: "a",
		},
		"after an expiry that a checkpoint moved": {
			checkouts: []v1alpha1.Checkout{checkout(500, "a")}, reports: reports(1, 300, 0),
			now: 9999, phase: v1alpha1.PhaseCheckedOut, end: 500, counted: 1, its: "a",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.mode == "" {
				tc.mode = v1alpha1.ModeEnforced
			}
			passport := active(leash(tc.mode, 900, 300, 86400), tc.passport...)
			situation := Situation{
				Passport: passport, Agent: agent(), Blocks: tc.blocks, Checkpoints: tc.reports, Checkouts: tc.checkouts, Now: after(tc.now),
			}
			if cached := Advance(situation); cached.Status.Phase.Finished() || cached.Status.Checkout != nil {
				t.Fatalf("%s by a cache", cached.Status.Phase)
			}
			situation.ListedAt = situation.Now
			got := Advance(situation)
			if got.Status.Phase != tc.phase || (got.Status.EndTime != nil && !got.Status.EndTime.Time.Equal(after(tc.end))) || *got.Status.Checkpoints != tc.counted {
				t.Errorf("%s, ended %v, %d counted", got.Status.Phase, got.Status.EndTime, *got.Status.Checkpoints)
			}
			its := types.UID("")
			if got.Status.Checkout != nil {
				its = got.Status.Checkout.UID
			}
			if its != tc.its {
				t.Errorf("its checkout is %q, want %q", its, tc.its)
			}
			if stalled := readyOf(got.Status.Conditions); tc.phase == v1alpha1.PhaseCheckedOut && (stalled.Reason != string(v1alpha1.ReasonCheckedOut) || len(got.Status.Conditions) != 1) {
				t.Errorf("%+v", got.Status.Conditions)
			}
		})
	}
}

// TestCheckOut has missions that are over and that nobody checked out of.
func TestCheckOut(t *testing.T) {
	deleted := func(p *v1alpha1.Passport) { p.DeletionTimestamp = &metav1.Time{Time: after(400)} }
	mode := func(mode v1alpha1.AccountabilityMode) changePassport {
		return func(p *v1alpha1.Passport) { p.Status.Issued.Mode = mode }
	}
	short := review.DefaultThresholds()
	short.AbandonedAfterSeconds = 60
	for name, tc := range map[string]struct {
		passport   *v1alpha1.Passport
		checkouts  []v1alpha1.Checkout
		thresholds review.Thresholds
		now        int

		wake, confirm, makes bool
		its                  types.UID
		signals              int
		blocks               int
	}{
		"Revoked": {passport: over(v1alpha1.PhaseRevoked, 300), now: 300, confirm: true, makes: true},
		"Revoked, and the operator's clock behind": {passport: over(v1alpha1.PhaseRevoked, 300), now: 290, confirm: true, makes: true},
		"Expired":                             {passport: over(v1alpha1.PhaseExpired, 300), now: 305, wake: true},
		"Expired, a second short of the hour": {passport: over(v1alpha1.PhaseExpired, 300), now: 3899, wake: true},
		"Expired, an hour later":              {passport: over(v1alpha1.PhaseExpired, 300), now: 3900, confirm: true, makes: true},
		"Expired, by other thresholds":        {passport: over(v1alpha1.PhaseExpired, 300), thresholds: short, now: 360, confirm: true, makes: true},
		"Expired, and deleted":                {passport: over(v1alpha1.PhaseExpired, 300, deleted), now: 400, confirm: true, makes: true},
		"Expired, in mode Logged":             {passport: over(v1alpha1.PhaseExpired, 300, mode(v1alpha1.ModeLogged)), now: 3900, confirm: true, makes: true},
		"in mode Standard":                    {passport: over(v1alpha1.PhaseExpired, 300, mode(v1alpha1.ModeStandard)), now: 9999},
		"Rejected":                            {passport: rejected(), now: 9999},
		"its own is there":                    {passport: over(v1alpha1.PhaseRevoked, 300, claimed("x")), now: 9999},
		"a late one": {
			passport: over(v1alpha1.PhaseExpired, 300), checkouts: []v1alpha1.Checkout{checkout(400, "b"), checkout(399, "a")}, now: 400, confirm: true, its: "a",
		},
		"a late one after the hour": {
			passport: over(v1alpha1.PhaseExpired, 300), checkouts: []v1alpha1.Checkout{checkout(9000, "a")}, now: 9999, confirm: true, its: "a",
		},
		"another agent's": {
			passport: over(v1alpha1.PhaseExpired, 300), checkouts: []v1alpha1.Checkout{checkout(400, "a", byAnother)}, now: 400, wake: true,
		},
		"the operator's, an hour later": {
			passport: over(v1alpha1.PhaseExpired, 300), checkouts: []v1alpha1.Checkout{checkout(3900, "a", byTheOperator("passport-uid"))},
			now: 3900, confirm: true, its: "a", signals: 1, blocks: 1,
		},
		"the operator's, by other thresholds": {
			passport: over(v1alpha1.PhaseExpired, 300), checkouts: []v1alpha1.Checkout{checkout(360, "a", byTheOperator("passport-uid"))}, thresholds: short,
			now: 360, confirm: true, its: "a", signals: 1, blocks: 1,
		},
		"the operator's, within the hour, of a deleted one": {
			passport: over(v1alpha1.PhaseExpired, 300, deleted), checkouts: []v1alpha1.Checkout{checkout(3899, "a", byTheOperator("passport-uid"))},
			now: 3900, confirm: true, its: "a",
		},
		"the operator's, of a Revoked one": {
			passport: over(v1alpha1.PhaseRevoked, 300), checkouts: []v1alpha1.Checkout{checkout(9000, "a", byTheOperator("passport-uid"))},
			now: 9999, confirm: true, its: "a",
		},
		"the agent's in the same second as the operator's": {
			passport: over(v1alpha1.PhaseExpired, 300), checkouts: []v1alpha1.Checkout{checkout(3900, "b", byTheOperator("passport-uid")), checkout(3900, "a")},
			now: 3900, confirm: true, its: "a",
		},
	} {
		t.Run(name, func(t *testing.T) {
			its := agent(func(a *v1alpha1.AgentPassport) { a.Spec.Accountability.OnWarning = v1alpha1.EscalateBlock })
			situation := Situation{Passport: tc.passport, Agent: its, Checkouts: tc.checkouts, Thresholds: tc.thresholds, Now: after(tc.now)}
			cached := Advance(situation)
			if cached.Confirm != tc.confirm || cached.Wake.IsZero() == tc.wake || cached.Checkout != nil || !cmp.Equal(cached.Status, tc.passport.Status) {
				t.Fatalf("confirm %v, wake %v, %v", cached.Confirm, cached.Wake, cached.Checkout)
			}
			if tc.wake && !cached.Wake.Equal(after(3900)) {
				t.Errorf("wakes at %v", cached.Wake)
			}
			situation.ListedAt = situation.Now
			got := Advance(situation)
			if got.Confirm || (got.Checkout != nil) != tc.makes || len(got.Blocks) != tc.blocks || len(got.Status.Signals) != tc.signals {
				t.Errorf("confirm %v, %v, blocks %v, signals %v", got.Confirm, got.Checkout, got.Blocks, got.Status.Signals)
			}
			if ref := got.Status.Checkout; tc.its != "" && (ref == nil || ref.UID != tc.its) {
				t.Errorf("its checkout is %v, want %s", ref, tc.its)
			}
			got.Status.Checkout, got.Status.Signals = tc.passport.Status.Checkout, tc.passport.Status.Signals
			if diff := cmp.Diff(tc.passport.Status, got.Status); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOperatorCheckout(t *testing.T) {
	passport := over(v1alpha1.PhaseRevoked, 300)
	made := operatorCheckout(passport)
	want := v1alpha1.CheckoutSpec{
		PassportRef: v1alpha1.PassportReference{Name: "mission"}, AgentRef: v1alpha1.AgentReference{Name: "bot"},
		Source: v1alpha1.SourceOperator, Outcome: v1alpha1.OutcomeAborted, Summary: "The mission ended without a checkout: Revoked.",
	}
	if diff := cmp.Diff(want, made.Spec); diff != "" {
		t.Error(diff)
	}
	if made.Namespace != "support" || !strings.HasPrefix(made.Name, "operator-mission-") || made.Name != operatorCheckout(passport).Name {
		t.Errorf("%s/%s", made.Namespace, made.Name)
	}
	made.CreationTimestamp = metaAfter(300)
	if Refuse(passport, made) != nil {
		t.Error("its own passport has no use for it")
	}
	another := over(v1alpha1.PhaseRevoked, 300, func(p *v1alpha1.Passport) { p.UID = "another" })
	if operatorCheckout(another).Name == made.Name || Refuse(another, made) == nil {
		t.Errorf("%s serves two passports", made.Name)
	}
	long := over(v1alpha1.PhaseRevoked, 300, func(p *v1alpha1.Passport) { p.Name = strings.Repeat("a", 200) })
	if errs := validation.IsDNS1123Subdomain(operatorCheckout(long).Name); len(errs) > 0 {
		t.Error(errs)
	}
}

func TestAddSubmitter(t *testing.T) {
	by := func(name string) *v1alpha1.Actor { return &v1alpha1.Actor{Username: name} }
	var full []string
	for i := range 32 {
		full = append(full, fmt.Sprintf("u%02d", i))
	}
	for name, tc := range map[string]struct {
		have []string
		by   *v1alpha1.Actor
		want []string
	}{
		"nobody":                 {[]string{"a"}, nil, []string{"a"}},
		"the first":              {nil, by("a"), []string{"a"}},
		"in order":               {[]string{"a", "c"}, by("b"), []string{"a", "b", "c"}},
		"known":                  {[]string{"a", "b"}, by("a"), []string{"a", "b"}},
		"the 32nd":               {full[:31], by("a"), slices.Insert(slices.Clone(full[:31]), 0, "a")},
		"the 33rd":               {full, by("a"), full},
		"known where it is full": {full, by("u05"), full},
	} {
		t.Run(name, func(t *testing.T) {
			before := slices.Clone(tc.have)
			if diff := cmp.Diff(tc.want, addSubmitter(tc.have, tc.by)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(before, tc.have); diff != "" {
				t.Errorf("the list that was given changed: %s", diff)
			}
		})
	}
}
