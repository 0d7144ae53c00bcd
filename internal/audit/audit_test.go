package audit_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"agentpassport.dev/operator/internal/audit"
)

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

// issue is the issue of the passport with this UID, for agent bot.
func issue(uid string) audit.Record {
	return step(uid, audit.PassportIssue)
}

// step is a step of the passport with this UID, for agent bot.
func step(uid string, action audit.Action) audit.Record {
	return audit.Record{
		ID:          audit.ID(uid, string(action)),
		Time:        noon,
		Layer:       audit.Vault,
		Action:      action,
		Step:        string(action),
		Outcome:     audit.Success,
		Namespace:   "support",
		Object:      audit.Object{Kind: "Passport", Name: "mission", UID: uid},
		Agent:       &audit.Agent{Name: "bot", UID: "agent-1", Generation: 3},
		PassportJTI: "pp_" + uid,
		SessionID:   "ses_" + uid,
		Actor:       audit.Actor{Username: "system:serviceaccount:support:bot"},
		Facts:       &audit.Facts{Services: []string{"crm"}, Summary: "Answer <today's> tickets & close them"},
	}
}

// written is a trail of these records.
func written(t interface {
	Helper()
	Fatal(...any)
}, records ...audit.Record,
) []audit.Record {
	t.Helper()
	trail := audit.NewTrail()
	for i := range records {
		var err error
		if records[i], _, err = trail.Append(records[i]); err != nil {
			t.Fatal(err)
		}
	}
	return records
}

func TestOneRecordByHand(t *testing.T) {
	record := written(t, issue("u1"))[0]
	const fields = `"action":"passport.issue","actor":{"username":"system:serviceaccount:support:bot"},` +
		`"agent":{"generation":3,"name":"bot","uid":"agent-1"},` +
		`"facts":{"services":["crm"],"summary":"Answer <today's> tickets & close them"},`
	const rest = `"layer":"vault","namespace":"support","object":{"kind":"Passport","name":"mission","uid":"u1"},` +
		`"outcome":"success","passport_jti":"pp_u1",` +
		`"prev_hash":"` + audit.Zero + `","prev_issue_hash":"` + audit.Zero + `",` +
		`"session_id":"ses_u1","step":"passport.issue","time":"2026-08-01T12:00:00Z"}`
	id := sha256.Sum256([]byte("agentpassport.dev/audit\x00u1\x00passport.issue"))
	idField := `"id":"ar_` + hex.EncodeToString(id[:16]) + `",`
	hash := sha256.Sum256([]byte("{" + fields + idField + rest))
	want := "{" + fields + `"hash":"` + hex.EncodeToString(hash[:]) + `",` + idField + rest

	got, err := audit.Encode(record)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Fatal(diff)
	}
	read, err := audit.Parse(got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(record, read); diff != "" {
		t.Fatal(diff)
	}
}

func TestLinks(t *testing.T) {
	blocked := step("block-1", audit.AgentBlock)
	blocked.PassportJTI = ""
	rotated := step("keys", audit.KeyRotate)
	rotated.PassportJTI, rotated.Agent, rotated.Layer = "", nil, audit.System
	got := written(t, issue("a"), issue("b"), step("a", audit.PassportCheckout), blocked, rotated,
		step("b", audit.PassportExpire), issue("c"))
	for i, want := range []struct{ prev, prevIssue string }{
		{audit.Zero, audit.Zero},
		{audit.Zero, got[0].Hash},
		{got[0].Hash, ""},
		{audit.Zero, ""},
		{audit.Zero, ""},
		{got[1].Hash, ""},
		{audit.Zero, got[1].Hash},
	} {
		if got[i].PrevHash != want.prev || got[i].PrevIssueHash != want.prevIssue {
			t.Errorf("record %d: links %s and %q", i, got[i].PrevHash, got[i].PrevIssueHash)
		}
	}
	if err := audit.Verify(slices.Values(got)); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyNamesTheFirstBreak(t *testing.T) {
	trail := func() []audit.Record {
		return written(t, issue("a"), step("a", audit.PassportCheckpoint), issue("b"),
			step("a", audit.PassportCheckout), step("b", audit.PassportCheckout), issue("c"))
	}
	for name, test := range map[string]struct {
		spoil    func([]audit.Record) []audit.Record
		position uint64
		why      string
	}{
		"changed": {func(r []audit.Record) []audit.Record { r[1].Actor.Username = "mallory"; return r }, 1, "hash"},
		"dropped": {func(r []audit.Record) []audit.Record { return slices.Delete(r, 1, 2) }, 2, "prev_hash"},
		"swapped": {func(r []audit.Record) []audit.Record { r[1], r[3] = r[3], r[1]; return r }, 1, "prev_hash"},
		"a mission left out": {func(r []audit.Record) []audit.Record {
			return slices.DeleteFunc(r, func(r audit.Record) bool { return r.PassportJTI == "pp_b" })
		}, 3, "prev_issue_hash"},
		"twice": {func(r []audit.Record) []audit.Record { return append(r, r[0]) }, 6, "already that of record 0"},
		"no id": {func(r []audit.Record) []audit.Record { r[2].ID = "x"; return r }, 2, "hash"},
	} {
		t.Run(name, func(t *testing.T) {
			var got *audit.Break
			err := audit.Verify(slices.Values(test.spoil(trail())))
			if !errors.As(err, &got) || !errors.Is(err, audit.ErrBreak) {
				t.Fatalf("no break: %v", err)
			}
			if got.Position != test.position || !strings.Contains(got.Why, test.why) {
				t.Fatalf("%v", got)
			}
		})
	}
}

// jwt is a token of the form that a passport has; it is signed by nobody.
var jwt = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","typ":"passport+jwt"}`)) + "." +
	base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"x"}`)) + ".c2lnbmF0dXJl"

func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*audit.Record)
		want   string
	}{
		"good":               {func(*audit.Record) {}, ""},
		"step with a detail": {func(r *audit.Record) { r.Step += "/2"; r.ID = audit.ID("u", r.Step) }, ""},
		"action":             {func(r *audit.Record) { r.Action = "passport.forget" }, "action"},
		"layer":              {func(r *audit.Record) { r.Layer = "core" }, "layer"},
		"outcome":            {func(r *audit.Record) { r.Outcome = "" }, "outcome"},
		"step":               {func(r *audit.Record) { r.Step = "passport.issued" }, "step"},
		"object":             {func(r *audit.Record) { r.Object.UID = "" }, "uid"},
		"id":                 {func(r *audit.Record) { r.ID = audit.ID("other", r.Step) }, "id"},
		"actor":              {func(r *audit.Record) { r.Actor.Username = "" }, "actor"},
		"no time":            {func(r *audit.Record) { r.Time = time.Time{} }, "time"},
		"another zone":       {func(r *audit.Record) { r.Time = noon.In(time.FixedZone("CET", 3600)) }, "time"},
		"year 10000":         {func(r *audit.Record) { r.Time = noon.AddDate(8000, 0, 0) }, "year"},
		"no jti":             {func(r *audit.Record) { r.PassportJTI = "" }, "passport_jti"},
		"no agent":           {func(r *audit.Record) { r.Agent = nil }, "agent"},
		"negative count":     {func(r *audit.Record) { r.Facts.Actions = -1 }, "facts.actions"},
		"inexact count":      {func(r *audit.Record) { r.Facts.Actions = 1<<53 + 1 }, "facts.actions"},
		"token in a summary": {func(r *audit.Record) { r.Facts.Summary = "used " + jwt }, "facts.summary"},
		"token in a list":    {func(r *audit.Record) { r.Facts.ServicesUsed = []string{"crm", jwt} }, "facts.services_used"},
		"token in a flag":    {func(r *audit.Record) { r.Facts.Flags = []audit.Flag{{Message: jwt}} }, "facts.flags.message"},
		"token as the actor": {func(r *audit.Record) { r.Actor.Username = jwt }, "actor.username"},
		"too long":           {func(r *audit.Record) { r.Facts.Notes = strings.Repeat("x", audit.MaxBytes) }, "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			record := issue("u")
			test.change(&record)
			_, _, err := audit.NewTrail().Append(record)
			if test.want == "" && err != nil || test.want != "" && (!errors.Is(err, audit.ErrRecord) || !strings.Contains(err.Error(), test.want)) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), jwt) {
				t.Fatal("the error holds the token")
			}
		})
	}
}

func TestRedact(t *testing.T) {
	spaced := base64.RawURLEncoding.EncodeToString([]byte(`{ "alg": "EdDSA"}`)) + ".e30.c2ln"
	lines := base64.RawURLEncoding.EncodeToString([]byte("{\n \"alg\": \"EdDSA\"}")) + ".e30.c2ln"
	for text, want := range map[string]string{
		"":                              "",
		"closed 12 tickets":             "closed 12 tickets",
		"see eyewitness.example.com":    "see eyewitness.example.com",
		"eyeglasses.shop and ewe.farm.": "eyeglasses.shop and ewe.farm.",
		jwt:                             "[redacted]",
		"a " + jwt + ", b":              "a [redacted], b",
		"token=" + jwt:                  "token=[redacted]",
		"ey" + jwt:                      "ey[redacted]",
		spaced:                          "[redacted]",
		lines:                           "[redacted]",
		jwt + " " + jwt:                 "[redacted] [redacted]",
		"Authorization: Bearer sk-abcdefghijklmnop":                       "Authorization: [redacted]",
		"the bearer of this":                                              "the bearer of this",
		"-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\nx": "[redacted]\nx",
	} {
		if got := audit.Redact(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// drawn is a random trail of a few passports of a few agents.
func drawn(t *rapid.T) []audit.Record {
	agents := map[string]string{}
	trail := audit.NewTrail()
	records := make([]audit.Record, 0, 30)
	for range rapid.IntRange(1, 30).Draw(t, "records") {
		passport := rapid.SampledFrom([]string{"p", "q", "r", "s"}).Draw(t, "passport")
		if _, issued := agents[passport]; !issued {
			agents[passport] = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "agent")
		}
		record := step(passport, audit.PassportCheckpoint)
		if rapid.Bool().Draw(t, "issue") {
			record = issue(passport)
		}
		record.Step += "/" + rapid.StringMatching(`[a-z]{6}`).Draw(t, "step")
		record.ID = audit.ID(passport, record.Step)
		record.Agent.UID = agents[passport]
		record.Facts.Notes = audit.Redact(rapid.String().Draw(t, "notes"))
		record.Facts.Actions = rapid.Int64Range(0, 1<<53-1).Draw(t, "actions")
		if _, known := trail.Find(record.ID); known {
			continue
		}
		record, _, err := trail.Append(record)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, record)
	}
	return records
}

func TestEveryTrailHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := drawn(t)
		for i := range records {
			raw, err := audit.Encode(records[i])
			if err != nil {
				t.Fatal(err)
			}
			read, err := audit.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(records[i], read); diff != "" {
				t.Fatal(diff)
			}
		}
		if err := audit.Verify(slices.Values(records)); err != nil {
			t.Fatal(err)
		}
	})
}

// TestEveryChangeIsFound takes away, swaps or changes one record. What no link shows is the last
// record of its chain taken away, and two swapped that no chain puts in an order: that is the tree's.
func TestEveryChangeIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := drawn(t)
		i := rapid.IntRange(0, len(records)-1).Draw(t, "i")
		follows := func(later, earlier audit.Record) bool {
			return later.PrevHash == earlier.Hash || later.PrevIssueHash == earlier.Hash
		}
		changed := slices.Clone(records)
		var linked bool
		switch rapid.SampledFrom([]string{"drop", "swap", "change"}).Draw(t, "what") {
		case "drop":
			changed = slices.Delete(changed, i, i+1)
			linked = slices.ContainsFunc(records, func(r audit.Record) bool { return follows(r, records[i]) })
		case "swap":
			if i+1 < len(records) {
				changed[i], changed[i+1] = changed[i+1], changed[i]
				linked = follows(records[i+1], records[i])
			}
		default:
			changed[i].Outcome = audit.Blocked
			linked = true
		}
		if err := audit.Verify(slices.Values(changed)); linked != errors.Is(err, audit.ErrBreak) {
			t.Fatalf("linked %v, found %v", linked, err)
		}
	})
}
