package lifecycle

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"agentpassport.dev/operator/api/v1alpha1"
)

func TestAnExpiryIsWrittenFiveSecondsLaterAfterALiveList(t *testing.T) {
	const moment = time.Millisecond
	passport := active(leash(v1alpha1.ModeEnforced, 900, 300, 86400))
	for name, tc := range map[string]struct {
		now, listed time.Time
		phase       v1alpha1.Phase
		confirm     bool
		wake        time.Time
	}{
		"long before":                        {now: after(1), phase: v1alpha1.PhaseActive, wake: after(305)},
		"at the expiry":                      {now: after(300), phase: v1alpha1.PhaseActive, wake: after(305)},
		"a moment before the grace is over":  {now: after(305).Add(-moment), phase: v1alpha1.PhaseActive, wake: after(305)},
		"the same, by a live LIST":           {now: after(305).Add(-moment), listed: after(305).Add(-moment), phase: v1alpha1.PhaseActive, wake: after(305)},
		"by a cache":                         {now: after(305), phase: v1alpha1.PhaseActive, confirm: true},
		"by a cache, an hour later":          {now: after(3900), phase: v1alpha1.PhaseActive, confirm: true},
		"by a live LIST from before the end": {now: after(306), listed: after(305).Add(-moment), phase: v1alpha1.PhaseActive, confirm: true},
		"by a live LIST":                     {now: after(305), listed: after(305), phase: v1alpha1.PhaseExpired},
	} {
		t.Run(name, func(t *testing.T) {
			got := Advance(Situation{Passport: passport, Agent: agent(), Now: tc.now, ListedAt: tc.listed})
			if got.Status.Phase != tc.phase || got.Confirm != tc.confirm || !got.Wake.Equal(tc.wake) {
				t.Errorf("%s, confirm %v, wake %v", got.Status.Phase, got.Confirm, got.Wake)
			}
			if tc.phase == v1alpha1.PhaseActive && (!cmp.Equal(got.Status, passport.Status) || len(got.News) > 0) {
				t.Errorf("%s %+v", cmp.Diff(passport.Status, got.Status), got.News)
			}
		})
	}
}

func TestFoldAtTheExpiry(t *testing.T) {
	late := report(301, "late")
	for name, tc := range map[string]struct {
		reports []v1alpha1.Checkpoint
		now     int
		expiry  int
		want    map[types.UID]v1alpha1.Reason
	}{
		"in its second":                       {reports(1, 300, 0), 301, 600, map[types.UID]v1alpha1.Reason{"000": v1alpha1.ReasonAccepted}},
		"a second late, nothing yet":          {[]v1alpha1.Checkpoint{late}, 302, 300, map[types.UID]v1alpha1.Reason{}},
		"a second late, by a live LIST":       {[]v1alpha1.Checkpoint{late}, 306, 300, map[types.UID]v1alpha1.Reason{"late": v1alpha1.ReasonTooLate}},
		"late, but for one that moved it":     {append(reports(1, 300, 0), late), 306, 601, map[types.UID]v1alpha1.Reason{"000": v1alpha1.ReasonAccepted, "late": v1alpha1.ReasonAccepted}},
		"a chain, each in time":               {reports(5, 300, 300), 1501, 1800, map[types.UID]v1alpha1.Reason{"000": "Accepted", "001": "Accepted", "002": "Accepted", "003": "Accepted", "004": "Accepted"}},
		"a chain with one link a second over": {append(reports(2, 300, 300), report(901, "late")), 906, 900, map[types.UID]v1alpha1.Reason{"000": "Accepted", "001": "Accepted", "late": "TooLate"}},
		"an early one changes no expiry":      {reports(1, -60, 0), 1, 300, map[types.UID]v1alpha1.Reason{"000": v1alpha1.ReasonAccepted}},
	} {
		t.Run(name, func(t *testing.T) {
			passport := active(leash(v1alpha1.ModeEnforced, 900, 300, 86400))
			got := look(Situation{Passport: passport, Agent: agent(), Checkpoints: tc.reports, Now: after(tc.now)}, tc.reports)
			if diff := cmp.Diff(tc.want, marks(got)); diff != "" {
				t.Error(diff)
			}
			if !got.Status.ExpirationTime.Time.Equal(after(tc.expiry)) {
				t.Errorf("expiry %v, want %v", got.Status.ExpirationTime, after(tc.expiry))
			}
		})
	}
}

func TestFoldSums(t *testing.T) {
	passport := active(leash(v1alpha1.ModeEnforced, 900, 300, 86400))
	passport.Generation = 3
	checkpoints := []v1alpha1.Checkpoint{
		report(30, "b", using("slack", "github"), func(c *v1alpha1.Checkpoint) { c.Spec.ActionsCount = 5 }),
		report(20, "a", using("slack"), func(c *v1alpha1.Checkpoint) { c.Spec.ActionsCount = 1_000_000 }),
		report(40, "foreign", using("stripe"), func(c *v1alpha1.Checkpoint) { c.Spec.AgentRef.Name = "other" }),
		report(10, "marked", judged(passport, v1alpha1.ReasonTooLate)),
	}
	its := agent(func(a *v1alpha1.AgentPassport) { a.Spec.Accountability.OnWarning = v1alpha1.EscalateBlock })
	passport.Status.Issued.Services = append(passport.Status.Issued.Services, v1alpha1.IssuedService{Service: "github"})
	got := Advance(Situation{Passport: passport, Agent: its, Checkpoints: checkpoints, Now: after(50)})
	status := got.Status
	if *status.Checkpoints != 2 || status.Actions != 1_000_005 || status.ObservedGeneration != 3 {
		t.Errorf("%d checkpoints, %d actions, generation %d", *status.Checkpoints, status.Actions, status.ObservedGeneration)
	}
	if diff := cmp.Diff([]v1alpha1.ServiceName{"github", "slack"}, status.ServicesUsed); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]types.UID{"a", "b"}, status.Folded); diff != "" {
		t.Error(diff)
	}
	if !status.LastCheckpointTime.Time.Equal(after(30)) || !status.CheckpointBy.Time.Equal(after(180)) {
		t.Errorf("last %v, by %v", status.LastCheckpointTime, status.CheckpointBy)
	}
	if diff := cmp.Diff(&v1alpha1.CheckpointWindow{Start: metaAfter(20), Count: 2}, status.CheckpointWindow); diff != "" {
		t.Error(diff)
	}
	want := []News{{Kind: NewsExtended, Reason: "CheckpointAccepted", Message: "2 checkpoints accepted; good until 2026-04-23T12:05:30Z"}}
	if diff := cmp.Diff(want, got.News); diff != "" {
		t.Error(diff)
	}
	if len(got.Blocks) > 0 || len(status.Signals) > 0 {
		t.Errorf("%+v %+v", got.Blocks, status.Signals)
	}
}

func TestFoldInModeLogged(t *testing.T) {
	passport := active(leash(v1alpha1.ModeLogged, 900, 300, 86400))
	got := Advance(Situation{Passport: passport, Agent: agent(), Checkpoints: reports(1, 200, 0), Now: after(201)})
	want := []News{{Kind: NewsExtended, Reason: "CheckpointAccepted", Message: "1 checkpoint recorded; mode Logged does not extend: good until 2026-04-23T12:15:00Z"}}
	if diff := cmp.Diff(want, got.News); diff != "" {
		t.Error(diff)
	}
	if !got.Status.ExpirationTime.Time.Equal(after(900)) || !got.Wake.Equal(after(505)) {
		t.Errorf("expiry %v, wake %v", got.Status.ExpirationTime, got.Wake)
	}
}

func TestServicesUsedAreBounded(t *testing.T) {
	var many []v1alpha1.ServiceName
	for i := range 200 {
		many = append(many, v1alpha1.ServiceName(fmt.Sprintf("s%03d", 199-i)))
	}
	got := used(used(nil, many[:100]), many[50:])
	if len(got) != 128 || got[0] != "s000" || got[127] != "s127" {
		t.Errorf("%d services, from %s to %s", len(got), got[0], got[len(got)-1])
	}
}

// What waits because the operator was away is folded twenty a write; nothing is decided in between.
func TestFoldTwentyAWrite(t *testing.T) {
	passport := active(leash(v1alpha1.ModeEnforced, 900, 300, 86400))
	checkpoints := reports(45, 250, 250)
	blocks := []v1alpha1.AgentBlock{block(11300, "stop", "bot")}
	for round, want := range []int32{20, 40, 45} {
		got := look(Situation{Passport: passport, Agent: agent(), Blocks: blocks, Checkpoints: checkpoints, Now: after(13000)}, checkpoints)
		if *got.Status.Checkpoints != want || len(got.Status.Folded) > 20 {
			t.Fatalf("round %d: %d checkpoints, %d folded", round, *got.Status.Checkpoints, len(got.Status.Folded))
		}
		if finished := got.Status.Phase.Finished(); finished != (round == 2) {
			t.Fatalf("round %d: %s", round, got.Status.Phase)
		}
		passport.Status = got.Status
		written(got.Marks, passport, checkpoints)
	}
	if passport.Status.Phase != v1alpha1.PhaseRevoked || !passport.Status.EndTime.Time.Equal(after(11300)) {
		t.Errorf("%s at %v", passport.Status.Phase, passport.Status.EndTime)
	}
}

// Folded checkpoints that are deleted, by whomever, do not fill the list for good: the mission would
// neither count another nor ever end.
func TestFoldedCheckpointsThatAreGoneAreForgotten(t *testing.T) {
	passport := active(leash(v1alpha1.ModeEnforced, 900, 300, 86400))
	twenty := reports(20, 10, 0)
	passport.Status = Advance(Situation{Passport: passport, Agent: agent(), Checkpoints: twenty, Now: after(11)}).Status
	for name, tc := range map[string]struct {
		blocks []v1alpha1.AgentBlock
		now    int
		phase  v1alpha1.Phase
		count  int32
	}{
		"the next one counts": {nil, 201, v1alpha1.PhaseActive, 21},
		"a block bites":       {[]v1alpha1.AgentBlock{block(300, "stop", "bot")}, 301, v1alpha1.PhaseRevoked, 21},
		"silence is the end":  {nil, 9999, v1alpha1.PhaseExpired, 21},
	} {
		t.Run(name, func(t *testing.T) {
			next := []v1alpha1.Checkpoint{report(200, "next")}
			got := look(Situation{Passport: passport, Agent: agent(), Blocks: tc.blocks, Checkpoints: next, Now: after(tc.now)}, next)
			if got.Status.Phase != tc.phase || *got.Status.Checkpoints != tc.count {
				t.Errorf("%s with %d checkpoints, confirm %v, wake %v", got.Status.Phase, *got.Status.Checkpoints, got.Confirm, got.Wake)
			}
		})
	}
}

// The same by what the operator does itself: it keeps the last three that it marked. Of those that it
// deleted a live LIST knows.
func TestFoldedCheckpointsThatAreTrimmedAreForgotten(t *testing.T) {
	passport := active(leash(v1alpha1.ModeEnforced, 900, 300, 86400))
	checkpoints := reports(20, 10, 0)
	for range 3 {
		got := Advance(Situation{Passport: passport, Agent: agent(), Checkpoints: checkpoints, Now: after(20)})
		passport.Status = got.Status
		written(got.Marks, passport, checkpoints)
		kept := []v1alpha1.Checkpoint{}
		gone := map[types.UID]bool{}
		for _, surplus := range Surplus(checkpoints) {
			gone[surplus.UID] = true
		}
		for _, checkpoint := range checkpoints {
			if !gone[checkpoint.UID] {
				kept = append(kept, checkpoint)
			}
		}
		checkpoints = kept
	}
	got := Advance(Situation{Passport: passport, Agent: agent(), Checkpoints: append(checkpoints, report(200, "next")), Now: after(201), ListedAt: after(201)})
	if diff := cmp.Diff([]types.UID{"next"}, got.Status.Folded); diff != "" {
		t.Error(diff)
	}
}

// A cache may show a checkpoint as it was before it was marked, after its UID has left the list: that
// of another replica, or after a restart.
func TestACheckpointIsCountedOnceHoweverStaleTheCache(t *testing.T) {
	passport := active(leash(v1alpha1.ModeEnforced, 900, 300, 86400))
	first, second := report(10, "a"), report(20, "b")
	passport.Status = Advance(Situation{Passport: passport, Agent: agent(), Checkpoints: []v1alpha1.Checkpoint{first}, Now: after(11)}).Status
	marked := *first.DeepCopy()
	judged(passport, v1alpha1.ReasonAccepted)(&marked)
	passport.Status = Advance(Situation{Passport: passport, Agent: agent(), Checkpoints: []v1alpha1.Checkpoint{marked, second}, Now: after(21)}).Status
	if *passport.Status.Checkpoints != 2 {
		t.Fatalf("%d checkpoints", *passport.Status.Checkpoints)
	}
	stale := []v1alpha1.Checkpoint{first, second}
	got := look(Situation{Passport: passport, Agent: agent(), Checkpoints: stale, Now: after(22)}, []v1alpha1.Checkpoint{marked, second})
	if *got.Status.Checkpoints != 2 || got.Status.Actions != 2 {
		t.Errorf("%d checkpoints, %d actions", *got.Status.Checkpoints, got.Status.Actions)
	}
}

// Twenty-two too many wait. The operator crashes between their marks, and its cache lags behind its
// writes: what is told that it does not count is not counted later, and what counts is told so.
func TestACheckpointIsNotCountedAfterItWasRefused(t *testing.T) {
	passport := active(leash(v1alpha1.ModeEnforced, 900, 300, 86400))
	unmarked := reports(42, 10, 0)
	stored := deepCopy(unmarked)
	write := func(mark Mark) {
		if to := &stored[slices.IndexFunc(stored, func(c v1alpha1.Checkpoint) bool { return c.UID == mark.Checkpoint.UID })]; !Marked(to) {
			to.Status = mark.Status(passport, after(11))
		}
	}
	situation := func(cached []v1alpha1.Checkpoint) Situation {
		return Situation{Passport: passport, Agent: agent(), Checkpoints: cached, Now: after(11)}
	}

	first := look(situation(unmarked), stored)
	passport.Status = first.Status
	written := 0
	for _, mark := range first.Marks {
		if mark.Reason == v1alpha1.ReasonTooMany && written < 20 {
			write(mark)
			written++
		}
	}
	second := look(situation(unmarked), deepCopy(stored)) // after the crash, of a cache that shows none of them
	passport.Status = second.Status
	for _, mark := range second.Marks {
		write(mark)
	}
	lagging := deepCopy(stored)
	for i := 40; i < 42; i++ { // the last two that are written
		lagging[i].Status = v1alpha1.CheckpointStatus{}
	}
	third := look(situation(lagging), deepCopy(stored))
	passport.Status = third.Status
	for _, mark := range third.Marks {
		write(mark)
	}
	accepted := int32(0)
	for i := range stored {
		if Accepted(&stored[i]) {
			accepted++
		}
	}
	if *passport.Status.Checkpoints != accepted {
		t.Errorf("%d count, %d are told so", *passport.Status.Checkpoints, accepted)
	}
}

func TestSilence(t *testing.T) {
	type step struct {
		now     int
		reports []v1alpha1.Checkpoint
		count   int32 // of checkpoint_silence so far
		last    int
		wake    int
	}
	for name, tc := range map[string]struct {
		terms v1alpha1.IssuedTerms
		steps []step
	}{
		"Logged, once for each gap": {leash(v1alpha1.ModeLogged, 3600, 300, 86400), []step{
			{now: 1, wake: 305},
			{now: 304, wake: 305},
			{now: 305, count: 1, last: 300, wake: 3605},
			{now: 400, count: 1, last: 300, wake: 3605},
			{now: 1000, reports: reports(1, 500, 0), count: 2, last: 800, wake: 3605},
			{now: 1001, reports: reports(1, 500, 0), count: 2, last: 800, wake: 3605},
			{now: 1100, reports: append(reports(1, 500, 0), report(1100, "x")), count: 2, last: 800, wake: 1405},
		}},
		"Logged, none where the expiry comes first": {leash(v1alpha1.ModeLogged, 300, 300, 86400), []step{
			{now: 1, wake: 305}, {now: 304, wake: 305},
		}},
		"Logged, a checkpoint in its last second": {leash(v1alpha1.ModeLogged, 3600, 300, 86400), []step{
			{now: 306, reports: reports(1, 300, 0), wake: 605},
		}},
		"Enforced, not before the end": {leash(v1alpha1.ModeEnforced, 3600, 300, 86400), []step{
			{now: 304, wake: 305}, {now: 305, count: 1, last: 300},
		}},
		"Enforced, none at the mission's limit": {leash(v1alpha1.ModeEnforced, 3600, 300, 300), []step{
			{now: 304, wake: 305}, {now: 305},
		}},
		"Standard, none": {leash(v1alpha1.ModeStandard, 600, 0, 86400), []step{
			{now: 1, wake: 605}, {now: 605},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			passport := active(tc.terms)
			for i, step := range tc.steps {
				got := look(Situation{Passport: passport, Agent: agent(), Checkpoints: step.reports, Now: after(step.now)}, step.reports)
				passport.Status = got.Status
				told := signal(&got.Status, "checkpoint_silence")
				if (told == nil) != (step.count == 0) || (told != nil && (told.Count != step.count || !told.LastTime.Time.Equal(after(step.last)))) {
					t.Errorf("step %d: %+v", i, told)
				}
				if step.wake == 0 != got.Wake.IsZero() || (step.wake != 0 && !got.Wake.Equal(after(step.wake))) {
					t.Errorf("step %d: wakes at %v", i, got.Wake)
				}
			}
		})
	}
}

func TestSignals(t *testing.T) {
	accepting := func(kind string, until int) changeAgent {
		return func(a *v1alpha1.AgentPassport) {
			a.Spec.Accountability.Accept = []v1alpha1.StandingException{{Type: kind, Until: metaAfter(until), Reason: "known"}}
		}
	}
	escalating := func(onWarning, onCritical v1alpha1.Escalation) changeAgent {
		return func(a *v1alpha1.AgentPassport) {
			a.Spec.Accountability.OnWarning, a.Spec.Accountability.OnCritical = onWarning, onCritical
		}
	}
	const block, notify = v1alpha1.EscalateBlock, v1alpha1.EscalateNotify
	outside := []v1alpha1.Checkpoint{report(50, "a", using("stripe"))}
	for name, tc := range map[string]struct {
		mode     v1alpha1.AccountabilityMode
		agent    changeAgent
		reports  []v1alpha1.Checkpoint
		now      int
		kind     string
		severity v1alpha1.Severity
		count    int32
		blocks   int
		phase    v1alpha1.Phase
	}{
		"outside, Enforced":                     {v1alpha1.ModeEnforced, escalating(notify, block), outside, 60, "credential_outside_scope", v1alpha1.SeverityCritical, 1, 1, v1alpha1.PhaseRevoked},
		"outside, Enforced, to notify":          {v1alpha1.ModeEnforced, escalating(block, notify), outside, 60, "credential_outside_scope", v1alpha1.SeverityCritical, 1, 0, v1alpha1.PhaseRevoked},
		"outside, Enforced, accepted":           {v1alpha1.ModeEnforced, accepting("credential_outside_scope", 51), outside, 60, "credential_outside_scope", v1alpha1.SeverityInfo, 1, 0, v1alpha1.PhaseActive},
		"outside, Enforced, no longer accepted": {v1alpha1.ModeEnforced, accepting("credential_outside_scope", 50), outside, 60, "credential_outside_scope", v1alpha1.SeverityCritical, 1, 1, v1alpha1.PhaseRevoked},
		"outside, Logged":                       {v1alpha1.ModeLogged, escalating(notify, block), outside, 60, "credential_outside_scope", v1alpha1.SeverityWarning, 1, 0, v1alpha1.PhaseActive},
		"outside, Logged, to block":             {v1alpha1.ModeLogged, escalating(block, block), outside, 60, "credential_outside_scope", v1alpha1.SeverityWarning, 1, 1, v1alpha1.PhaseActive},
		"outside, Logged, two services":         {v1alpha1.ModeLogged, escalating(notify, block), []v1alpha1.Checkpoint{report(50, "a", using("stripe", "aws"))}, 60, "credential_outside_scope", v1alpha1.SeverityWarning, 2, 0, v1alpha1.PhaseActive},
		"burst":                                 {v1alpha1.ModeEnforced, escalating(notify, block), reports(11, 0, 20), 250, "checkpoint_burst", v1alpha1.SeverityWarning, 1, 0, v1alpha1.PhaseActive},
		"burst, to block":                       {v1alpha1.ModeEnforced, escalating(block, block), reports(15, 0, 20), 290, "checkpoint_burst", v1alpha1.SeverityWarning, 1, 1, v1alpha1.PhaseActive},
		"burst, twice":                          {v1alpha1.ModeLogged, escalating(notify, block), append(reports(11, 0, 1), reports2(11, 311)...), 400, "checkpoint_burst", v1alpha1.SeverityWarning, 2, 0, v1alpha1.PhaseActive},
		"silence, to block":                     {v1alpha1.ModeEnforced, escalating(block, block), nil, 305, "checkpoint_silence", v1alpha1.SeverityWarning, 1, 1, v1alpha1.PhaseExpired},
		"silence, accepted":                     {v1alpha1.ModeEnforced, accepting("checkpoint_silence", 301), nil, 305, "checkpoint_silence", v1alpha1.SeverityInfo, 1, 0, v1alpha1.PhaseExpired},
	} {
		t.Run(name, func(t *testing.T) {
			passport := active(leash(tc.mode, 900, 300, 86400))
			got, made, checkpoints := Outcome{Status: passport.Status}, 0, deepCopy(tc.reports)
			for range 3 { // two bursts are more than one write folds
				passport.Status = got.Status
				got = look(Situation{Passport: passport, Agent: agent(tc.agent), Checkpoints: checkpoints, Now: after(tc.now)}, checkpoints)
				made += len(got.Blocks)
				written(got.Marks, passport, checkpoints)
			}
			if len(got.Status.Signals) != 1 {
				t.Fatalf("%+v", got.Status.Signals)
			}
			signal := got.Status.Signals[0]
			if signal.Type != tc.kind || signal.Severity != tc.severity || signal.Count != tc.count || signal.Message == "" {
				t.Errorf("%+v", signal)
			}
			if made != tc.blocks || got.Status.Phase != tc.phase {
				t.Errorf("%d blocks, %s", made, got.Status.Phase)
			}
		})
	}
}

// reports2 are n more Checkpoints in one second.
func reports2(n, at int) []v1alpha1.Checkpoint {
	var made []v1alpha1.Checkpoint
	for i := range n {
		made = append(made, report(at, fmt.Sprintf("again-%03d", i)))
	}
	return made
}

func TestASignalKeepsItsWorstSeverity(t *testing.T) {
	passport := active(leash(v1alpha1.ModeLogged, 3600, 300, 86400))
	checkpoints := []v1alpha1.Checkpoint{report(10, "a", using("stripe")), report(20, "b", using("stripe"))}
	its := agent()
	passport.Status = Advance(Situation{Passport: passport, Agent: its, Checkpoints: checkpoints[:1], Now: after(15)}).Status
	its.Spec.Accountability.Accept = []v1alpha1.StandingException{{Type: "credential_outside_scope", Until: metaAfter(1000), Reason: "known"}}
	status := Advance(Situation{Passport: passport, Agent: its, Checkpoints: checkpoints, Now: after(25)}).Status
	want := v1alpha1.Signal{
		Type: "credential_outside_scope", Severity: v1alpha1.SeverityWarning, Count: 2, FirstTime: metaAfter(10), LastTime: metaAfter(20),
		Message: "checkpoint report-b reports the use of stripe, which is neither granted nor in the intent; accepted until 2026-04-23T12:16:40Z: known",
	}
	if diff := cmp.Diff([]v1alpha1.Signal{want}, status.Signals); diff != "" {
		t.Error(diff)
	}
}

func TestASignalWasSeenFirstBeforeItWasSeenLast(t *testing.T) {
	passport := active(leash(v1alpha1.ModeLogged, 3600, 300, 86400))
	earlier, later := report(10, "a", using("stripe")), report(20, "b", using("stripe"))
	passport.Status = Advance(Situation{Passport: passport, Agent: agent(), Checkpoints: []v1alpha1.Checkpoint{later}, Now: after(21)}).Status
	both := []v1alpha1.Checkpoint{earlier, later}
	seen := look(Situation{Passport: passport, Agent: agent(), Checkpoints: both, Now: after(22)}, both).Status.Signals[0]
	if !seen.FirstTime.Time.Equal(after(10)) || !seen.LastTime.Time.Equal(after(20)) || seen.Count != 2 {
		t.Errorf("%+v", seen)
	}
}

// An AgentPassport that only has the name of the one that the passport was issued under has no say:
// neither may its exceptions accept, nor is it blocked for what it did not do.
func TestAnotherAgentOfTheSameNameHasNoSay(t *testing.T) {
	another := agent(func(a *v1alpha1.AgentPassport) {
		a.UID = "another"
		a.Spec.Accountability.Accept = []v1alpha1.StandingException{{Type: "credential_outside_scope", Until: metaAfter(1000), Reason: "known"}}
	})
	passport := active(leash(v1alpha1.ModeEnforced, 900, 300, 86400))
	checkpoints := []v1alpha1.Checkpoint{report(50, "a", using("stripe"))}
	got := look(Situation{Passport: passport, Agent: another, Checkpoints: checkpoints, Now: after(60)}, checkpoints)
	if ready := readyOf(got.Status.Conditions); ready.Reason != string(v1alpha1.ReasonSignalRaised) || !got.Status.EndTime.Time.Equal(after(50)) {
		t.Errorf("%s at %v", ready.Reason, got.Status.EndTime)
	}
	if len(got.Blocks) > 0 {
		t.Errorf("%+v", got.Blocks)
	}
}

// What people read in `kubectl describe` is true.
func TestTheReadyConditionNamesTheExpiryThatHolds(t *testing.T) {
	passport := active(leash(v1alpha1.ModeEnforced, 900, 300, 86400))
	status := Advance(Situation{Passport: passport, Agent: agent(), Checkpoints: reports(1, 200, 0), Now: after(201)}).Status
	ready := readyOf(status.Conditions)
	if strings.Contains(ready.Message, "good until") && !strings.Contains(ready.Message, stamp(status.ExpirationTime.Time)) {
		t.Errorf("%q, and the expiry is %s", ready.Message, stamp(status.ExpirationTime.Time))
	}
	if !ready.LastTransitionTime.Time.Equal(noon) {
		t.Errorf("became Ready at %v", ready.LastTransitionTime)
	}
}

func TestAdvanceLeavesWhatItIsGivenAlone(t *testing.T) {
	passport := active(leash(v1alpha1.ModeEnforced, 900, 300, 86400))
	passport.Status = Advance(Situation{Passport: passport, Agent: agent(), Checkpoints: reports(3, 10, 10), Now: after(50)}).Status
	checkpoints := reports(5, 10, 10)
	judged(passport, v1alpha1.ReasonAccepted)(&checkpoints[0])
	checkpoints[4].Spec.ServicesUsed = []v1alpha1.ServiceName{"stripe"}
	situation := Situation{
		Passport: passport, Agent: agent(), Blocks: []v1alpha1.AgentBlock{block(60, "b", "bot"), block(50, "a", "bot")}, Checkpoints: checkpoints, Now: after(70),
	}
	before := Situation{
		Passport: passport.DeepCopy(), Agent: situation.Agent.DeepCopy(), Blocks: deepCopy(situation.Blocks), Checkpoints: deepCopy(checkpoints), Now: after(70),
	}
	first := Advance(situation)
	if diff := cmp.Diff(before, situation); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(first, Advance(situation)); diff != "" {
		t.Errorf("the same question, another answer: %s", diff)
	}
}

func deepCopy[T any, P interface {
	*T
	DeepCopy() *T
}](objects []T) []T {
	copies := make([]T, len(objects))
	for i := range objects {
		copies[i] = *P(&objects[i]).DeepCopy()
	}
	return copies
}

// However many are folded in one go, the sums are the same.
func TestFoldsInBatchesEqualOneFold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mode := rapid.SampledFrom([]v1alpha1.AccountabilityMode{v1alpha1.ModeEnforced, v1alpha1.ModeLogged}).Draw(t, "mode")
		terms := leash(mode, 3600, int32(rapid.IntRange(60, 300).Draw(t, "interval")), rapid.IntRange(60, 2000).Draw(t, "limit"))
		its := agent(func(a *v1alpha1.AgentPassport) {
			a.Spec.Accountability.Accept = []v1alpha1.StandingException{{Type: "credential_outside_scope", Until: metaAfter(100_000), Reason: "known"}}
		})
		var checkpoints []v1alpha1.Checkpoint
		at := 0
		for i := range rapid.IntRange(1, 20).Draw(t, "reports") {
			at += rapid.IntRange(0, 320).Draw(t, "gap")
			checkpoints = append(checkpoints, report(at, fmt.Sprintf("%03d", i), func(c *v1alpha1.Checkpoint) {
				c.Spec.ActionsCount = int32(rapid.IntRange(0, 9).Draw(t, "actions"))
				c.Spec.ServicesUsed = rapid.SliceOfN(rapid.SampledFrom([]v1alpha1.ServiceName{"slack", "aws", "stripe"}), 0, 2).Draw(t, "used")
			}))
		}
		fold := func(from *v1alpha1.Passport, seen []v1alpha1.Checkpoint) *v1alpha1.Passport {
			next := from.DeepCopy()
			// A LIST that began at noon proves no absence, so that nothing ends in between.
			next.Status = Advance(Situation{Passport: from, Agent: its, Checkpoints: seen, Now: after(at), ListedAt: noon}).Status
			return next
		}
		atOnce := fold(active(terms), checkpoints)
		inOrder, anyOrder := active(terms), active(terms)
		arriving := rapid.Permutation(checkpoints).Draw(t, "arriving")
		for n := range checkpoints {
			if n == len(checkpoints)-1 || rapid.Bool().Draw(t, "cut") {
				inOrder, anyOrder = fold(inOrder, checkpoints[:n+1]), fold(anyOrder, arriving[:n+1])
			}
		}
		if diff := cmp.Diff(atOnce.Status, inOrder.Status); diff != "" {
			t.Fatalf("at once -, in batches +:\n%s", diff)
		}
		sums := func(s v1alpha1.PassportStatus) string {
			outside := int32(0)
			if told := signal(&s, "credential_outside_scope"); told != nil {
				outside = told.Count
			}
			return fmt.Sprint(*s.Checkpoints, s.Actions, s.ServicesUsed, s.ExpirationTime, s.LastCheckpointTime, s.CheckpointBy, len(s.Folded), outside)
		}
		if one, other := sums(atOnce.Status), sums(anyOrder.Status); one != other {
			t.Fatalf("at once %s, as they arrived %s", one, other)
		}
	})
}
