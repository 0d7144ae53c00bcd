package lifecycle

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/review"
)

// accepted is a Clean Checkout of a mission of so many actions, made so many seconds after noon.
func accepted(n int, uid string, actions int64, with ...changeCheckout) v1alpha1.Checkout {
	made := checkout(n, uid, func(c *v1alpha1.Checkout) { c.Spec.ActionsCount = &actions })
	made.Status = Judge(over(v1alpha1.PhaseCheckedOut, 50), &made, nil, nil, review.DefaultThresholds(), after(n))
	for _, change := range with {
		change(&made)
	}
	return made
}

func fed(c *v1alpha1.Checkout) { c.Status.BaselineTime = &metav1.Time{Time: noon} }

// holding gives an agent a baseline of missions that are in it and not yet marked.
func holding(missions int64, unmarked ...types.UID) changeAgent {
	return func(a *v1alpha1.AgentPassport) {
		a.Status.Baseline = &v1alpha1.Baseline{
			Missions: missions, Actions: v1alpha1.Distribution{Mean: "10", Variance: "0"}, DurationSeconds: v1alpha1.Distribution{Mean: "50", Variance: "0"},
			Fed: unmarked,
		}
	}
}

func many(n int) []v1alpha1.Checkout {
	var all []v1alpha1.Checkout
	for i := range n {
		all = append(all, accepted(i, fmt.Sprintf("%03d", i), 10))
	}
	return all
}

func uidsOf(checkouts []v1alpha1.Checkout) []types.UID {
	var all []types.UID
	for _, checkout := range checkouts {
		all = append(all, checkout.UID)
	}
	return all
}

func TestFeedBaseline(t *testing.T) {
	odd := func(c *v1alpha1.Checkout) {
		c.Status.Conditions = nil
	}
	for name, tc := range map[string]struct {
		agent     []changeAgent
		checkouts []v1alpha1.Checkout
		all       bool

		missions int64
		fed      []types.UID
		marks    []types.UID
		same     bool
	}{
		"nothing":                  {same: true},
		"nothing that feeds":       {agent: []changeAgent{holding(3, "gone")}, checkouts: []v1alpha1.Checkout{accepted(1, "a", 10, fed), accepted(2, "b", 10, odd)}, all: true, same: true, missions: 3, fed: []types.UID{"gone"}},
		"the first":                {checkouts: []v1alpha1.Checkout{accepted(1, "a", 10)}, missions: 1, fed: []types.UID{"a"}, marks: []types.UID{"a"}},
		"in order of their making": {checkouts: []v1alpha1.Checkout{accepted(3, "a", 10), accepted(1, "c", 10), accepted(1, "b", 10)}, missions: 3, fed: []types.UID{"b", "c", "a"}, marks: []types.UID{"b", "c", "a"}},
		"in it, and not marked":    {agent: []changeAgent{holding(1, "a")}, checkouts: []v1alpha1.Checkout{accepted(1, "a", 10)}, same: true, missions: 1, fed: []types.UID{"a"}, marks: []types.UID{"a"}},
		"in it, and not marked, and a new one": {
			agent: []changeAgent{holding(1, "a")}, checkouts: []v1alpha1.Checkout{accepted(1, "a", 10), accepted(2, "b", 10)},
			missions: 2, fed: []types.UID{"a", "b"}, marks: []types.UID{"a", "b"},
		},
		"in it, and marked, and a new one": {
			agent: []changeAgent{holding(1, "a")}, checkouts: []v1alpha1.Checkout{accepted(1, "a", 10, fed), accepted(2, "b", 10)},
			missions: 2, fed: []types.UID{"b"}, marks: []types.UID{"b"},
		},
		"in it, and not in the cache, and a new one": {
			agent: []changeAgent{holding(1, "a")}, checkouts: []v1alpha1.Checkout{accepted(2, "b", 10)}, missions: 2, fed: []types.UID{"a", "b"}, marks: []types.UID{"b"},
		},
		"in it, and gone, and a new one": {
			agent: []changeAgent{holding(1, "a")}, checkouts: []v1alpha1.Checkout{accepted(2, "b", 10)}, all: true, missions: 2, fed: []types.UID{"b"}, marks: []types.UID{"b"},
		},
		"another agent's of the name": {
			agent: []changeAgent{func(a *v1alpha1.AgentPassport) { a.UID = "another" }}, checkouts: []v1alpha1.Checkout{accepted(1, "a", 10)}, same: true,
		},
		"twenty":     {checkouts: many(20), missions: 20, fed: uidsOf(many(20)), marks: uidsOf(many(20))},
		"twenty-one": {checkouts: many(21), missions: 20, fed: uidsOf(many(20)), marks: uidsOf(many(20))},
		"twenty that are not marked, and one more": {
			agent: []changeAgent{holding(20, uidsOf(many(20))...)}, checkouts: many(21), missions: 20, fed: uidsOf(many(20)), marks: uidsOf(many(20)),
		},
		"twenty that are gone, and one more, by a cache": {
			agent: []changeAgent{holding(20, uidsOf(many(20))...)}, checkouts: []v1alpha1.Checkout{accepted(99, "new", 10)}, missions: 20, fed: uidsOf(many(20)),
		},
		"twenty that are gone, and one more": {
			agent: []changeAgent{holding(20, uidsOf(many(20))...)}, checkouts: []v1alpha1.Checkout{accepted(99, "new", 10)}, all: true,
			missions: 21, fed: []types.UID{"new"}, marks: []types.UID{"new"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			its := agent(tc.agent...)
			rand.Shuffle(len(tc.checkouts), func(i, j int) { tc.checkouts[i], tc.checkouts[j] = tc.checkouts[j], tc.checkouts[i] })
			before := its.DeepCopy()
			baseline, marks, err := FeedBaseline(its, tc.checkouts, tc.all, after(100).Add(time.Millisecond))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, its); diff != "" {
				t.Errorf("what was given changed: %s", diff)
			}
			if tc.same {
				if diff := cmp.Diff(its.Status.Baseline, baseline); diff != "" {
					t.Error(diff)
				}
			} else if baseline.Missions != tc.missions || !cmp.Equal(baseline.Fed, tc.fed) {
				t.Errorf("%d missions, fed by %v", baseline.Missions, baseline.Fed)
			}
			got := map[types.UID]bool{}
			for _, mark := range marks {
				got[mark.UID] = true
			}
			want := map[types.UID]bool{}
			for _, uid := range tc.marks {
				want[uid] = true
			}
			if diff := cmp.Diff(want, got); diff != "" || len(marks) != len(tc.marks) {
				t.Errorf("marks: %s", diff)
			}
		})
	}
}

func TestFeedBaselineCountsWhatTheMissionWasJudgedBy(t *testing.T) {
	first, second := accepted(1, "a", 10), accepted(2, "b", 20)
	second.Status.Mission.DurationSeconds = 150
	baseline, _, err := FeedBaseline(agent(), []v1alpha1.Checkout{second, first}, false, after(100))
	if err != nil {
		t.Fatal(err)
	}
	want := &v1alpha1.Baseline{
		Missions: 2, Actions: v1alpha1.Distribution{Mean: "15", Variance: "25"}, DurationSeconds: v1alpha1.Distribution{Mean: "100", Variance: "2500"},
		Services: []v1alpha1.ServiceCount{{Service: "slack", Missions: 2}}, Fed: []types.UID{"a", "b"}, LastTime: &metav1.Time{Time: after(100)},
	}
	if diff := cmp.Diff(want, baseline); diff != "" {
		t.Error(diff)
	}
}

func TestFeedBaselineRefusesDamagedNumbers(t *testing.T) {
	its := agent(holding(3), func(a *v1alpha1.AgentPassport) { a.Status.Baseline.Actions.Mean = "many" })
	if baseline, marks, err := FeedBaseline(its, []v1alpha1.Checkout{accepted(1, "a", 10)}, false, noon); err == nil || baseline != nil || marks != nil {
		t.Errorf("%v, %v, %v", baseline, marks, err)
	}
}

func TestLacksFed(t *testing.T) {
	for name, tc := range map[string]struct {
		agent     *v1alpha1.AgentPassport
		checkouts []v1alpha1.Checkout
		want      bool
	}{
		"no baseline":     {agent(), many(3), false},
		"none unmarked":   {agent(holding(3)), nil, false},
		"all there":       {agent(holding(3, "000", "002")), many(3), false},
		"one not there":   {agent(holding(3, "000", "003")), many(3), true},
		"nothing is read": {agent(holding(3, "000")), nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := LacksFed(tc.agent, tc.checkouts); got != tc.want {
				t.Error(got)
			}
		})
	}
}
