package lifecycle

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
)

// refreshed reads those of the checkpoints live that wait, as the controller does.
func refreshed(passport *v1alpha1.Passport, cached, live []v1alpha1.Checkpoint) []v1alpha1.Checkpoint {
	var read []v1alpha1.Checkpoint
	for i := range cached {
		if !Waiting(passport, &cached[i]) {
			read = append(read, cached[i])
			continue
		}
		if at := slices.IndexFunc(live, func(c v1alpha1.Checkpoint) bool { return c.UID == cached[i].UID }); at >= 0 {
			read = append(read, live[at])
		}
	}
	return read
}

// look asks the rules as the controller does: by a cache first, and where they ask for it by a live
// LIST that begins now.
func look(cached Situation, live []v1alpha1.Checkpoint) Outcome {
	cached.Checkpoints = refreshed(cached.Passport, cached.Checkpoints, live)
	outcome := Advance(cached)
	if outcome.Confirm {
		cached.Checkpoints, cached.ListedAt = live, cached.Now
		outcome = Advance(cached)
	}
	return outcome
}

// TestEnd has an Enforced passport of noon, with a leash to 300 s after it.
func TestEnd(t *testing.T) {
	deleted := func(n int) changePassport {
		return func(p *v1alpha1.Passport) { p.DeletionTimestamp = &metav1.Time{Time: after(n)} }
	}
	revocation := func(p *v1alpha1.Passport) {
		p.Spec.Revocation = &v1alpha1.Revocation{Reason: "stop", By: &v1alpha1.Actor{Username: "ann", Via: "gateway"}}
	}
	suspended := func(a *v1alpha1.AgentPassport) { a.Spec.Suspend = true }
	other := func(a *v1alpha1.AgentPassport) { a.UID = "another" }
	outside := using("stripe")
	for name, tc := range map[string]struct {
		limit    int
		passport []changePassport
		agent    []changeAgent
		gone     bool
		blocks   []v1alpha1.AgentBlock
		reports  []v1alpha1.Checkpoint
		now      int

		phase   v1alpha1.Phase
		reason  v1alpha1.Reason
		end     int
		counted int32
		message string
	}{
		"none":                     {now: 300, phase: v1alpha1.PhaseActive, reason: v1alpha1.ReasonIssued},
		"silence":                  {now: 305, phase: v1alpha1.PhaseExpired, reason: v1alpha1.ReasonCheckpointSilence, end: 300, message: "no checkpoint was made by 2026-04-23T12:05:00Z"},
		"silence, later":           {now: 9999, reports: reports(1, 200, 0), phase: v1alpha1.PhaseExpired, reason: v1alpha1.ReasonCheckpointSilence, end: 500, counted: 1},
		"the limit":                {limit: 300, now: 305, phase: v1alpha1.PhaseExpired, reason: v1alpha1.ReasonDeadlineReached, end: 300, message: "the mission's limit was reached at 2026-04-23T12:05:00Z"},
		"the limit, later":         {limit: 400, now: 9999, reports: reports(1, 200, 0), phase: v1alpha1.PhaseExpired, reason: v1alpha1.ReasonDeadlineReached, end: 400, counted: 1},
		"a deletion":               {passport: []changePassport{deleted(50)}, now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonPassportDeleted, end: 50, message: "the Passport was deleted"},
		"a block":                  {blocks: []v1alpha1.AgentBlock{block(50, "stop", "bot")}, now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonAgentBlocked, end: 50, message: "AgentBlock stop: odd"},
		"a block of all":           {blocks: []v1alpha1.AgentBlock{block(50, "stop", "")}, now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonAgentBlocked, end: 50},
		"the first block":          {blocks: []v1alpha1.AgentBlock{block(52, "b", ""), block(51, "a", "bot"), block(50, "x", "", lifted)}, now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonAgentBlocked, end: 51, message: "AgentBlock a: odd"},
		"a request":                {passport: []changePassport{revocation}, now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonRevokedByRequest, end: 60, message: "stop (by ann, via gateway)"},
		"a suspension":             {agent: []changeAgent{suspended}, now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonAgentSuspended, end: 60, message: "agent bot is suspended"},
		"no agent":                 {gone: true, now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonAgentDeleted, end: 60, message: "AgentPassport bot, which it was issued under, was deleted"},
		"another agent":            {agent: []changeAgent{other}, now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonAgentDeleted, end: 60},
		"another agent, suspended": {agent: []changeAgent{other, suspended}, now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonAgentDeleted, end: 60},
		"a signal":                 {reports: []v1alpha1.Checkpoint{report(50, "a", outside)}, now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonSignalRaised, end: 50, counted: 1},
		"a lifted block":           {blocks: []v1alpha1.AgentBlock{block(50, "stop", "bot", lifted)}, now: 60, phase: v1alpha1.PhaseActive, reason: v1alpha1.ReasonIssued},
		"another agent's block":    {blocks: []v1alpha1.AgentBlock{block(50, "stop", "other")}, now: 60, phase: v1alpha1.PhaseActive, reason: v1alpha1.ReasonIssued},

		"no earlier than the issue, a block":                {blocks: []v1alpha1.AgentBlock{block(-30, "stop", "bot")}, now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonAgentBlocked},
		"no earlier than the issue, a deletion":             {passport: []changePassport{deleted(-30)}, now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonPassportDeleted},
		"no earlier than the issue, a signal":               {reports: []v1alpha1.Checkpoint{report(-30, "a", outside)}, now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonSignalRaised, counted: 1},
		"no earlier than the issue, a clock that is behind": {passport: []changePassport{revocation}, now: -2, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonRevokedByRequest},

		"in the second of the expiry, a block":         {blocks: []v1alpha1.AgentBlock{block(300, "stop", "bot")}, now: 9999, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonAgentBlocked, end: 300},
		"a second after the expiry, a block":           {blocks: []v1alpha1.AgentBlock{block(301, "stop", "bot")}, now: 9999, phase: v1alpha1.PhaseExpired, reason: v1alpha1.ReasonCheckpointSilence, end: 300},
		"after the expiry that a checkpoint moved":     {blocks: []v1alpha1.AgentBlock{block(301, "stop", "bot")}, reports: reports(1, 300, 0), now: 9999, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonAgentBlocked, end: 301, counted: 1},
		"in the second of the expiry, a signal":        {reports: []v1alpha1.Checkpoint{report(300, "a", outside)}, now: 9999, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonSignalRaised, end: 300, counted: 1},
		"a second after the expiry, a signal":          {reports: []v1alpha1.Checkpoint{report(301, "a", outside)}, now: 9999, phase: v1alpha1.PhaseExpired, reason: v1alpha1.ReasonCheckpointSilence, end: 300},
		"after the expiry, a request":                  {passport: []changePassport{revocation}, now: 301, phase: v1alpha1.PhaseActive, reason: v1alpha1.ReasonIssued},
		"after the expiry and its grace, a request":    {passport: []changePassport{revocation}, now: 305, phase: v1alpha1.PhaseExpired, reason: v1alpha1.ReasonCheckpointSilence, end: 300},
		"a block before a deletion":                    {blocks: []v1alpha1.AgentBlock{block(49, "stop", "bot")}, passport: []changePassport{deleted(50)}, now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonAgentBlocked, end: 49},
		"in one second, the deletion before a block":   {blocks: []v1alpha1.AgentBlock{block(50, "stop", "bot")}, passport: []changePassport{deleted(50)}, now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonPassportDeleted, end: 50},
		"in one second, a block before a request":      {blocks: []v1alpha1.AgentBlock{block(60, "stop", "bot")}, passport: []changePassport{revocation}, now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonAgentBlocked, end: 60},
		"in one second, a request before a suspension": {passport: []changePassport{revocation}, agent: []changeAgent{suspended}, now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonRevokedByRequest, end: 60},
		"in one second, a request before a report":     {passport: []changePassport{revocation}, reports: reports(1, 60, 0), now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonRevokedByRequest, end: 60},
		"a signal before a block":                      {blocks: []v1alpha1.AgentBlock{block(51, "stop", "bot")}, reports: []v1alpha1.Checkpoint{report(50, "a", outside)}, now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonSignalRaised, end: 50, counted: 1},
		"in one second, a block before a signal":       {blocks: []v1alpha1.AgentBlock{block(50, "stop", "bot")}, reports: []v1alpha1.Checkpoint{report(50, "a", outside)}, now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonAgentBlocked, end: 50},
		"the first of two signals":                     {reports: []v1alpha1.Checkpoint{report(51, "b", outside), report(50, "a", outside)}, now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonSignalRaised, end: 50, counted: 1},
		"reports before a block count, others do not":  {blocks: []v1alpha1.AgentBlock{block(50, "stop", "bot")}, reports: []v1alpha1.Checkpoint{report(49, "a"), report(50, "b"), report(51, "c")}, now: 60, phase: v1alpha1.PhaseRevoked, reason: v1alpha1.ReasonAgentBlocked, end: 50, counted: 1},
	} {
		t.Run(name, func(t *testing.T) {
			limit := tc.limit
			if limit == 0 {
				limit = 86400
			}
			passport, its := active(leash(v1alpha1.ModeEnforced, 900, 300, limit), tc.passport...), agent(tc.agent...)
			if tc.gone {
				its = nil
			}
			now := after(tc.now).Add(900 * time.Millisecond)
			got := look(Situation{Passport: passport, Agent: its, Blocks: tc.blocks, Checkpoints: tc.reports, Now: now}, tc.reports)
			status, ready := got.Status, readyOf(got.Status.Conditions)
			if status.Phase != tc.phase || ready.Reason != string(tc.reason) || *status.Checkpoints != tc.counted {
				t.Fatalf("%s %s with %d checkpoints: %s", status.Phase, ready.Reason, *status.Checkpoints, ready.Message)
			}
			if tc.message != "" && ready.Message != tc.message {
				t.Errorf("message %q", ready.Message)
			}
			if !status.Phase.Finished() {
				if status.EndTime != nil {
					t.Errorf("ended at %v", status.EndTime)
				}
				return
			}
			if !status.EndTime.Time.Equal(after(tc.end)) {
				t.Errorf("ended at %v, want %v", status.EndTime, after(tc.end))
			}
			if status.CheckpointBy != nil || ready.Status != metav1.ConditionFalse {
				t.Errorf("checkpointBy %v, Ready %+v", status.CheckpointBy, ready)
			}
			last := got.News[len(got.News)-1]
			if want := (News{Kind: NewsKind(tc.phase), Reason: string(tc.reason), Message: ready.Message}); last != want {
				t.Errorf("told %+v", last)
			}
		})
	}
}

// Whatever the rules are asked next, a finished passport keeps its status, and what is not yet marked
// is told why.
func TestATerminalPhaseNeverChanges(t *testing.T) {
	revocation := func(p *v1alpha1.Passport) { p.Spec.Revocation = &v1alpha1.Revocation{Reason: "stop"} }
	for phase, want := range map[v1alpha1.Phase]v1alpha1.Reason{
		v1alpha1.PhaseExpired: v1alpha1.ReasonTooLate, v1alpha1.PhaseRevoked: v1alpha1.ReasonPassportEnded,
		v1alpha1.PhaseCheckedOut: v1alpha1.ReasonPassportEnded, v1alpha1.PhaseRejected: v1alpha1.ReasonPassportEnded,
	} {
		t.Run(string(phase), func(t *testing.T) {
			passport := active(leash(v1alpha1.ModeEnforced, 900, 300, 86400), revocation)
			if phase == v1alpha1.PhaseRejected {
				passport.Status = Reject(passport, Decide(passport, nil, Rules{}, authority, noon), after(300))
			}
			finish(&passport.Status, 1, phase, "Reason", "message", after(300))
			passport.Generation = 2
			got := Advance(Situation{
				Passport: passport, Agent: agent(func(a *v1alpha1.AgentPassport) { a.Spec.Suspend = true }), Blocks: []v1alpha1.AgentBlock{block(10, "stop", "bot")},
				Checkpoints: []v1alpha1.Checkpoint{report(400, "late"), report(400, "marked", judged(passport, v1alpha1.ReasonAccepted))},
				Now:         after(9999), ListedAt: after(9999),
			})
			if diff := cmp.Diff(passport.Status, got.Status); diff != "" {
				t.Error(diff)
			}
			if len(got.Marks) != 1 || marks(got)["late"] != want {
				t.Errorf("%v", marks(got))
			}
			if len(got.News)+len(got.Blocks) > 0 || got.Confirm || !got.Wake.IsZero() {
				t.Errorf("%+v", got)
			}
		})
	}
}

// Too many waited, and the mission is over. What was made in time is told that it was too many,
// and not that it came after the end.
func TestACheckpointMadeInTimeIsNeverToldThatItWasLate(t *testing.T) {
	for phase, blocks := range map[v1alpha1.Phase][]v1alpha1.AgentBlock{
		v1alpha1.PhaseExpired: nil,
		v1alpha1.PhaseRevoked: {block(100, "stop", "bot")},
	} {
		t.Run(string(phase), func(t *testing.T) {
			checkpoints := reports(21, 10, 0)
			passport := active(leash(v1alpha1.ModeEnforced, 900, 300, 86400))
			outcome := look(Situation{Passport: passport, Agent: agent(), Blocks: blocks, Checkpoints: checkpoints, Now: after(9999)}, checkpoints)
			if outcome.Status.Phase != phase || marks(outcome)["020"] != v1alpha1.ReasonTooMany {
				t.Fatalf("%s, %v", outcome.Status.Phase, marks(outcome))
			}
			// The controller stores the end, and marks by what it then reads: here the operator crashes between.
			passport.Status = outcome.Status
			again := Advance(Situation{Passport: passport, Checkpoints: checkpoints, Now: after(9999)})
			if diff := cmp.Diff(marks(outcome), marks(again)); diff != "" {
				t.Errorf("before the crash -, after it +:\n%s", diff)
			}
		})
	}
}

// A revocation that is seen through a cache says nothing of the reports that the cache lacks.
func TestACheckpointMadeBeforeARevocationCountsHoweverLateItIsSeen(t *testing.T) {
	for name, end := range map[string]func(*Situation){
		"block":      func(s *Situation) { s.Blocks = []v1alpha1.AgentBlock{block(100, "stop", "bot")} },
		"deletion":   func(s *Situation) { s.Passport.DeletionTimestamp = &metav1.Time{Time: after(100)} },
		"request":    func(s *Situation) { s.Passport.Spec.Revocation = &v1alpha1.Revocation{Reason: "stop"} },
		"suspension": func(s *Situation) { s.Agent.Spec.Suspend = true },
	} {
		t.Run(name, func(t *testing.T) {
			situation := Situation{Passport: active(leash(v1alpha1.ModeEnforced, 900, 300, 86400)), Agent: agent(), Now: after(101)}
			end(&situation)
			got := look(situation, []v1alpha1.Checkpoint{report(90, "a")})
			if got.Status.Phase != v1alpha1.PhaseRevoked || *got.Status.Checkpoints != 1 {
				t.Errorf("%s with %d checkpoints", got.Status.Phase, *got.Status.Checkpoints)
			}
		})
	}
}

// A finding made its block, and the operator crashed before it stored the finding: the block bites
// from when it was made, as it would have without the crash.
func TestABlockThatACrashLeftBehindBitesFromWhenItWasMade(t *testing.T) {
	its := agent(func(a *v1alpha1.AgentPassport) {
		a.Spec.Accountability.Mode, a.Spec.Accountability.OnWarning = v1alpha1.ModeLogged, v1alpha1.EscalateBlock
	})
	for name, tc := range map[string]struct {
		reports []v1alpha1.Checkpoint
		made    int
		others  []v1alpha1.AgentBlock
		now     int
		counted int32
	}{
		"and another block follows":           {reports: []v1alpha1.Checkpoint{report(50, "a", using("stripe"))}, made: 51, others: []v1alpha1.AgentBlock{block(60, "stop", "bot")}, now: 70, counted: 1},
		"and the expiry follows":              {reports: []v1alpha1.Checkpoint{report(50, "a", using("stripe"))}, made: 51, now: 9999, counted: 1},
		"and more reports follow":             {reports: []v1alpha1.Checkpoint{report(50, "a", using("stripe")), report(55, "b")}, made: 51, now: 70, counted: 1},
		"in the second of its report":         {reports: []v1alpha1.Checkpoint{report(50, "a", using("stripe"))}, made: 50, now: 70, counted: 1},
		"of a silence, the expiry follows":    {made: 305, now: 9999},
		"of a silence, another block follows": {made: 305, others: []v1alpha1.AgentBlock{block(310, "stop", "bot")}, now: 400},
	} {
		t.Run(name, func(t *testing.T) {
			passport := active(leash(v1alpha1.ModeLogged, 900, 300, 86400))
			situation := Situation{Passport: passport, Agent: its, Checkpoints: tc.reports, Now: after(tc.made)}
			lost := look(situation, tc.reports)
			if len(lost.Blocks) != 1 {
				t.Fatalf("%d blocks", len(lost.Blocks))
			}
			lost.Blocks[0].CreationTimestamp = metaAfter(tc.made)
			situation.Blocks, situation.Now = slices.Concat(lost.Blocks, tc.others), after(tc.now)
			for range 3 {
				outcome := look(situation, tc.reports)
				passport.Status = outcome.Status
			}
			status := passport.Status
			if status.Phase != v1alpha1.PhaseRevoked || !status.EndTime.Time.Equal(after(tc.made)) || *status.Checkpoints != tc.counted || len(status.Signals) != 1 {
				t.Errorf("%s %s at %v with %d checkpoints, %d signals", status.Phase, readyOf(status.Conditions).Reason, status.EndTime, *status.Checkpoints, len(status.Signals))
			}
		})
	}
}
