package review

import (
	"fmt"
	"time"

	"agentpassport.dev/operator/api/v1alpha1"
)

// Abandoned is a warning: a passport expired, and no checkout came within the time after it.
func Abandoned(expiry time.Time, after time.Duration) Finding {
	return Finding{
		Type:     AbandonedMission,
		Severity: v1alpha1.SeverityWarning,
		At:       expiry.Add(after),
		Message:  fmt.Sprintf("the passport expired at %s, and its agent did not check out within %d s", stamp(expiry), inSeconds(after)),
	}
}
