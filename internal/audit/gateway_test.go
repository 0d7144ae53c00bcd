package audit_test

import (
	"errors"
	"testing"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/audittest"
)

func TestCheckOfWhatAGatewaySaw(t *testing.T) {
	call := func() audit.Record { return audittest.Call(0, 1, "gateway-0", "slack", "") }
	seen := func() audit.Record { return audittest.Seen(0, "gateway-0") }
	issue := func() audit.Record { return audittest.Record(0, 0) }
	for name, make := range map[string]func() audit.Record{"call": call, "seen": seen, "issue": issue} {
		if err := audit.Check(make()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, test := range map[string]struct {
		of     func() audit.Record
		change func(*audit.Record)
	}{
		"a call of no passport":         {call, func(r *audit.Record) { r.PassportJTI = "" }},
		"a call without facts":          {call, func(r *audit.Record) { r.Facts = nil }},
		"a call without a call":         {call, func(r *audit.Record) { r.Facts.Call = nil }},
		"a call through no gateway":     {call, func(r *audit.Record) { r.Facts.Call.Gateway = "" }},
		"a call by no front":            {call, func(r *audit.Record) { r.Facts.Call.Front = "" }},
		"a call of another layer":       {call, func(r *audit.Record) { r.Layer = audit.Vault }},
		"a refusal without a code":      {call, func(r *audit.Record) { r.Outcome = audit.Blocked }},
		"a failure without a code":      {call, func(r *audit.Record) { r.Outcome = audit.Failure }},
		"a call that says it was seen":  {call, func(r *audit.Record) { r.Facts.Gateway = "gateway-0" }},
		"seen by nobody":                {seen, func(r *audit.Record) { r.Facts.Gateway = "" }},
		"seen without facts":            {seen, func(r *audit.Record) { r.Facts = nil }},
		"seen, of no passport":          {seen, func(r *audit.Record) { r.PassportJTI = "" }},
		"seen, of another layer":        {seen, func(r *audit.Record) { r.Layer = audit.System }},
		"seen, with a call":             {seen, func(r *audit.Record) { r.Facts.Call = &audit.Call{Gateway: "g", Front: "proxy"} }},
		"an issue with a call":          {issue, func(r *audit.Record) { r.Facts.Call = &audit.Call{Gateway: "g", Front: "proxy"} }},
		"an issue seen by some gateway": {issue, func(r *audit.Record) { r.Facts.Gateway = "g" }},
	} {
		record := test.of()
		test.change(&record)
		if err := audit.Check(record); !errors.Is(err, audit.ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
