package lifecycle

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
)

func TestTooMany(t *testing.T) {
	const interval = 300 * time.Second
	for name, tc := range map[string]struct {
		waiting []v1alpha1.Checkpoint
		refused []types.UID
	}{
		"none":                       {nil, nil},
		"twenty in one second":       {reports(20, 0, 0), nil},
		"twenty-one in one second":   {reports(21, 0, 0), []types.UID{"020"}},
		"twenty-three in one second": {reports(23, 0, 0), []types.UID{"020", "021", "022"}},
		"the twenty-first in the last second of the interval": {append(reports(20, 0, 0), report(299, "last")), []types.UID{"last"}},
		"the twenty-first an interval later":                  {append(reports(20, 0, 0), report(300, "next")), nil},
		"a refused one does not count against the next":       {append(reports(21, 0, 0), report(300, "next")), []types.UID{"020"}},
		"sixty spread over three intervals":                   {reports(60, 0, 15), nil},
		"forty-two spread a little closer":                    {reports(42, 0, 14), []types.UID{"020", "021"}},
	} {
		t.Run(name, func(t *testing.T) {
			waiting := pointers(tc.waiting)
			kept, refused := tooMany(waiting, interval)
			if diff := cmp.Diff(tc.refused, uids(refused)); diff != "" {
				t.Errorf("refused: %s", diff)
			}
			if len(kept)+len(refused) != len(waiting) {
				t.Errorf("%d waited, %d kept, %d refused", len(waiting), len(kept), len(refused))
			}
		})
	}
}

func TestSurplus(t *testing.T) {
	accepted, late := judged(requested(), v1alpha1.ReasonAccepted), judged(requested(), v1alpha1.ReasonTooLate)
	for name, tc := range map[string]struct {
		checkpoints []v1alpha1.Checkpoint
		want        []types.UID
	}{
		"none": {},
		"three of each kind are kept": {checkpoints: []v1alpha1.Checkpoint{
			report(1, "a1", accepted), report(2, "a2", accepted), report(3, "a3", accepted),
			report(1, "r1", late), report(2, "r2", late), report(3, "r3", late),
		}},
		"the oldest of each kind go": {
			checkpoints: []v1alpha1.Checkpoint{
				report(1, "a1", accepted), report(2, "a2", accepted), report(3, "a3", accepted), report(4, "a4", accepted), report(5, "a5", accepted),
				report(1, "r1", late), report(2, "r2", late), report(3, "r3", late), report(4, "r4", late),
			},
			want: []types.UID{"a1", "a2", "r1"},
		},
		"of one second the lower UIDs go": {
			checkpoints: []v1alpha1.Checkpoint{report(1, "d", accepted), report(1, "b", accepted), report(1, "c", accepted), report(1, "a", accepted)},
			want:        []types.UID{"a"},
		},
		"what waits is kept, however old and however much": {checkpoints: append(reports(30, -60, 0),
			report(7, "a1", accepted), report(8, "a2", accepted), report(9, "a3", accepted))},
	} {
		t.Run(name, func(t *testing.T) {
			rand.Shuffle(len(tc.checkpoints), func(i, j int) {
				tc.checkpoints[i], tc.checkpoints[j] = tc.checkpoints[j], tc.checkpoints[i]
			})
			if diff := cmp.Diff(tc.want, uids(Surplus(tc.checkpoints))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestForeign(t *testing.T) {
	enforced, standard := active(leash(v1alpha1.ModeEnforced, 900, 300, 86400)), active(leash(v1alpha1.ModeStandard, 900, 0, 86400))
	others := func(c *v1alpha1.Checkpoint) { c.Spec.AgentRef.Name = "other" }
	for name, tc := range map[string]struct {
		passport   *v1alpha1.Passport
		checkpoint v1alpha1.Checkpoint
		want       v1alpha1.Reason
	}{
		"its own":                                       {enforced, report(10, "a"), ""},
		"made in the second of the Passport":            {enforced, report(-60, "a"), ""},
		"made a second before the Passport":             {enforced, report(-61, "a"), v1alpha1.ReasonPassportNotFound},
		"another agent's":                               {enforced, report(10, "a", others), v1alpha1.ReasonNotYours},
		"another agent's, for an earlier Passport":      {enforced, report(-61, "a", others), v1alpha1.ReasonPassportNotFound},
		"mode Standard":                                 {standard, report(10, "a"), v1alpha1.ReasonCheckpointNotAvailable},
		"another agent's, mode Standard":                {standard, report(10, "a", others), v1alpha1.ReasonNotYours},
		"of a Passport that was never issued":           {requested(), report(10, "a"), ""},
		"another agent's, of one that was never issued": {requested(), report(10, "a", others), v1alpha1.ReasonNotYours},
	} {
		t.Run(name, func(t *testing.T) {
			mark, is := foreign(tc.passport, &tc.checkpoint)
			if is != (tc.want != "") || mark.Reason != tc.want {
				t.Errorf("%v %q, want %q", is, mark.Reason, tc.want)
			}
			if is && (mark.Message == "" || mark.Checkpoint != &tc.checkpoint) {
				t.Errorf("%+v", mark)
			}
		})
	}
}

func TestMarkStatus(t *testing.T) {
	passport := requested()
	earlier := report(10, "a")
	for name, tc := range map[string]struct {
		mark     Mark
		passport *v1alpha1.Passport
		want     v1alpha1.CheckpointStatus
	}{
		"accepted": {
			Mark{Checkpoint: &earlier, Reason: v1alpha1.ReasonAccepted, Message: "counted", Expiry: after(310)},
			passport,
			v1alpha1.CheckpointStatus{ObservedGeneration: 1, PassportUID: "passport-uid", ExpirationTime: &metav1.Time{Time: after(310)}, Conditions: []metav1.Condition{
				{Type: "Ready", Status: "True", Reason: "Accepted", Message: "counted", ObservedGeneration: 1, LastTransitionTime: metaAfter(20)},
			}},
		},
		"rejected": {
			Mark{Checkpoint: &earlier, Reason: v1alpha1.ReasonTooLate, Message: "late"},
			passport,
			v1alpha1.CheckpointStatus{ObservedGeneration: 1, PassportUID: "passport-uid", Conditions: []metav1.Condition{
				{Type: "Stalled", Status: "True", Reason: "TooLate", Message: "late", ObservedGeneration: 1, LastTransitionTime: metaAfter(20)},
				{Type: "Ready", Status: "False", Reason: "TooLate", Message: "late", ObservedGeneration: 1, LastTransitionTime: metaAfter(20)},
			}},
		},
		"rejected by nobody": {
			Mark{Checkpoint: &earlier, Reason: v1alpha1.ReasonPassportNotFound, Message: "no Passport"},
			nil,
			v1alpha1.CheckpointStatus{ObservedGeneration: 1, Conditions: []metav1.Condition{
				{Type: "Stalled", Status: "True", Reason: "PassportNotFound", Message: "no Passport", ObservedGeneration: 1, LastTransitionTime: metaAfter(20)},
				{Type: "Ready", Status: "False", Reason: "PassportNotFound", Message: "no Passport", ObservedGeneration: 1, LastTransitionTime: metaAfter(20)},
			}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := tc.mark.Status(tc.passport, after(20).Add(300*time.Millisecond))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			marked := v1alpha1.Checkpoint{Status: got}
			if !Marked(&marked) || Accepted(&marked) != (tc.mark.Reason == v1alpha1.ReasonAccepted) {
				t.Errorf("Marked %v, Accepted %v", Marked(&marked), Accepted(&marked))
			}
			if len(earlier.Status.Conditions) > 0 {
				t.Error("the checkpoint that was read changed")
			}
		})
	}
	if Marked(&earlier) || Accepted(&earlier) {
		t.Error("marked from the beginning")
	}
}

// A crash between two marks, or one that is repeated, leaves the same mark.
func TestTheMarkOfAFoldedCheckpointIsTheSameInEveryRound(t *testing.T) {
	for _, mode := range []v1alpha1.AccountabilityMode{v1alpha1.ModeEnforced, v1alpha1.ModeLogged} {
		t.Run(string(mode), func(t *testing.T) {
			passport := active(leash(mode, 900, 300, 700))
			checkpoints := []v1alpha1.Checkpoint{report(250, "b"), report(-30, "0"), report(100, "a"), report(500, "c")}
			first := Advance(Situation{Passport: passport, Agent: agent(), Checkpoints: checkpoints, Now: after(510)})
			passport.Status = first.Status
			second := Advance(Situation{Passport: passport, Agent: agent(), Checkpoints: checkpoints, Now: after(515)})
			ended := passport.DeepCopy()
			ended.Status.Phase, ended.Status.EndTime = v1alpha1.PhaseExpired, &metav1.Time{Time: after(700)}
			third := Advance(Situation{Passport: ended, Checkpoints: checkpoints, Now: after(710)})
			if len(first.Marks) != 4 {
				t.Fatalf("%v", marks(first))
			}
			byPointer := cmpopts.SortSlices(func(a, b Mark) bool { return a.Checkpoint.UID < b.Checkpoint.UID })
			for i, again := range []Outcome{second, third} {
				if diff := cmp.Diff(first.Marks, again.Marks, byPointer); diff != "" {
					t.Errorf("repeat %d: %s", i, diff)
				}
			}
			for _, mark := range first.Marks {
				want := map[types.UID]int{"0": 300, "a": 400, "b": 550, "c": 700}[mark.Checkpoint.UID]
				if mode == v1alpha1.ModeLogged {
					want = 700
				}
				if !mark.Expiry.Equal(after(want)) {
					t.Errorf("%s: %v, want %v", mark.Checkpoint.UID, mark.Expiry, after(want))
				}
			}
		})
	}
}

func TestRefusedMarksNameWhatCameFirst(t *testing.T) {
	passport := active(leash(v1alpha1.ModeEnforced, 900, 300, 86400))
	checkpoint := report(301, "a")
	for _, tc := range []struct {
		got    Mark
		reason v1alpha1.Reason
		want   string
	}{
		{lateMark(passport, &checkpoint, after(300)), v1alpha1.ReasonTooLate, "made at 2026-04-23T12:05:01Z; passport mission had expired at 2026-04-23T12:05:00Z"},
		{endedMark(passport, &checkpoint, v1alpha1.PhaseRevoked, after(200)), v1alpha1.ReasonPassportEnded, "passport mission is Revoked since 2026-04-23T12:03:20Z: create another Passport"},
		{tooManyMark(&checkpoint), v1alpha1.ReasonTooMany, "20 checkpoints of the same interval were waiting already; the next one counts once they are folded"},
	} {
		if diff := cmp.Diff(Mark{Checkpoint: &checkpoint, Reason: tc.reason, Message: tc.want}, tc.got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestACheckpointIsFoldedInItsOrder(t *testing.T) {
	checkpoints := []v1alpha1.Checkpoint{report(5, "b"), report(4, "z"), report(5, "a")}
	ordered := pointers(checkpoints)
	inOrder(ordered)
	if got := fmt.Sprint(uids(ordered)); got != "[z a b]" {
		t.Error(got)
	}
	if meta.FindStatusCondition(checkpoints[0].Status.Conditions, "Ready") != nil {
		t.Error("marked by being sorted")
	}
}
