package service_test

import (
	"encoding/csv"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/audittest"
	"agentpassport.dev/operator/internal/audit/wire"
)

// calls are some of mission 0, which is in namespace support, through two gateways.
func calls() []audit.Record {
	failed := audittest.Call(0, 3, "gateway-1", "slack", "upstream_failed")
	failed.Outcome = audit.Failure
	return []audit.Record{
		audittest.Record(0, 0),
		audittest.Call(0, 1, "gateway-0", "slack", ""), audittest.Call(0, 2, "gateway-1", "slack", ""), failed,
		audittest.Call(0, 4, "gateway-0", "stripe", "credential_outside_scope"),
		audittest.Seen(0, "gateway-0"),
	}
}

func TestCallsOfOnePassport(t *testing.T) {
	w := start(t)
	if response, body := w.ask("manager", http.MethodPost, wire.RecordsPath, encode(t, calls()...)); response.StatusCode != http.StatusOK {
		t.Fatal(body)
	}
	var got wire.Calls
	w.get(wire.CallsPath+"?namespace=support&jti="+audittest.JTI(0), &got)
	want := wire.Calls{JTI: audittest.JTI(0), Seen: []string{"gateway-0"}, Services: map[string]wire.ServiceCalls{
		"slack":  {Sent: 2, Refused: map[string]int64{"upstream_failed": 1}},
		"stripe": {Refused: map[string]int64{"credential_outside_scope": 1}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, nothing := range []string{"?namespace=release&jti=" + audittest.JTI(0), "?namespace=support&jti=" + audittest.JTI(1)} {
		_, body := w.ask("auditor", http.MethodGet, wire.CallsPath+nothing, "")
		if !strings.Contains(body, `"services":{},"seen":[]`) {
			t.Error(nothing, body)
		}
	}
}

func TestCallsAreAskedAsRowsAre(t *testing.T) {
	w := start(t)
	jti := "jti=" + audittest.JTI(0)
	for query, may := range map[string][]string{
		"?namespace=support&" + jti: {"auditor", "team-support"}, "?namespace=release&" + jti: {"auditor"},
	} {
		for who := range everybody {
			response, body := w.ask(who, http.MethodGet, wire.CallsPath+query, "")
			if (response.StatusCode == http.StatusOK) != slices.Contains(may, who) {
				t.Error(query, who, response.StatusCode, body)
			}
		}
	}
	for _, query := range []string{
		"", "?" + jti, "?namespace=support", "?namespace=Support&" + jti, "?namespace=support&jti=8f3a",
		"?namespace=support&jti=pp_%2F", "?namespace=support&" + jti + "&agent=x", "?namespace=support&" + jti + "&" + jti,
	} {
		if status, failure := w.refused("auditor", http.MethodGet, wire.CallsPath+query, ""); status != http.StatusBadRequest || failure.Code != wire.BadRequest {
			t.Error(query, status, failure)
		}
	}
	if status, _ := w.refused("auditor", http.MethodPost, wire.CallsPath, ""); status != http.StatusMethodNotAllowed {
		t.Error(status)
	}
}

func TestRowsShowTheCall(t *testing.T) {
	w := start(t)
	if response, body := w.ask("manager", http.MethodPost, wire.RecordsPath, encode(t, calls()...)); response.StatusCode != http.StatusOK {
		t.Fatal(body)
	}
	_, body := w.ask("auditor", http.MethodGet, wire.RecordsPath+"?format=csv", "")
	table, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || len(table) != 7 {
		t.Fatal(err, body)
	}
	cell := func(row int, column string) string { return table[row][slices.Index(table[0], column)] }
	for column, want := range map[string]string{
		"call_service": "stripe", "call_method": "POST", "call_target": "https://stripe.example.com/v1/things",
		"error_code": "credential_outside_scope", "outcome": "blocked",
	} {
		if got := cell(5, column); got != want {
			t.Errorf("%s: %s, want %s", column, got, want)
		}
		if got := cell(1, column); strings.HasPrefix(column, "call_") && got != "" {
			t.Errorf("%s of an issue: %s", column, got)
		}
	}
	var rows page
	w.get(wire.RecordsPath+"?action=credential.proxy&outcome=blocked", &rows)
	if len(rows.Rows) != 1 || rows.Rows[0].Facts.Call.Target != "https://stripe.example.com/v1/things" {
		t.Errorf("%+v", rows)
	}
}
