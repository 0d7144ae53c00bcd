package judge_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/credential"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/judge"
	"agentpassport.dev/operator/internal/gateway/signals"
	"agentpassport.dev/operator/internal/gateway/state"
	"agentpassport.dev/operator/internal/gateway/target"
	"agentpassport.dev/operator/internal/gateway/trail"
	"agentpassport.dev/operator/internal/token"
)

const mission = types.UID("p-1")

// world is what surrounds a judge, with one mission. It notes in steps what it is asked, in order.
type world struct {
	clock    *clocktesting.FakeClock
	standing *decision.Standing // nil: the watch has not brought it
	live     *decision.Standing // as the API server has it
	via      *decision.Connection
	records  []trail.Call
	steps    []string
	noted    []signals.Seen
	// full is a trail that has no room.
	full bool
	// mute is an API server that does not answer.
	mute bool
	// asking runs while the API server is asked who calls.
	asking func()
}

func newWorld(t *testing.T, constraints ...v1alpha1.Constraint) *world {
	t.Helper()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	expiry := metav1.NewTime(now.Add(time.Hour))
	standing := decision.StandingOf(&v1alpha1.Passport{
		ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: "ticket-4711", UID: mission},
		Status: v1alpha1.PassportStatus{Phase: v1alpha1.PhaseActive, ExpirationTime: &expiry, Issued: &v1alpha1.IssuedTerms{
			Services: []v1alpha1.IssuedService{{Service: "slack", Constraints: constraints}},
		}},
	})
	via, err := decision.ConnectionOf(&v1alpha1.ServiceConnection{
		ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: "slack"},
		Spec:       v1alpha1.ServiceConnectionSpec{BaseURL: "https://slack.com", Callers: v1alpha1.CallersAgentUsers},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &world{clock: clocktesting.NewFakeClock(now), standing: standing, live: standing, via: via, asking: func() {}}
}

func (w *world) judge() *judge.Judge {
	return &judge.Judge{View: w, Callers: w, Trail: w, Signals: w, Limits: w, Clock: w.clock, Log: logr.Discard()}
}

func (w *world) end() {
	ended := *w.standing
	ended.Phase = v1alpha1.PhaseRevoked
	w.standing, w.live = &ended, &ended
}

func (*world) Lost() string { return "" }

func (*world) Token(string) (*state.Verified, decision.TokenState) {
	return &state.Verified{Claims: &token.Claims{Mission: token.Mission{ID: string(mission)}}}, decision.TokenValid
}

func (w *world) Look(*state.Verified, v1alpha1.ServiceName) decision.Situation {
	w.steps = append(w.steps, "look")
	return decision.Situation{Now: w.clock.Now(), Standing: w.standing, Connection: w.via}
}

func (w *world) LookLive(ctx context.Context, _ *state.Verified, _ v1alpha1.ServiceName) (decision.Situation, error) {
	if w.mute {
		return decision.Situation{}, errors.New("the API server does not answer")
	}
	return decision.Situation{Now: w.clock.Now(), Standing: w.live, Connection: w.via}, ctx.Err()
}

func (*world) Credential(*decision.Connection) (*credential.Value, error) { return nil, nil }

func (w *world) MayUse(context.Context, []string, string, string) (decision.CallerState, string) {
	w.asking()
	return decision.CallerMayUse, "bot"
}

func (w *world) Begin(uid types.UID) func() {
	w.steps = append(w.steps, "begin "+string(uid))
	return func() { w.steps = append(w.steps, "done") }
}

func (w *world) Call(ctx context.Context, call trail.Call) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.full {
		return errors.New("the audit spool is full")
	}
	w.records = append(w.records, call)
	return nil
}

func (w *world) Note(seen signals.Seen) { w.noted = append(w.noted, seen) }

func (*world) Forged(string)                    {}
func (*world) Client(string) bool               { return true }
func (*world) Passport(*decision.Standing) bool { return true }

func (w *world) ask() *judge.Ask {
	return &judge.Ask{
		Front: judge.FrontProxy, Tokens: []string{"token"}, Target: target.Full("https://slack.com/api"),
		Request: &decision.Request{Service: "slack", Method: "POST", Header: map[string][]string{"Content-Type": {"application/json"}}},
	}
}

func onBody() v1alpha1.Constraint {
	channel := "general"
	return v1alpha1.Constraint{Path: "body.channel", Op: v1alpha1.ConstraintEq, Value: &channel}
}

// Whoever is slow to send a body is judged by what is known once it is there.
func TestAPassportThatEndsWhileTheBodyComes(t *testing.T) {
	for _, ends := range []bool{false, true} {
		w := newWorld(t, onBody())
		ask := w.ask()
		ask.Request.BodyUnread = true
		ask.Body = func() ([]byte, error) {
			if ends {
				w.end()
			}
			return []byte(`{"channel":"general"}`), nil
		}
		v := w.judge().Judge(t.Context(), ask)
		v.Done()
		if v.Allow == ends || (ends && v.Code != decision.CodeRevoked) {
			t.Errorf("ends %t: %+v", ends, v.Decision)
		}
		if len(w.records) != 1 || w.records[0].Code != v.Code {
			t.Errorf("ends %t: %+v", ends, w.records)
		}
	}
}

// One that only the API server knows yet has its body read like any other.
func TestABodyOfAFreshPassport(t *testing.T) {
	w := newWorld(t, onBody())
	w.standing = nil
	ask := w.ask()
	ask.Request.BodyUnread = true
	ask.Body = func() ([]byte, error) { return []byte(`{"channel":"general"}`), nil }
	if v := w.judge().Judge(t.Context(), ask); !v.Allow {
		t.Error(v.Decision)
	}
}

// A refusal that rests on what may be old is not given where the API server cannot be asked: it may be wrong.
// An end is none of these, since none is ever taken back.
func TestAnAPIServerThatDoesNotAnswer(t *testing.T) {
	expired := func(w *world) { w.clock.Step(2 * time.Hour) }
	for name, test := range map[string]struct {
		given func(*world)
		want  decision.Code
	}{
		"alive":                {func(*world) {}, decision.Allowed},
		"not seen yet":         {func(w *world) { w.standing = nil }, decision.CodeStateUnknown},
		"past its last expiry": {expired, decision.CodeStateUnknown},
		"revoked":              {(*world).end, decision.CodeRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.mute = true
			test.given(w)
			v := w.judge().Judge(t.Context(), w.ask())
			v.Done()
			if v.Code != test.want || v.Allow != (test.want == decision.Allowed) {
				t.Error(v.Decision)
			}
			for _, record := range w.records {
				if record.Code != test.want {
					t.Error(record)
				}
			}
		})
	}
}

// Whoever hangs up while the API server is asked does not hide behind that.
func TestWhoHangsUpIsRecordedByWhatIsKnown(t *testing.T) {
	w := newWorld(t)
	w.clock.Step(2 * time.Hour)
	ctx, gone := context.WithCancel(t.Context())
	gone()
	w.judge().Judge(ctx, w.ask()).Done()
	if len(w.records) != 1 || w.records[0].Code != decision.CodeExpired {
		t.Error(w.records)
	}
}

// A slow answer of who calls does not keep an end from being seen.
func TestAPassportThatEndsWhileTheCallerIsAskedFor(t *testing.T) {
	w := newWorld(t)
	w.asking = func() {
		if w.standing.Phase == v1alpha1.PhaseActive {
			w.clock.Step(5 * time.Second)
			w.end()
		}
	}
	if v := w.judge().Judge(t.Context(), w.ask()); v.Code != decision.CodeRevoked {
		t.Error(v.Decision)
	}
}

// A call is in flight before anybody looks whether its passport lives: no mark comes between. That holds for
// a passport too that the watch has not brought yet.
func TestACallIsInFlightBeforeItIsLookedAt(t *testing.T) {
	for _, known := range []bool{true, false} {
		w := newWorld(t)
		if !known {
			w.standing = nil
		}
		v := w.judge().Judge(t.Context(), w.ask())
		if want := []string{"begin p-1", "look"}; !v.Allow || !slices.Equal(w.steps[:2], want) || slices.Contains(w.steps, "done") {
			t.Error(known, v.Decision, w.steps)
		}
		v.Done()
		if !slices.Contains(w.steps, "done") {
			t.Error(known, w.steps)
		}
	}
}

// Whoever hangs up at once is refused on record all the same.
func TestARefusalOfWhoHasGoneIsRecorded(t *testing.T) {
	w := newWorld(t)
	ctx, gone := context.WithCancel(t.Context())
	gone()
	ask := w.ask()
	ask.Target = target.Full("https://elsewhere.example/")
	v := w.judge().Judge(ctx, ask)
	v.Done()
	if v.Code != decision.CodeForeignTarget || len(w.records) != 1 || w.records[0].Code != decision.CodeForeignTarget {
		t.Error(v.Decision, w.records)
	}
}

// What could not be recorded did not go out, and no detector counts it among the calls that did. A refusal is one
// all the same.
func TestACallThatCannotBeRecorded(t *testing.T) {
	w := newWorld(t)
	w.full = true
	v := w.judge().Judge(t.Context(), w.ask())
	v.Done()
	if v.Code != decision.CodeAuditUnavailable || len(w.noted) != 0 {
		t.Error(v.Decision, w.noted)
	}
	ask := w.ask()
	ask.Target = target.Full("https://elsewhere.example/")
	w.judge().Judge(t.Context(), ask).Done()
	if len(w.noted) != 1 || w.noted[0].Code != decision.CodeForeignTarget || w.noted[0].Allowed {
		t.Error(w.noted)
	}
}
