package review_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/review"
)

func TestCountCheckpoint(t *testing.T) {
	const interval = 300 * time.Second
	running := &v1alpha1.CheckpointWindow{Start: metav1.NewTime(noon), Count: 4}
	for name, tc := range map[string]struct {
		window *v1alpha1.CheckpointWindow
		at     time.Time
		start  time.Time
		count  int32
	}{
		"the first opens one":               {nil, noon, noon, 1},
		"in the same second":                {running, noon, noon, 5},
		"in its last second":                {running, noon.Add(299 * time.Second), noon, 5},
		"at its end, the next opens":        {running, noon.Add(interval), noon.Add(interval), 1},
		"long after, the next opens there":  {running, noon.Add(time.Hour), noon.Add(time.Hour), 1},
		"one seen late stays in the window": {running, noon.Add(-time.Second), noon, 5},
	} {
		t.Run(name, func(t *testing.T) {
			got := review.CountCheckpoint(tc.window, tc.at, interval)
			if !got.Start.Time.Equal(tc.start) || got.Count != tc.count {
				t.Errorf("%d from %v, want %d from %v", got.Count, got.Start, tc.count, tc.start)
			}
		})
	}
	if running.Count != 4 {
		t.Error("the window that was given changed")
	}
}

func TestBurst(t *testing.T) {
	for count := int32(1); count <= 25; count++ {
		got := review.Burst(v1alpha1.CheckpointWindow{Start: metav1.NewTime(noon), Count: count}, 300*time.Second, 10, noon.Add(time.Minute))
		if count != 11 {
			if got != nil {
				t.Errorf("%d checkpoints: %v", count, got)
			}
			continue
		}
		want := []review.Finding{{
			Type: review.CheckpointBurst, Severity: v1alpha1.SeverityWarning, At: noon.Add(time.Minute),
			Message: "more than 10 checkpoints within one interval of 300 s, from 2026-04-23T12:00:00Z on",
		}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// A window that holds too many is told of once, however many more it gets.
func TestBurstOncePerWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		interval := time.Duration(rapid.IntRange(60, 300).Draw(t, "interval")) * time.Second
		var window *v1alpha1.CheckpointWindow
		at, inWindow := noon, []time.Time(nil)
		for range rapid.IntRange(1, 60).Draw(t, "checkpoints") {
			at = at.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "gap")) * time.Second)
			next := review.CountCheckpoint(window, at, interval)
			if len(inWindow) == 0 || !at.Before(inWindow[0].Add(interval)) {
				inWindow = nil
			}
			inWindow = append(inWindow, at)
			if got, want := len(review.Burst(next, interval, 10, at)) > 0, len(inWindow) == 11; got != want {
				t.Fatalf("checkpoint %d of its window: told %v", len(inWindow), got)
			}
			window = &next
		}
	})
}

func TestSilence(t *testing.T) {
	last := noon.Add(-300 * time.Second)
	for name, tc := range map[string]struct {
		last *time.Time
		want string
	}{
		"after a checkpoint": {&last, "no checkpoint was made by 2026-04-23T12:00:00Z; none since the one of 2026-04-23T11:55:00Z"},
		"from the beginning": {nil, "no checkpoint was made by 2026-04-23T12:00:00Z; none since it was issued"},
	} {
		t.Run(name, func(t *testing.T) {
			want := review.Finding{Type: review.CheckpointSilence, Severity: v1alpha1.SeverityWarning, At: noon, Message: tc.want}
			if diff := cmp.Diff(want, review.Silence(noon, tc.last)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOutsideScope(t *testing.T) {
	granted := []v1alpha1.IssuedService{{Service: "slack"}, {Service: "github"}}
	intent := &v1alpha1.Intent{Services: []v1alpha1.ServiceName{"slack", "calendar"}}
	for name, tc := range map[string]struct {
		intent *v1alpha1.Intent
		used   []v1alpha1.ServiceName
		want   []v1alpha1.ServiceName
	}{
		"nothing used":                 {intent: intent},
		"granted and in the intent":    {intent: intent, used: []v1alpha1.ServiceName{"slack"}},
		"granted, not in the intent":   {intent: intent, used: []v1alpha1.ServiceName{"github"}},
		"in the intent, not granted":   {intent: intent, used: []v1alpha1.ServiceName{"calendar"}},
		"neither, in the order of use": {intent: intent, used: []v1alpha1.ServiceName{"stripe", "slack", "aws"}, want: []v1alpha1.ServiceName{"stripe", "aws"}},
		"neither, without an intent":   {used: []v1alpha1.ServiceName{"slack", "calendar"}, want: []v1alpha1.ServiceName{"calendar"}},
	} {
		for _, mode := range []v1alpha1.AccountabilityMode{v1alpha1.ModeEnforced, v1alpha1.ModeLogged} {
			t.Run(fmt.Sprintf("%s/%s", name, mode), func(t *testing.T) {
				got := review.OutsideScope(v1alpha1.IssuedTerms{Mode: mode, Services: granted}, tc.intent, tc.used, "report", noon)
				var want []review.Finding
				for _, service := range tc.want {
					finding := review.Finding{
						Type: review.CredentialOutsideScope, Severity: v1alpha1.SeverityWarning, Service: service, At: noon,
						Message: fmt.Sprintf("checkpoint report reports the use of %s, which is neither granted nor in the intent", service),
					}
					if mode == v1alpha1.ModeEnforced {
						finding.Severity, finding.Revokes = v1alpha1.SeverityCritical, true
					}
					want = append(want, finding)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestOutsideScopeKeepsMessagesInTheirLimit(t *testing.T) {
	got := review.OutsideScope(v1alpha1.IssuedTerms{}, nil, []v1alpha1.ServiceName{v1alpha1.ServiceName(strings.Repeat("s", 400))}, strings.Repeat("c", 253), noon)
	if n := utf8.RuneCountInString(got[0].Message); n != 512 || !strings.HasSuffix(got[0].Message, "…") {
		t.Errorf("%d characters: %s", n, got[0].Message)
	}
}
