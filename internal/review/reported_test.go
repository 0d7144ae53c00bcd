package review_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/review"
)

// How bad a signal of a gateway is, its type and the mode decide.
func TestReported(t *testing.T) {
	const critical, warning = v1alpha1.SeverityCritical, v1alpha1.SeverityWarning
	type outcome struct {
		Severity v1alpha1.Severity
		Revokes  bool
	}
	for kind, want := range map[string]map[v1alpha1.AccountabilityMode]outcome{
		review.CredentialOutsideScope: {"Enforced": {critical, true}, "Logged": {warning, false}, "Standard": {warning, false}},
		review.ScopeDrift:             {"Enforced": {warning, true}, "Logged": {warning, false}, "Standard": {warning, false}},
		review.ForeignWorkload:        {"Enforced": {critical, true}, "Logged": {critical, false}, "Standard": {critical, false}},
		review.UseAfterCheckout:       {"Enforced": {critical, false}, "Logged": {critical, false}, "Standard": {critical, false}},
		review.UseAfterRevocation:     {"Enforced": {warning, false}, "Logged": {warning, false}, "Standard": {warning, false}},
		review.ConstraintViolation:    {"Enforced": {warning, false}, "Logged": {warning, false}, "Standard": {warning, false}},
		review.CredentialBurst:        {"Enforced": {warning, false}, "Logged": {warning, false}, "Standard": {warning, false}},
		review.CallRateAnomaly:        {"Enforced": {warning, false}, "Logged": {warning, false}, "Standard": {warning, false}},
	} {
		got := map[v1alpha1.AccountabilityMode]outcome{}
		for mode := range want {
			finding, known := review.Reported(kind, "slack", "seen", mode, noon)
			if !known || finding.Type != kind || finding.Service != "slack" || finding.Message != "seen" || !finding.At.Equal(noon) {
				t.Errorf("%s: %v %+v", kind, known, finding)
			}
			got[mode] = outcome{finding.Severity, finding.Revokes}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", kind, diff)
		}
		if once := review.Once(kind); once != (kind == review.ScopeDrift) {
			t.Errorf("%s once: %v", kind, once)
		}
	}
	// What the operator finds itself, and what nobody knows, a gateway cannot raise.
	for _, kind := range []string{"", "odd", review.CheckpointSilence, review.AbandonedMission, review.UngrantedService, review.SignalRaised} {
		if finding, known := review.Reported(kind, "", "", v1alpha1.ModeEnforced, noon); known {
			t.Errorf("%q: %+v", kind, finding)
		}
	}
	finding, _ := review.Reported(review.ScopeDrift, "", strings.Repeat("ö", 600), v1alpha1.ModeLogged, noon)
	if n := utf8.RuneCountInString(finding.Message); n != 512 {
		t.Errorf("a message of %d characters", n)
	}
}

func TestJudgeable(t *testing.T) {
	all := []v1alpha1.Signal{
		{Type: review.UseAfterCheckout}, {Type: review.ScopeDrift}, {Type: review.UseAfterRevocation}, {Type: review.CheckpointSilence},
	}
	want := []v1alpha1.Signal{{Type: review.ScopeDrift}, {Type: review.CheckpointSilence}}
	if diff := cmp.Diff(want, review.Judgeable(all)); diff != "" {
		t.Error(diff)
	}
	if all[0].Type != review.UseAfterCheckout || len(all) != 4 {
		t.Error("the signals that were given changed")
	}
}

// What an agent asked for and may not have counts; what a gateway could not do does not.
func TestDenied(t *testing.T) {
	for code, want := range map[decision.Code]bool{
		decision.CodeOutsideScope: true, decision.CodeForeignTarget: true, decision.CodeBadTarget: true,
		decision.CodeMethod: true, decision.CodeAddressRefused: true, decision.CodeConstraint: true,

		decision.Allowed: false, decision.CodeTokenForged: false, decision.CodeTokenMissing: false, decision.CodeStateUnknown: false,
		decision.CodeExpired: false, decision.CodeRevoked: false, decision.CodeForeignCaller: false, decision.CodeNoConnection: false,
		decision.CodeBadRequest: false, decision.CodeCredential: false, decision.CodeAuditUnavailable: false, decision.CodeLimited: false,
		decision.CodeTooLarge: false, decision.CodeUpstream: false, "": false,
	} {
		if got := review.Denied(code); got != want {
			t.Errorf("%s: %v", code, got)
		}
	}
}

func TestUsualCallRate(t *testing.T) {
	for name, tc := range map[string]struct {
		missions         int64
		actions, seconds v1alpha1.Distribution
		want             float64
		known            bool
	}{
		"too few missions":          {4, v1alpha1.Distribution{Mean: "12", Variance: "0"}, v1alpha1.Distribution{Mean: "600", Variance: "0"}, 0, false},
		"the floor of 10 a minute":  {5, v1alpha1.Distribution{Mean: "10", Variance: "0"}, v1alpha1.Distribution{Mean: "600", Variance: "0"}, 31, true},
		"the floor of a tenth":      {5, v1alpha1.Distribution{Mean: "2000", Variance: "0"}, v1alpha1.Distribution{Mean: "600", Variance: "0"}, 260, true},
		"what varies, of both":      {5, v1alpha1.Distribution{Mean: "1000", Variance: "90000"}, v1alpha1.Distribution{Mean: "600", Variance: "57600"}, 250, true},
		"missions of no time":       {5, v1alpha1.Distribution{Mean: "0", Variance: "0"}, v1alpha1.Distribution{Mean: "0", Variance: "0"}, 30, true},
		"nothing, before a mission": {0, v1alpha1.Distribution{}, v1alpha1.Distribution{}, 0, false},
	} {
		b := &v1alpha1.Baseline{Missions: tc.missions, Actions: tc.actions, DurationSeconds: tc.seconds}
		got, known, err := review.UsualCallRate(b, review.DefaultThresholds())
		if err != nil || known != tc.known || got < tc.want-1e-9 || got > tc.want+1e-9 {
			t.Errorf("%s: %v %v %v, want %v", name, got, known, err, tc.want)
		}
	}
	if _, _, err := review.UsualCallRate(&v1alpha1.Baseline{Missions: 9, Actions: v1alpha1.Distribution{Mean: "x"}}, review.DefaultThresholds()); err == nil {
		t.Error("a damaged baseline is taken")
	}
	if _, known, err := review.UsualCallRate(nil, review.DefaultThresholds()); known || err != nil {
		t.Errorf("without a baseline: %v %v", known, err)
	}
}
