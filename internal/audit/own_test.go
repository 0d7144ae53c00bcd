package audit_test

import (
	"errors"
	"strings"
	"testing"

	"agentpassport.dev/operator/internal/audit"
)

// begin is the first record of epoch 2.
func begin() audit.Record {
	const origin = "agentpassport.dev/auditlog/2"
	return audit.Record{
		ID: audit.ID(audit.LogUID(origin), "epoch.begin"), Time: noon, Layer: audit.System, Action: audit.EpochBegin,
		Step: "epoch.begin", Outcome: audit.Success,
		Object: audit.Object{Kind: audit.KindAuditLog, Name: origin, UID: audit.LogUID(origin)},
		Actor:  audit.Actor{Username: "alice"},
		Facts:  &audit.Facts{Reason: "the disk broke", Size: 5, Digest: strings.Repeat("ab", 32)},
	}
}

func TestCheckOfTheLogsOwnRecords(t *testing.T) {
	if err := audit.Check(begin()); err != nil {
		t.Fatal(err)
	}
	unknown := begin()
	unknown.Facts = &audit.Facts{Reason: "nothing is known of it"}
	if err := audit.Check(unknown); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*audit.Record){
		"no facts":               func(r *audit.Record) { r.Facts = nil },
		"no reason":              func(r *audit.Record) { r.Facts.Reason = "" },
		"a size without root":    func(r *audit.Record) { r.Facts.Digest = "" },
		"a root of other length": func(r *audit.Record) { r.Facts.Digest = "abab" },
		"kept without root":      func(r *audit.Record) { r.Facts.Kept = 3 },
		"another layer":          func(r *audit.Record) { r.Layer = audit.Vault },
		"another kind": func(r *audit.Record) {
			r.Object = audit.Object{Kind: "Passport", Name: "x", UID: "u"}
			r.ID = audit.ID("u", "epoch.begin")
		},
		"another name":  func(r *audit.Record) { r.Object.Name = "agentpassport.dev/auditlog/3" },
		"of an agent":   func(r *audit.Record) { r.Agent = &audit.Agent{Name: "bot"} },
		"of a passport": func(r *audit.Record) { r.PassportJTI = "pp_1" },
		"no key": func(r *audit.Record) {
			r.Action, r.Step = audit.KeyRotate, "key.rotate/x"
			r.ID = audit.ID(r.Object.UID, r.Step)
		},
		"another step": func(r *audit.Record) {
			r.Action, r.Step = audit.ConfigChange, "config.change"
			r.ID = audit.ID(r.Object.UID, r.Step)
		},
	} {
		record := begin()
		change(&record)
		if err := audit.Check(record); !errors.Is(err, audit.ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
