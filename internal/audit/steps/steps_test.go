package steps_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/steps"
	"agentpassport.dev/operator/internal/token"
)

const (
	operator = "system:serviceaccount:agent-passport-system:agent-passport-manager"
	secret   = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func after(seconds int) *metav1.Time {
	at := metav1.NewTime(noon.Add(time.Duration(seconds) * time.Second))
	return &at
}

func object(name string, seconds int) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "support", Name: name, UID: types.UID("uid-" + name), CreationTimestamp: *after(seconds), Generation: 1}
}

func by(name string) *v1alpha1.Actor { return &v1alpha1.Actor{Username: name} }

func ready(reason v1alpha1.Reason, message string) []metav1.Condition {
	return []metav1.Condition{{Type: string(v1alpha1.ConditionReady), Status: metav1.ConditionTrue, Reason: string(reason), Message: message}}
}

func issued() *v1alpha1.Passport {
	return &v1alpha1.Passport{
		ObjectMeta: object("mission", 0),
		Spec: v1alpha1.PassportSpec{
			AgentRef: v1alpha1.AgentReference{Name: "support-bot"}, RequestedBy: by("pipeline"),
			Intent: &v1alpha1.Intent{Summary: "Answer one ticket with " + secret},
		},
		Status: v1alpha1.PassportStatus{
			Phase: v1alpha1.PhaseActive, IssueTime: after(1), ExpirationTime: after(301), Conditions: ready(v1alpha1.ReasonIssued, "issued"),
			Checkpoints: ptr.To(int32(1)), Actions: 3,
			Issued: &v1alpha1.IssuedTerms{
				AgentUID: "uid-support-bot", AgentGeneration: 4, Mode: v1alpha1.ModeEnforced, DocumentDigest: "d0c",
				Services: []v1alpha1.IssuedService{{Service: "github", Scopes: []v1alpha1.Scope{"repo:read"}}, {Service: "slack"}},
				Issuer:   "https://passports.example.com", Subject: "spiffe://example.org/ns/support/agent/support-bot",
				Audience: []string{"gateway"}, TTLSeconds: 900, CheckpointIntervalSeconds: 300, Deadline: *after(86401), SecretName: "mission-token",
			},
		},
	}
}

func ended(phase v1alpha1.Phase, reason v1alpha1.Reason) *v1alpha1.Passport {
	passport := issued()
	passport.Status.Phase, passport.Status.EndTime = phase, after(100)
	passport.Status.Conditions = ready(reason, "over: "+secret)
	return passport
}

func report() v1alpha1.Checkpoint {
	return v1alpha1.Checkpoint{
		ObjectMeta: object("report", 60),
		Spec: v1alpha1.CheckpointSpec{
			AgentRef: v1alpha1.AgentReference{Name: "support-bot"}, SubmittedBy: by("bot"), ActionsCount: 3,
			ServicesUsed: []v1alpha1.ServiceName{"slack"}, Summary: "Bearer 0123456789abcdef0123456789",
		},
		Status: v1alpha1.CheckpointStatus{PassportUID: "uid-mission", Conditions: ready(v1alpha1.ReasonAccepted, "")},
	}
}

func judged(verdict v1alpha1.Verdict) v1alpha1.Checkout {
	return v1alpha1.Checkout{
		ObjectMeta: object("done", 100),
		Spec: v1alpha1.CheckoutSpec{
			AgentRef: v1alpha1.AgentReference{Name: "support-bot"}, SubmittedBy: by("bot"), Outcome: v1alpha1.OutcomeSucceeded, Summary: "done",
		},
		Status: v1alpha1.CheckoutStatus{
			PassportUID: "uid-mission", JTI: token.JTI("uid-mission"), SessionID: token.SessionID("uid-mission"), Verdict: verdict,
			JudgedTime: after(101), Conditions: ready(v1alpha1.ReasonJudged, ""),
			Flags:   []v1alpha1.Flag{{Type: "undeclared_service", Severity: v1alpha1.SeverityWarning, Message: "used notion"}},
			Mission: &v1alpha1.MissionRecord{AgentUID: "uid-support-bot", Actions: 12, Checkpoints: 1, GrantedServices: []v1alpha1.ServiceName{"github", "slack"}},
		},
	}
}

func reviewed(decision v1alpha1.Decision) v1alpha1.Checkout {
	checkout := judged(v1alpha1.VerdictFlagged)
	checkout.Spec.Review = &v1alpha1.Review{Decision: decision, Notes: "fine", Reviewer: by("reviewer")}
	checkout.Status.DecidedTime = after(200)
	return checkout
}

// told tells a record in a line.
func told(r audit.Record) string {
	return strings.Join([]string{r.Time.Format("15:04:05"), r.Step, string(r.Outcome), r.ErrorCode, r.Actor.Username}, " ")
}

func TestRecordsOfAMission(t *testing.T) {
	block := v1alpha1.AgentBlock{ObjectMeta: object("stop", 100), Spec: v1alpha1.AgentBlockSpec{By: by("responder")}}
	other := block
	other.Spec.AgentRef, other.Spec.By = &v1alpha1.AgentReference{Name: "another-bot"}, by("somebody")
	suspended := &v1alpha1.AgentPassport{Spec: v1alpha1.AgentPassportSpec{Suspend: true}}
	suspended.Annotations = map[string]string{v1alpha1.AnnotationChangedBy: "platform"}
	issue := "12:00:01 passport.issue success  pipeline"
	for name, tc := range map[string]struct {
		mission steps.Mission
		want    []string
	}{
		"nothing":        {steps.Mission{}, nil},
		"one that waits": {steps.Mission{Passport: &v1alpha1.Passport{ObjectMeta: object("mission", 0)}}, nil},
		"one that lives": {
			steps.Mission{Passport: issued(), Checkpoints: []v1alpha1.Checkpoint{report(), {ObjectMeta: object("waits", 61)}}},
			[]string{issue, "12:01:00 passport.checkpoint success  bot"},
		},
		"a checkpoint that is counted and not marked yet": {
			func() steps.Mission {
				passport, counted := issued(), report()
				counted.Status = v1alpha1.CheckpointStatus{}
				passport.Status.Folded = []types.UID{counted.UID}
				return steps.Mission{Passport: passport, Checkpoints: []v1alpha1.Checkpoint{counted}}
			}(),
			[]string{issue, "12:01:00 passport.checkpoint success  bot"},
		},
		"the last checkpoint of one that is gone": {
			steps.Mission{Checkpoints: []v1alpha1.Checkpoint{report()}}, []string{"12:01:00 passport.checkpoint success  bot"},
		},
		"silence": {
			func() steps.Mission {
				passport := ended(v1alpha1.PhaseExpired, v1alpha1.ReasonCheckpointSilence)
				passport.Status.Signals = []v1alpha1.Signal{{Type: "checkpoint_silence", Severity: v1alpha1.SeverityWarning, FirstTime: *after(100)}}
				return steps.Mission{Passport: passport}
			}(),
			[]string{
				issue, "12:01:40 signal.raise/checkpoint_silence/warning success  " + operator,
				"12:01:40 passport.expire success CHECKPOINT_SILENCE " + operator,
			},
		},
		"its time": {
			steps.Mission{Passport: ended(v1alpha1.PhaseExpired, v1alpha1.ReasonTTLElapsed)},
			[]string{issue, "12:01:40 passport.expire success TTL_ELAPSED " + operator},
		},
		"a revocation": {
			func() steps.Mission {
				passport := ended(v1alpha1.PhaseRevoked, v1alpha1.ReasonRevokedByRequest)
				passport.Spec.Revocation = &v1alpha1.Revocation{By: by("responder")}
				return steps.Mission{Passport: passport}
			}(),
			[]string{issue, "12:01:40 passport.revoke success REVOKED_BY_REQUEST responder"},
		},
		"a block, not of another agent": {
			steps.Mission{Passport: ended(v1alpha1.PhaseRevoked, v1alpha1.ReasonAgentBlocked), Blocks: []v1alpha1.AgentBlock{other, block}},
			[]string{issue, "12:01:40 passport.revoke success AGENT_BLOCKED responder"},
		},
		"a block that is gone": {
			steps.Mission{Passport: ended(v1alpha1.PhaseRevoked, v1alpha1.ReasonAgentBlocked)},
			[]string{issue, "12:01:40 passport.revoke success AGENT_BLOCKED unknown"},
		},
		"a suspension": {
			steps.Mission{Passport: ended(v1alpha1.PhaseRevoked, v1alpha1.ReasonAgentSuspended), Agent: suspended},
			[]string{issue, "12:01:40 passport.revoke success AGENT_SUSPENDED platform"},
		},
		"a deletion": {
			steps.Mission{Passport: ended(v1alpha1.PhaseRevoked, v1alpha1.ReasonPassportDeleted)},
			[]string{issue, "12:01:40 passport.revoke success PASSPORT_DELETED unknown (deleted)"},
		},
		"a checkout that is clean": {
			steps.Mission{Passport: ended(v1alpha1.PhaseCheckedOut, v1alpha1.ReasonCheckedOut), Checkouts: []v1alpha1.Checkout{judged(v1alpha1.VerdictClean)}},
			[]string{issue, "12:01:40 passport.checkout success  bot"},
		},
		"a checkout that is approved": {
			steps.Mission{Checkouts: []v1alpha1.Checkout{reviewed(v1alpha1.DecisionApproved)}},
			[]string{"12:01:40 passport.checkout pending  bot", "12:03:20 passport.review_decide success  reviewer"},
		},
		"a checkout that is blocked": {
			steps.Mission{Checkouts: []v1alpha1.Checkout{reviewed(v1alpha1.DecisionBlocked)}},
			[]string{"12:01:40 passport.checkout pending  bot", "12:03:20 passport.review_decide blocked  reviewer"},
		},
		"the operator's own checkout": {
			func() steps.Mission {
				checkout := judged(v1alpha1.VerdictBlocked)
				checkout.Spec.Source = v1alpha1.SourceOperator
				return steps.Mission{Checkouts: []v1alpha1.Checkout{checkout}}
			}(),
			[]string{"12:01:40 passport.checkout blocked  " + operator},
		},
	} {
		t.Run(name, func(t *testing.T) {
			records, err := tc.mission.Records(operator)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, record := range records {
				got = append(got, told(record))
				if err := audit.Check(record); err != nil {
					t.Errorf("%s: %v", record.Step, err)
				}
				if record.PassportJTI != token.JTI("uid-mission") || record.SessionID != token.SessionID("uid-mission") {
					t.Errorf("%s is of %s", record.Step, record.PassportJTI)
				}
				if record.Agent.Name != "support-bot" {
					t.Errorf("%s is of agent %+v", record.Step, record.Agent)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Every step of a mission says of which generation of its agent it is, and by which document, while the Passport is
// there to tell.
func TestTheAgentOfEveryRecord(t *testing.T) {
	records, err := steps.Mission{
		Passport:    ended(v1alpha1.PhaseRevoked, v1alpha1.ReasonPassportDeleted),
		Checkpoints: []v1alpha1.Checkpoint{report()}, Checkouts: []v1alpha1.Checkout{reviewed(v1alpha1.DecisionApproved)},
	}.Records(operator)
	if err != nil || len(records) != 5 {
		t.Fatalf("%d records: %v", len(records), err)
	}
	want := &audit.Agent{Name: "support-bot", UID: "uid-support-bot", Generation: 4, DocumentSHA256: "d0c"}
	for _, record := range records {
		if diff := cmp.Diff(want, record.Agent); diff != "" {
			t.Errorf("%s: %s", record.Step, diff)
		}
	}
}

// What is issued again after a crash is what the record says.
func TestTheRecordOfAnIssueHoldsItsTerms(t *testing.T) {
	passport := issued()
	placed := passport.DeepCopy()
	placed.Status.Issued.StatusList = &v1alpha1.StatusListReference{Epoch: 1, List: ptr.To(int64(0)), Index: ptr.To(int64(7))}
	later, err := steps.Issue(placed, placed.Status, 1)
	if err != nil {
		t.Fatal(err)
	}
	record, err := steps.Issue(passport, passport.Status, 1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(record, later); diff != "" {
		t.Errorf("its place in the status lists is in the record: %s", diff)
	}
	terms, at, err := steps.Issued(record)
	if err != nil || !at.Equal(passport.Status.IssueTime.Time) {
		t.Fatalf("issued at %s: %v", at, err)
	}
	if diff := cmp.Diff(*passport.Status.Issued, terms); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(record.Facts.Summary, secret) {
		t.Error("a token in the summary was kept")
	}
	another, err := steps.Issue(passport, passport.Status, 2)
	if err != nil || another.ID == record.ID || another.Step != "passport.issue/2" {
		t.Errorf("another attempt leaves %s: %v", another.Step, err)
	}
	record.Action = audit.PassportReject
	if _, _, err := steps.Issued(record); err == nil {
		t.Error("any record is taken for an issue's")
	}
}

func TestConfiguration(t *testing.T) {
	block := &v1alpha1.AgentBlock{ObjectMeta: object("stop", 0), Spec: v1alpha1.AgentBlockSpec{By: by("responder"), Reason: "odd"}}
	lifted := block.DeepCopy()
	lifted.Spec.Lifted = &v1alpha1.BlockLift{By: by("reviewer"), Reason: "fine"}
	agent := &v1alpha1.AgentPassport{ObjectMeta: object("support-bot", 0)}
	agent.Annotations = map[string]string{v1alpha1.AnnotationChangedBy: "platform"}
	change, err := steps.Agent(agent, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	later := agent.DeepCopy()
	later.Generation, later.Spec.Suspend = 2, true
	changed, err := steps.Agent(later, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if change.Facts.Digest == changed.Facts.Digest || change.ID == changed.ID {
		t.Error("two generations have one record")
	}
	var got []string
	for _, record := range append(append(steps.Block(block, noon), steps.Block(lifted, noon.Add(time.Minute))...),
		change, changed, steps.AgentDeleted(later, noon.Add(2*time.Hour)), steps.Key(&metav1.ObjectMeta{UID: "uid-keys"}, "kid-1", noon, operator)) {
		if err := audit.Check(record); err != nil {
			t.Errorf("%s: %v", record.Step, err)
		}
		got = append(got, string(record.Layer)+" "+told(record))
	}
	if diff := cmp.Diff([]string{
		"vault 12:00:00 agent.block success  responder",
		"vault 12:00:00 agent.block success  responder",
		"vault 12:01:00 agent.unblock success  reviewer",
		"system 12:00:00 config.change/1 success  platform",
		"system 13:00:00 config.change/2 success  platform",
		"system 14:00:00 config.change/deleted success  unknown (deleted)",
		"system 12:00:00 key.rotate/kid-1 success  " + operator,
	}, got); diff != "" {
		t.Error(diff)
	}
}

func TestServiceConnection(t *testing.T) {
	connection := &v1alpha1.ServiceConnection{ObjectMeta: object("github", 0), Spec: v1alpha1.ServiceConnectionSpec{BaseURL: "https://api.example.com"}}
	connection.Annotations = map[string]string{v1alpha1.AnnotationChangedBy: "platform"}
	later := connection.DeepCopy()
	later.Generation, later.Spec.BaseURL, later.Annotations = 2, "https://evil.example.com", nil
	var got []string
	digests := map[string]bool{}
	for _, c := range []*v1alpha1.ServiceConnection{connection, later} {
		record, err := steps.Connection(c, noon.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		digests[record.Facts.Digest] = true
		got = append(got, record.Object.Kind+" "+string(record.Layer)+" "+told(record))
		if err := audit.Check(record); err != nil || record.Agent != nil {
			t.Errorf("%+v: %v", record, err)
		}
	}
	deleted := steps.ConnectionDeleted(later, noon.Add(2*time.Hour))
	if err := audit.Check(deleted); err != nil {
		t.Error(err)
	}
	got = append(got, deleted.Object.Kind+" "+string(deleted.Layer)+" "+told(deleted))
	if diff := cmp.Diff([]string{
		"ServiceConnection system 12:00:00 config.change/1 success  platform",
		"ServiceConnection system 13:00:00 config.change/2 success  unknown",
		"ServiceConnection system 14:00:00 config.change/deleted success  unknown (deleted)",
	}, got); diff != "" || len(digests) != 2 {
		t.Errorf("%s, %d digests", diff, len(digests))
	}
}

// Whatever people write, a record can be written, has its place in the log, and holds no token.
func TestAnyTextMakesARecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Just("x "+secret+" y"), rapid.StringN(0, 1000, -1))
		passport := ended(v1alpha1.PhaseRevoked, v1alpha1.ReasonPassportDeleted)
		passport.Spec.Intent.Summary = text.Draw(t, "intent")
		passport.Status.Conditions[0].Message = text.Draw(t, "message")
		checkpoint := report()
		checkpoint.Spec.Summary = text.Draw(t, "report")
		checkout := reviewed(v1alpha1.DecisionApproved)
		checkout.Spec.Summary, checkout.Spec.Review.Notes = text.Draw(t, "summary"), text.Draw(t, "notes")
		flag := v1alpha1.Flag{Type: strings.Repeat("t", 63), Severity: v1alpha1.SeverityCritical, Message: strings.Repeat("m", 512)}
		checkout.Status.Flags = make([]v1alpha1.Flag, rapid.IntRange(0, 256).Draw(t, "flags"))
		for i := range checkout.Status.Flags {
			checkout.Status.Flags[i] = flag
		}
		records, err := steps.Mission{
			Passport: passport, Checkpoints: []v1alpha1.Checkpoint{checkpoint}, Checkouts: []v1alpha1.Checkout{checkout},
		}.Records(operator)
		if err != nil {
			t.Fatal(err)
		}
		trail, seen := audit.NewTrail(), map[string]bool{}
		for _, record := range records {
			if seen[record.ID] {
				t.Fatalf("two records have the id of %s", record.Step)
			}
			seen[record.ID] = true
			if _, _, err := trail.Append(record); err != nil {
				t.Fatalf("%s: %v", record.Step, err)
			}
		}
	})
}
