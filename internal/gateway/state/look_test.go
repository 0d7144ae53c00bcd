package state_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/state"
	"agentpassport.dev/operator/internal/token"
	"agentpassport.dev/operator/test/apiserver"
)

// allowed says that nothing stands against a call to the service.
func allowed(s decision.Situation) bool {
	return s.Lost == "" && s.Standing != nil && s.Standing.Phase == v1alpha1.PhaseActive && !s.Standing.Revoking &&
		s.Blocked == "" && !s.AgentGone && s.Connection != nil
}

// ready is a passport that calls to slack are allowed with.
func (w *world) ready(name string) (*v1alpha1.AgentPassport, *v1alpha1.Passport, *state.Verified) {
	w.Helper()
	agent := w.agent("agent-" + name)
	passport := w.passport(name, agent)
	w.do(client.IgnoreAlreadyExists(admin.Create(w.Context(), &v1alpha1.ServiceConnection{
		ObjectMeta: w.meta("slack"), Spec: v1alpha1.ServiceConnectionSpec{BaseURL: "https://slack.example.com"},
	})))
	verified := w.verified(passport)
	w.within(patience, "the passport is known", func() bool { return allowed(w.view.Look(verified, "slack")) })
	return agent, passport, verified
}

func TestLookSeesWhatEndsAPassportWithinASecond(t *testing.T) {
	w := begin(t, nil)
	ctx := t.Context()
	manager := server.As(apiserver.Manager, nil)
	end := func(phase v1alpha1.Phase) func(*v1alpha1.AgentPassport, *v1alpha1.Passport) {
		return func(_ *v1alpha1.AgentPassport, passport *v1alpha1.Passport) {
			w.status(passport, func(status *v1alpha1.PassportStatus) {
				now := metav1.Now()
				status.Phase, status.EndTime = phase, &now
			})
		}
	}
	for name, test := range map[string]struct {
		do   func(*v1alpha1.AgentPassport, *v1alpha1.Passport)
		seen func(decision.Situation) bool
		ends bool
	}{
		"revocation": {
			func(_ *v1alpha1.AgentPassport, passport *v1alpha1.Passport) {
				w.do(admin.Patch(ctx, passport, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"revocation":{"reason":"test"}}}`))))
			}, func(s decision.Situation) bool { return s.Standing.Revoking }, false,
		},
		"revoked":    {end(v1alpha1.PhaseRevoked), func(s decision.Situation) bool { return s.Standing.Phase == v1alpha1.PhaseRevoked }, true},
		"checkedout": {end(v1alpha1.PhaseCheckedOut), func(s decision.Situation) bool { return s.Standing.Phase == v1alpha1.PhaseCheckedOut }, true},
		"expired":    {end(v1alpha1.PhaseExpired), func(s decision.Situation) bool { return s.Standing.Phase == v1alpha1.PhaseExpired }, true},
		"suspension": {
			func(agent *v1alpha1.AgentPassport, _ *v1alpha1.Passport) {
				agent.Spec.Suspend = true
				w.do(admin.Update(ctx, agent))
			}, func(s decision.Situation) bool {
				return s.Blocked == "the suspension of AgentPassport agent-suspension"
			}, false,
		},
		"block": {
			func(agent *v1alpha1.AgentPassport, _ *v1alpha1.Passport) {
				w.do(admin.Create(ctx, w.block("b", agent.Name)))
			}, func(s decision.Situation) bool { return s.Blocked == "AgentBlock b" }, false,
		},
		"agentdeleted": {
			func(agent *v1alpha1.AgentPassport, _ *v1alpha1.Passport) { w.do(admin.Delete(ctx, agent)) },
			func(s decision.Situation) bool { return s.AgentGone }, false,
		},
		"agentanother": {
			func(agent *v1alpha1.AgentPassport, _ *v1alpha1.Passport) {
				w.do(admin.Delete(ctx, agent))
				agent.ObjectMeta = w.meta(agent.Name)
				w.do(admin.Create(ctx, agent))
			}, func(s decision.Situation) bool { return s.AgentGone }, false,
		},
		"deletion": {
			func(_ *v1alpha1.AgentPassport, passport *v1alpha1.Passport) { w.do(admin.Delete(ctx, passport)) },
			func(s decision.Situation) bool { return s.Standing == nil || s.Standing.Revoking }, false,
		},
		"gone": {
			func(_ *v1alpha1.AgentPassport, passport *v1alpha1.Passport) {
				w.do(admin.Delete(ctx, passport))
				w.do(manager.Patch(ctx, passport, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))))
			}, func(s decision.Situation) bool { return s.Standing == nil }, true,
		},
	} {
		agent, passport, verified := w.ready(name)
		test.do(agent, passport)
		took := w.within(soon, name+" is seen", func() bool { return test.seen(w.view.Look(verified, "slack")) })
		t.Logf("%s was seen after %s", name, took)
		if live, err := w.view.LookLive(ctx, verified, "slack"); err != nil || !test.seen(live) {
			t.Errorf("%s: a live look opens: %+v, %v", name, live, err)
		}
		want := 0
		if test.ends {
			want = 1
		}
		w.within(soon, name+" is told", func() bool { return w.ended.of(passport) >= want })
		if w.ended.of(passport) != want {
			t.Errorf("%s: the end was told %d times, want %d", name, w.ended.of(passport), want)
		}
	}
}

func (w *world) block(name, agent string) *v1alpha1.AgentBlock {
	block := &v1alpha1.AgentBlock{ObjectMeta: w.meta(name), Spec: v1alpha1.AgentBlockSpec{Reason: "test"}}
	if agent != "" {
		block.Spec.AgentRef = &v1alpha1.AgentReference{Name: agent}
	}
	return block
}

func TestBlocksComeAndGo(t *testing.T) {
	w := begin(t, nil)
	ctx := t.Context()
	agent, _, verified := w.ready("p")
	blocked := func(want string) {
		t.Helper()
		w.within(soon, "it is blocked by "+want, func() bool { return w.view.Look(verified, "slack").Blocked == want })
	}
	own, all, other := w.block("own", agent.Name), w.block("all", ""), w.block("other", "another")
	w.do(admin.Create(ctx, other))
	w.do(admin.Create(ctx, own))
	blocked("AgentBlock own")
	w.do(admin.Create(ctx, all))
	blocked("AgentBlock all")
	all.Spec.Lifted = &v1alpha1.BlockLift{Reason: "test"}
	w.do(admin.Update(ctx, all))
	blocked("AgentBlock own")
	w.do(admin.Delete(ctx, own))
	blocked("")
	w.do(admin.Delete(ctx, all))
	agent.Spec.Suspend = true
	w.do(admin.Update(ctx, agent))
	blocked("the suspension of AgentPassport " + agent.Name)
	agent.Spec.Suspend = false
	w.do(admin.Update(ctx, agent))
	blocked("")
}

func TestConnectionsComeAndGo(t *testing.T) {
	w := begin(t, nil)
	ctx := t.Context()
	_, _, verified := w.ready("p")
	connection := w.connect("github", nil)
	url := func(want string) {
		t.Helper()
		w.within(soon, "the connection is to "+want, func() bool {
			known := w.view.Look(verified, "github").Connection
			return (known == nil && want == "") || (known != nil && known.Base.Host.Name == want)
		})
	}
	url("github.example.com")
	connection.Spec.BaseURL = "https://git.example.com"
	w.do(admin.Update(ctx, connection))
	url("git.example.com")
	w.do(admin.Delete(ctx, connection))
	url("")
}

// What ended before the gateway began is told too, since another gateway may have died before it was done.
func TestEndsOfBeforeAreTold(t *testing.T) {
	first := begin(t, nil)
	_, passport, verified := first.ready("p")
	first.status(passport, func(status *v1alpha1.PassportStatus) { status.Phase = v1alpha1.PhaseCheckedOut })
	second := begin(t, nil)
	second.within(patience, "the end is told", func() bool { return second.ended.of(passport) == 1 })
	if look := second.view.Look(verified, "slack"); look.Standing == nil || look.Standing.Phase != v1alpha1.PhaseCheckedOut {
		t.Errorf("%+v", look)
	}
	if found, ok := second.view.ByJTI(token.JTI(string(passport.UID))); !ok || found.UID != passport.UID {
		t.Error("not found by its jti")
	}
	if found, ok := second.view.ByUID(passport.UID); !ok || found.Name != passport.Name || found.ManagedFields != nil {
		t.Error("not found by its UID, or with what nobody reads")
	}
	seen := false
	for one := range second.view.Passports() {
		seen = seen || one.UID == passport.UID
	}
	if !seen {
		t.Error("not among all")
	}
}

// While watches bring nothing, a live look sees what they have not brought yet; Look does not.
func TestALiveLookIsAheadOfTheWatches(t *testing.T) {
	w := begin(t, nil)
	ctx := t.Context()
	agent, passport, verified := w.ready("p")
	blocked, _, ofBlocked := w.ready("blocked")
	block := w.block("b", blocked.Name)
	w.do(admin.Create(ctx, block))
	w.within(soon, "it is blocked", func() bool { return w.view.Look(ofBlocked, "slack").Blocked != "" })
	w.gate.cut(false)

	later := metav1.NewTime(passport.Status.ExpirationTime.Add(time.Hour))
	w.status(passport, func(status *v1alpha1.PassportStatus) { status.ExpirationTime = &later })
	if w.view.Look(verified, "slack").Standing.Expiry.Equal(later.Time) {
		t.Fatal("the watches are not cut")
	}
	live, err := w.view.LookLive(ctx, verified, "slack")
	if err != nil || !allowed(live) || !live.Standing.Expiry.Equal(later.Time) {
		t.Errorf("an expiry that moved: %+v, %v", live, err)
	}
	fresh := w.passport("fresh", agent)
	ofFresh := w.verified(fresh)
	if live, err = w.view.LookLive(ctx, ofFresh, "slack"); err != nil || !allowed(live) || live.Standing.UID != fresh.UID {
		t.Errorf("a passport that was just issued: %+v, %v", live, err)
	}
	block.Spec.Lifted = &v1alpha1.BlockLift{Reason: "test"}
	w.do(admin.Update(ctx, block))
	if live, err = w.view.LookLive(ctx, ofBlocked, "slack"); err != nil || !allowed(live) {
		t.Errorf("a block that was lifted: %+v, %v", live, err)
	}
}

func TestRefusedTokensDoNotHammerTheAPIServer(t *testing.T) {
	w := begin(t, nil)
	agent, passport, verified := w.ready("p")
	w.do(admin.Create(t.Context(), w.block("b", agent.Name)))
	w.within(soon, "it is blocked", func() bool { return w.view.Look(verified, "slack").Blocked != "" })
	gone := *passport
	gone.UID = "00000000-0000-0000-0000-000000000000"
	began, before := time.Now(), w.gate.gets.Load()
	const looks = 500
	for _, one := range []*state.Verified{verified, w.verified(&gone)} {
		for range looks {
			if live, err := w.view.LookLive(t.Context(), one, "slack"); err != nil || allowed(live) {
				t.Fatalf("%+v, %v", live, err)
			}
		}
	}
	// One live look a second and passport, of three reads and one.
	if asked, most := w.gate.gets.Load()-before, 4*(2+int64(time.Since(began)/time.Second)); asked > most {
		t.Errorf("%d requests for %d looks, want %d at most", asked, 2*looks, most)
	}
	// Many passports together are limited too.
	before = w.gate.gets.Load()
	for range looks {
		gone.UID = "x" + gone.UID
		if _, err := w.view.LookLive(t.Context(), w.verified(&gone), "slack"); err != nil {
			t.Fatal(err)
		}
	}
	if asked, most := w.gate.gets.Load()-before, 100+50*(2+int64(time.Since(began)/time.Second)); asked > most {
		t.Errorf("%d requests, want %d at most", asked, most)
	}
}

// The watch would have brought a passport of a token this old: it is deleted, and nobody need be asked.
func TestOldTokensOfDeletedPassportsAskNobody(t *testing.T) {
	w := begin(t, nil)
	_, passport, _ := w.ready("p")
	gone := *passport
	gone.UID = "00000000-0000-0000-0000-000000000000"
	for age, asks := range map[time.Duration]bool{time.Minute: true, time.Hour: false} {
		issued := time.Now().Add(-age)
		old, _ := w.view.Token(w.token(&gone, ring, func(c *token.Claims) { c.SetTimes(issued, issued, issued.Add(time.Minute)) }))
		before := w.gate.gets.Load()
		if live, err := w.view.LookLive(t.Context(), old, "slack"); err != nil || live.Standing != nil {
			t.Errorf("%s: %+v, %v", age, live, err)
		}
		if asked := w.gate.gets.Load() > before; asked != asks {
			t.Errorf("%s: asked %t, want %t", age, asked, asks)
		}
		gone.UID += "0"
	}
}

func TestALiveLookWithoutAPIServerIsAnError(t *testing.T) {
	w := begin(t, nil)
	agent, _, verified := w.ready("p")
	w.do(admin.Create(t.Context(), w.block("b", agent.Name)))
	w.within(soon, "it is blocked", func() bool { return w.view.Look(verified, "slack").Blocked != "" })
	w.gate.cut(true)
	if live, err := w.view.LookLive(t.Context(), verified, "slack"); err == nil || live.Blocked == "" {
		t.Errorf("%+v, %v", live, err)
	}
}
