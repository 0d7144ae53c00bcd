package review_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/review"
)

var noon = time.Date(2026, 4, 23, 12, 0, 0, 0, time.UTC)

func exception(kind string, service v1alpha1.ServiceName, until time.Time) v1alpha1.StandingException {
	return v1alpha1.StandingException{Type: kind, Service: service, Until: metav1.NewTime(until), Reason: "migration"}
}

func TestAccept(t *testing.T) {
	outside := review.Finding{
		Type: review.CredentialOutsideScope, Severity: v1alpha1.SeverityCritical, Service: "stripe",
		At: noon, Message: "stripe was used", Revokes: true,
	}
	silence := review.Finding{Type: review.CheckpointSilence, Severity: v1alpha1.SeverityWarning, At: noon, Message: "silence"}
	later := noon.Add(time.Hour)
	for name, tc := range map[string]struct {
		finding    review.Finding
		exceptions []v1alpha1.StandingException
		accepted   bool
	}{
		"no exception":                         {finding: outside},
		"another type":                         {finding: outside, exceptions: []v1alpha1.StandingException{exception(review.CheckpointBurst, "", later)}},
		"another service":                      {finding: outside, exceptions: []v1alpha1.StandingException{exception(outside.Type, "slack", later)}},
		"its service":                          {finding: outside, exceptions: []v1alpha1.StandingException{exception(outside.Type, "stripe", later)}, accepted: true},
		"any service":                          {finding: outside, exceptions: []v1alpha1.StandingException{exception(outside.Type, "", later)}, accepted: true},
		"one service, of a finding about none": {finding: silence, exceptions: []v1alpha1.StandingException{exception(silence.Type, "slack", later)}},
		"of a finding about none":              {finding: silence, exceptions: []v1alpha1.StandingException{exception(silence.Type, "", later)}, accepted: true},
		"a second before it ends":              {finding: outside, exceptions: []v1alpha1.StandingException{exception(outside.Type, "", noon.Add(time.Second))}, accepted: true},
		"in the moment in which it ends":       {finding: outside, exceptions: []v1alpha1.StandingException{exception(outside.Type, "", noon)}},
		"a second after it ended":              {finding: outside, exceptions: []v1alpha1.StandingException{exception(outside.Type, "", noon.Add(-time.Second))}},
		"the second of two":                    {finding: outside, exceptions: []v1alpha1.StandingException{exception(outside.Type, "", noon), exception(outside.Type, "stripe", later)}, accepted: true},
	} {
		t.Run(name, func(t *testing.T) {
			got := review.Accept(tc.finding, tc.exceptions)
			if !tc.accepted {
				if diff := cmp.Diff(tc.finding, got); diff != "" {
					t.Error(diff)
				}
				return
			}
			if got.Severity != v1alpha1.SeverityInfo || got.Revokes {
				t.Errorf("%+v", got)
			}
			if !strings.HasPrefix(got.Message, tc.finding.Message+"; accepted until 2026-04-23T1") || !strings.HasSuffix(got.Message, "Z: migration") {
				t.Errorf("message %q", got.Message)
			}
			if again := review.Accept(got, tc.exceptions); again.Message != got.Message {
				t.Errorf("accepted twice: %q", again.Message)
			}
		})
	}
}

func TestAcceptKeepsMessagesInTheirLimit(t *testing.T) {
	finding := review.Finding{Type: "x", Severity: v1alpha1.SeverityWarning, At: noon, Message: strings.Repeat("ü", 512)}
	got := review.Accept(finding, []v1alpha1.StandingException{{Type: "x", Until: metav1.NewTime(noon.Add(time.Hour)), Reason: strings.Repeat("ß", 500)}})
	if n := utf8.RuneCountInString(got.Message); n != 512 || !utf8.ValidString(got.Message) {
		t.Errorf("%d characters, valid %v", n, utf8.ValidString(got.Message))
	}
	if !strings.HasPrefix(got.Message, "üü") || !strings.Contains(got.Message, "…; accepted until 2026-04-23T13:00:00Z: ßß") {
		t.Errorf("either the message or the exception is lost: %s", got.Message)
	}
}

func TestBlocks(t *testing.T) {
	block, notify := v1alpha1.EscalateBlock, v1alpha1.EscalateNotify
	for _, tc := range []struct {
		severity              v1alpha1.Severity
		onWarning, onCritical v1alpha1.Escalation
		want                  bool
	}{
		{v1alpha1.SeverityInfo, block, block, false},
		{v1alpha1.SeverityWarning, block, notify, true},
		{v1alpha1.SeverityWarning, notify, block, false},
		{v1alpha1.SeverityWarning, "", "", false},
		{v1alpha1.SeverityCritical, notify, block, true},
		{v1alpha1.SeverityCritical, block, notify, false},
		{"", block, block, false},
	} {
		got := review.Blocks(tc.severity, v1alpha1.Accountability{OnWarning: tc.onWarning, OnCritical: tc.onCritical})
		if got != tc.want {
			t.Errorf("Blocks(%q, onWarning %q, onCritical %q) = %v", tc.severity, tc.onWarning, tc.onCritical, got)
		}
	}
}

func TestWorse(t *testing.T) {
	rising := []v1alpha1.Severity{"", v1alpha1.SeverityInfo, v1alpha1.SeverityWarning, v1alpha1.SeverityCritical}
	for i, a := range rising {
		for j, b := range rising {
			if got := review.Worse(a, b); got != rising[max(i, j)] {
				t.Errorf("Worse(%q, %q) = %q", a, b, got)
			}
		}
	}
}
