package api

import (
	"testing"
	"time"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
)

// A token counts for as long as calls go out with it: the second of the expiry is in time.
func TestVerifyTakesTheSecondOfTheExpiry(t *testing.T) {
	expiry := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	standing := &decision.Standing{Phase: v1alpha1.PhaseActive, Expiry: expiry}
	for after, want := range map[time.Duration]decision.Code{
		-time.Second:           reasonActive,
		0:                      reasonActive,
		999 * time.Millisecond: reasonActive,
		time.Second:            decision.CodeExpired,
	} {
		if got := standingReason(&decision.Situation{Now: expiry.Add(after), Standing: standing}); got != want {
			t.Errorf("%s after the expiry: %s, want %s", after, got, want)
		}
	}
}
