package api

import (
	"errors"
	"testing"

	"agentpassport.dev/operator/api/v1alpha1"
)

// A passport that has ended is not revoked, in whatever mode it was: it is told to have ended.
func TestRevokeWhatHasEnded(t *testing.T) {
	for _, mode := range []v1alpha1.AccountabilityMode{v1alpha1.ModeStandard, v1alpha1.ModeLogged, v1alpha1.ModeEnforced} {
		passport := &v1alpha1.Passport{Status: v1alpha1.PassportStatus{Phase: v1alpha1.PhaseExpired, Issued: &v1alpha1.IssuedTerms{Mode: mode}}}
		err := (&service{}).revokeLive(t.Context(), nil, passport, "leaked")
		var told *failure
		if !errors.As(err, &told) || told.code != CodePassportEnded {
			t.Errorf("%s: %v", mode, err)
		}
		// Where many are revoked, one that ended meanwhile is no failure.
		answer := revokeAnswer{}
		answer.add("pp_1", err)
		if len(answer.Failed) > 0 {
			t.Errorf("%s: %+v", mode, answer)
		}
	}
}
