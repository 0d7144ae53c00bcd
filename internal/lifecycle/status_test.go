package lifecycle

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/api/v1alpha1"
)

// A mission that ended as it was meant to has Succeeded in the place of Ready; every other end is Stalled.
func TestConditionsOfAnEnd(t *testing.T) {
	for _, tc := range []struct {
		mode  v1alpha1.AccountabilityMode
		phase v1alpha1.Phase
		want  []string
	}{
		{v1alpha1.ModeEnforced, v1alpha1.PhaseCheckedOut, []string{"Succeeded=True"}},
		{v1alpha1.ModeLogged, v1alpha1.PhaseCheckedOut, []string{"Succeeded=True"}},
		{v1alpha1.ModeStandard, v1alpha1.PhaseExpired, []string{"Succeeded=True"}},
		{v1alpha1.ModeEnforced, v1alpha1.PhaseExpired, []string{"Ready=False", "Stalled=True"}},
		{v1alpha1.ModeLogged, v1alpha1.PhaseExpired, []string{"Ready=False", "Stalled=True"}},
		{v1alpha1.ModeEnforced, v1alpha1.PhaseRevoked, []string{"Ready=False", "Stalled=True"}},
		{v1alpha1.ModeStandard, v1alpha1.PhaseRevoked, []string{"Ready=False", "Stalled=True"}},
		{"", v1alpha1.PhaseRejected, []string{"Ready=False", "Stalled=True"}},
	} {
		t.Run(string(tc.mode)+" "+string(tc.phase), func(t *testing.T) {
			passport := active(leash(tc.mode, 900, 300, 86400))
			SetDelivered(&passport.Status, 1, v1alpha1.ReasonDelivered, "the Secret has it", noon)
			if tc.mode == "" {
				passport.Status = v1alpha1.PassportStatus{}
			}
			finish(&passport.Status, 1, tc.phase, "Reason", "message", after(300))
			var got []string
			for _, condition := range passport.Status.Conditions {
				got = append(got, condition.Type+"="+string(condition.Status))
				if condition.Reason != "Reason" || condition.Message != "message" || !condition.LastTransitionTime.Time.Equal(after(300)) {
					t.Errorf("%+v", condition)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if why := passport.Status.Explanation(); why == nil || why.Reason != "Reason" {
				t.Errorf("it does not say why: %+v", why)
			}
		})
	}
	if why := (&v1alpha1.PassportStatus{}).Explanation(); why != nil {
		t.Errorf("nobody has looked at it, and it says %+v", why)
	}
}
