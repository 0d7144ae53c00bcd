package review_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/review"
)

type services = []v1alpha1.ServiceName

// ticket is a mission that nobody can say anything against.
func ticket() review.Mission {
	return review.Mission{
		Mode:               v1alpha1.ModeEnforced,
		Intent:             &v1alpha1.Intent{Summary: "Resolve ticket 42", Services: services{"slack", "github"}, EstimatedDurationSeconds: 600},
		Granted:            services{"github", "notion", "slack"},
		Phase:              v1alpha1.PhaseCheckedOut,
		Issue:              noon,
		End:                noon.Add(600 * time.Second),
		Interval:           300 * time.Second,
		LongestGap:         300 * time.Second,
		Checkpoints:        2,
		CheckpointActions:  12,
		CheckpointServices: services{"slack"},
		Report: review.Report{
			Source:   v1alpha1.SourceAgent,
			At:       noon.Add(600 * time.Second),
			Services: services{"slack", "github"},
			Actions:  ptr.To[int64](12),
		},
	}
}

// abandoned is the same mission where the agent fell silent, and the operator checked out.
func abandoned() review.Mission {
	m := ticket()
	m.Phase = v1alpha1.PhaseExpired
	m.Report = review.Report{Source: v1alpha1.SourceOperator, At: m.End.Add(time.Hour)}
	return m
}

// seasoned gives the mission to an agent of five missions, all with 12 actions in 600 s.
func seasoned(m review.Mission) review.Mission {
	m.Baseline = &v1alpha1.Baseline{
		Missions:        5,
		Actions:         v1alpha1.Distribution{Mean: "12", Variance: "0"},
		DurationSeconds: v1alpha1.Distribution{Mean: "600", Variance: "0"},
		Services:        []v1alpha1.ServiceCount{{Service: "github", Missions: 3}, {Service: "slack", Missions: 5}},
	}
	return m
}

func TestMissionTotals(t *testing.T) {
	m := ticket()
	m.CheckpointServices = services{"slack", "aws"}
	m.Report.Services = services{"notion", "slack"}
	if diff := cmp.Diff(services{"aws", "notion", "slack"}, m.Services()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(services{"slack", "aws"}, m.CheckpointServices); diff != "" {
		t.Errorf("the mission's own list changed: %s", diff)
	}
	if got := m.Duration(); got != 10*time.Minute {
		t.Errorf("it took %v", got)
	}
	for name, tc := range map[string]struct {
		reported *int64
		want     int64
	}{
		"none reported":      {nil, 12},
		"fewer reported":     {ptr.To[int64](11), 12},
		"more reported":      {ptr.To[int64](13), 13},
		"reported as zero":   {ptr.To[int64](0), 12},
		"reported the same":  {ptr.To[int64](12), 12},
		"reported in excess": {ptr.To[int64](1_000_000_000), 1_000_000_000},
	} {
		m.Report.Actions = tc.reported
		if got := m.Actions(); got != tc.want {
			t.Errorf("%s: %d actions, want %d", name, got, tc.want)
		}
	}
}
