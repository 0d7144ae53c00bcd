package trail_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/audittest"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/spool"
	"agentpassport.dev/operator/internal/gateway/target"
	"agentpassport.dev/operator/internal/gateway/trail"
)

var noon = time.Date(2026, 8, 1, 12, 0, 10, 250_000_000, time.UTC)

func gateway() trail.Gateway {
	return trail.Gateway{
		Name: "agent-passport-gateway-0", Namespace: "agent-passport-system",
		Username: "system:serviceaccount:agent-passport-system:agent-passport-gateway", Boot: "0011223344556677",
	}
}

func standing(uid string) *decision.Standing {
	return &decision.Standing{
		Namespace: "support", Name: "ticket-4711", UID: types.UID(uid), Agent: "support-bot", AgentUID: "agent-uid",
		JTI: "pp_" + uid, SessionID: "ps_1", Mode: v1alpha1.ModeEnforced, Phase: v1alpha1.PhaseActive,
	}
}

func callOf(of *decision.Standing) trail.Call {
	return trail.Call{
		Standing: of, Front: "proxy", Service: "slack", Method: "POST",
		Target: target.Target{Scheme: "https", Host: target.Host{Name: "slack.com", Port: 443}, Path: "/api/chat.postMessage", Query: "key=abc", HasQuery: true},
		Code:   decision.Allowed, Allowed: true, Declared: true,
		Caller: "system:serviceaccount:support:support-bot", Source: "10.1.2.3", At: noon,
	}
}

// world is a trail that ends in a real log, by way of a real spool.
type world struct {
	*trail.Trail
	spool *spool.Spool
	clock *clocktesting.FakeClock

	mu      sync.Mutex
	fails   error
	tries   int
	entries []audit.Entry
}

// Append is the spool's, unless it is to fail.
func (w *world) Append(ctx context.Context, record audit.Record) error {
	w.mu.Lock()
	w.tries++
	fails := w.fails
	w.mu.Unlock()
	if fails != nil {
		return fails
	}
	return w.spool.Append(ctx, record)
}

// log keeps what a log has taken.
type log struct {
	to *audittest.Tree
	w  *world
}

func (l log) AppendRaw(ctx context.Context, raws []json.RawMessage) error {
	records := make([]audit.Record, len(raws))
	for i, raw := range raws {
		if err := json.Unmarshal(raw, &records[i]); err != nil {
			return err
		}
	}
	entries, err := l.to.Append(ctx, records...)
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	for _, entry := range entries {
		// A mark that was being written when the trail was told to end is written again, and is the same record.
		if !slices.ContainsFunc(l.w.entries, func(one audit.Entry) bool { return one.Record.ID == entry.Record.ID }) {
			l.w.entries = append(l.w.entries, entry)
		}
	}
	return err
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{clock: clocktesting.NewFakeClock(noon)}
	opened, err := spool.Open(spool.Options{Dir: t.TempDir(), Log: log{audittest.Open(t, t.TempDir()), w}, Clock: clock.RealClock{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	w.spool = opened
	w.Trail = trail.New(trail.Options{Gateway: gateway(), Spool: w, Clock: w.clock, Logger: logr.Discard()})
	return w
}

// run runs the trail until stop, after which all that it wrote is in the log.
func (w *world) run(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		w.Run(ctx)
		close(over)
	}()
	stop = func() {
		cancel()
		<-over
	}
	t.Cleanup(stop)
	return stop
}

// records are those in the log.
func (w *world) records(t *testing.T) []audit.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.spool.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	records := make([]audit.Record, 0, len(w.entries))
	for _, entry := range w.entries {
		records = append(records, entry.Record)
	}
	return records
}

// until waits for something that another goroutine does.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !holds() {
		if ctx.Err() != nil {
			t.Fatal("it never comes to pass that", what)
		}
	}
}

func steps(records []audit.Record) []string {
	told := make([]string, 0, len(records))
	for _, record := range records {
		told = append(told, record.Step+" of "+record.Object.Name)
	}
	return told
}

func TestTheRecordOfACall(t *testing.T) {
	w := newWorld(t)
	traced := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2}, SpanID: trace.SpanID{3, 4}})
	call := callOf(standing("uid-1"))
	call.Trace = traced
	if err := w.Call(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	got := w.records(t)[0]
	got.PrevHash, got.Hash = "", ""
	step := "credential.proxy/agent-passport-gateway-0/0011223344556677-1"
	want := audit.Record{
		ID: audit.ID("uid-1", step), Time: noon, Layer: audit.Proxy, Action: audit.CredentialProxy, Step: step,
		Outcome: audit.Success, Namespace: "support",
		Object:      audit.Object{Kind: "Passport", Name: "ticket-4711", UID: "uid-1"},
		Agent:       &audit.Agent{Name: "support-bot", UID: "agent-uid"},
		PassportJTI: "pp_uid-1", SessionID: "ps_1",
		Actor: audit.Actor{Username: "system:serviceaccount:support:support-bot", Via: gateway().Username},
		Facts: &audit.Facts{Call: &audit.Call{
			Gateway: "agent-passport-gateway-0", Front: "proxy", Service: "slack", Method: "POST",
			Target: "https://slack.com/api/chat.postMessage", Declared: true, Source: "10.1.2.3",
		}},
		TraceID: "01020000000000000000000000000000", SpanID: "0304000000000000",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOutcomes(t *testing.T) {
	for code, want := range map[decision.Code]audit.Outcome{
		decision.CodeOutsideScope: audit.Blocked, decision.CodeConstraint: audit.Blocked, decision.CodeExpired: audit.Blocked,
		decision.CodeForeignCaller: audit.Blocked, decision.CodeAddressRefused: audit.Blocked, decision.CodeLimited: audit.Blocked,
		decision.CodeStateUnknown: audit.Failure, decision.CodeCallerUnknown: audit.Failure, decision.CodeCredential: audit.Failure,
		decision.CodeUpstream: audit.Failure, decision.Allowed: audit.Success,
	} {
		w := newWorld(t)
		call := callOf(standing("uid-1"))
		call.Code, call.Allowed, call.Caller, call.Target = code, code == decision.Allowed, "", target.Target{}
		if err := w.Call(t.Context(), call); err != nil {
			t.Fatal(err)
		}
		record := w.records(t)[0]
		wantCode := string(code)
		if code == decision.Allowed {
			wantCode = ""
		}
		if record.Outcome != want || record.ErrorCode != wantCode || record.Actor.Username != "unknown" || record.Facts.Call.Target != "" {
			t.Errorf("%s: %+v", code, record)
		}
	}
}

// Whatever a caller writes, the log takes the record, and it is short.
func TestTheLogTakesEveryCall(t *testing.T) {
	w := newWorld(t)
	secret := rapid.SampledFrom([]string{
		"Bearer abcdefghijklmnopqrstuvwxyz", "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl", "-----BEGIN PRIVATE KEY-----", "\xff\xfe", "…",
	})
	text := rapid.Custom(func(t *rapid.T) string {
		return rapid.String().Draw(t, "before") + secret.Draw(t, "secret") + strings.Repeat(rapid.String().Draw(t, "after"), rapid.IntRange(0, 300).Draw(t, "times"))
	})
	rapid.Check(t, func(rt *rapid.T) {
		call := callOf(standing("uid-1"))
		call.Service = v1alpha1.ServiceName(text.Draw(rt, "service"))
		call.Method, call.Caller, call.Source = text.Draw(rt, "method"), text.Draw(rt, "caller"), text.Draw(rt, "source")
		call.Target.Path = "/" + text.Draw(rt, "path")
		var record audit.Record
		taken := trail.New(trail.Options{Gateway: gateway(), Clock: w.clock, Spool: spoolFunc(func(r audit.Record) { record = r })})
		if err := taken.Call(t.Context(), call); err != nil {
			rt.Fatal(err)
		}
		if err := audit.Check(record); err != nil {
			rt.Fatal(err)
		}
		raw, err := audit.Encode(record)
		if err != nil || len(raw) > 8<<10 || !utf8.Valid(raw) {
			rt.Fatal(len(raw), err)
		}
	})
}

type spoolFunc func(audit.Record)

func (f spoolFunc) Append(_ context.Context, record audit.Record) error {
	f(record)
	return nil
}

func TestNoTwoCallsHaveOneID(t *testing.T) {
	ids := map[string]bool{}
	for range 3 {
		who := gateway()
		who.Boot = trail.NewBoot()
		for _, pod := range []string{"agent-passport-gateway-0", "agent-passport-gateway-1"} {
			who.Name = pod
			tr := trail.New(trail.Options{Gateway: who, Clock: clock.RealClock{}, Spool: spoolFunc(func(r audit.Record) {
				if ids[r.ID] {
					t.Error("twice", r.Step)
				}
				ids[r.ID] = true
			})})
			for range 10 {
				if err := tr.Call(t.Context(), callOf(standing("uid-1"))); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if len(ids) != 60 {
		t.Error(len(ids))
	}
}

// The mark stands behind the record of every call that had begun when the mission ended, and waits for no later one.
func TestAMarkWaitsForCallsInFlight(t *testing.T) {
	w := newWorld(t)
	stop := w.run(t)
	of, other := standing("uid-1"), standing("uid-2")
	first, second, foreign := w.Begin(of.UID), w.Begin(of.UID), w.Begin(other.UID)
	w.Ended(of)
	until(t, "it waits", func() bool { return w.clock.Waiters() >= 2 })
	later := w.Begin(of.UID)
	if err := w.Call(t.Context(), callOf(of)); err != nil {
		t.Fatal(err)
	}
	first()
	first() // counts once
	if told := steps(w.records(t)); len(told) != 1 {
		t.Error("marked too early", told)
	}
	if err := w.Call(t.Context(), callOf(of)); err != nil {
		t.Fatal(err)
	}
	second()
	until(t, "it is marked", func() bool { return len(w.records(t)) == 3 })
	want := []string{
		"credential.proxy/agent-passport-gateway-0/0011223344556677-1 of ticket-4711",
		"credential.proxy/agent-passport-gateway-0/0011223344556677-2 of ticket-4711",
		"passport.seen/agent-passport-gateway-0 of ticket-4711",
	}
	if diff := cmp.Diff(want, steps(w.records(t))); diff != "" {
		t.Error(diff)
	}
	mark := w.records(t)[2]
	if mark.Facts.Gateway != gateway().Name || mark.PassportJTI != of.JTI || mark.Actor.Username != gateway().Username {
		t.Errorf("%+v", mark)
	}
	later()
	foreign()
	stop()
}

func TestAMarkWaitsForFiveSeconds(t *testing.T) {
	w := newWorld(t)
	w.run(t)
	of := standing("uid-1")
	done := w.Begin(of.UID)
	w.Ended(of)
	until(t, "it waits", func() bool { return w.clock.Waiters() >= 2 })
	w.clock.Step(5*time.Second - 1)
	if told := steps(w.records(t)); len(told) != 0 {
		t.Error(told)
	}
	w.clock.Step(1)
	until(t, "it is marked", func() bool { return len(w.records(t)) == 1 })
	done()
}

func TestOnlyMissionsWithAVerdictAreMarked(t *testing.T) {
	w := newWorld(t)
	stop := w.run(t)
	for mode, uid := range map[v1alpha1.AccountabilityMode]string{v1alpha1.ModeEnforced: "e", v1alpha1.ModeLogged: "l", v1alpha1.ModeStandard: "s"} {
		of := standing(uid)
		of.Mode = mode
		w.Ended(of)
	}
	never := standing("never-issued")
	never.JTI = ""
	w.Ended(never)
	stop()
	var marked []string
	for _, record := range w.records(t) {
		marked = append(marked, record.Object.UID)
	}
	slices.Sort(marked)
	if diff := cmp.Diff([]string{"e", "l"}, marked); diff != "" {
		t.Error(diff)
	}
}

// A spool that is full for a while costs no mark, and is not asked in a storm.
func TestAMarkIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.fails = errors.New("full")
	w.run(t)
	w.Ended(standing("uid-1"))
	until(t, "it rests", func() bool { return w.clock.Waiters() >= 2 })
	w.mu.Lock()
	tries := w.tries
	w.fails = nil
	w.mu.Unlock()
	if tries > 16 {
		t.Error(tries, "attempts without a rest")
	}
	w.clock.Step(time.Second)
	until(t, "it is marked", func() bool { return len(w.records(t)) == 1 })
}

// What is left when the gateway stops is written, without a wait.
func TestTheEndOfTheTrail(t *testing.T) {
	w := newWorld(t)
	stop := w.run(t)
	done := w.Begin("uid-0")
	defer done()
	for n := range 100 {
		w.Ended(standing(fmt.Sprintf("uid-%d", n)))
	}
	w.Forged("10.9.9.9")
	stop()
	if told := steps(w.records(t)); len(told) != 101 {
		t.Error(len(told), told)
	}
}

func TestForgedTokensAreSummed(t *testing.T) {
	w := newWorld(t)
	stop := w.run(t)
	until(t, "it ticks", w.clock.HasWaiters)
	for range 30 {
		w.Forged("10.9.9.9")
	}
	w.Forged("10.8.8.8")
	w.clock.Step(45 * time.Second) // 12:00:55
	w.Forged("10.9.9.9")
	if told := steps(w.records(t)); len(told) != 0 {
		t.Error("the minute is not over", told)
	}
	w.clock.Step(5 * time.Second)
	until(t, "they are recorded", func() bool { return len(w.records(t)) == 2 })
	w.Forged("10.9.9.9")
	stop()
	records := w.records(t)
	wantSteps := []string{
		"signal.raise/token_forgery/10.8.8.8/2026-08-01T12:00Z/0011223344556677-1 of agent-passport-gateway-0",
		"signal.raise/token_forgery/10.9.9.9/2026-08-01T12:00Z/0011223344556677-2 of agent-passport-gateway-0",
		"signal.raise/token_forgery/10.9.9.9/2026-08-01T12:01Z/0011223344556677-3 of agent-passport-gateway-0",
	}
	if diff := cmp.Diff(wantSteps, steps(records)); diff != "" {
		t.Error(diff)
	}
	for i, want := range []int64{1, 31, 1} {
		record := records[i]
		if record.Facts.Actions != want || record.Facts.Flags[0].Severity != "critical" || record.Object.Kind != "Gateway" ||
			record.PassportJTI != "" || record.Agent != nil || record.Namespace != "agent-passport-system" || record.Outcome != audit.Blocked {
			t.Errorf("%d: %+v", i, record)
		}
	}
}

// However many sources there are, a minute has few records, and none is left out of the sum.
func TestManySources(t *testing.T) {
	w := newWorld(t)
	stop := w.run(t)
	for n := range 1000 {
		w.Forged(fmt.Sprintf("10.0.%d.%d", n/256, n%256))
	}
	stop()
	records := w.records(t)
	var sum int64
	for _, record := range records {
		sum += record.Facts.Actions
	}
	if len(records) != 256 || sum != 1000 {
		t.Error(len(records), sum)
	}
}
