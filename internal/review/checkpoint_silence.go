package review

import (
	"fmt"
	"time"

	"agentpassport.dev/operator/api/v1alpha1"
)

// Silence is a warning: no checkpoint came by the time due. In mode Enforced the passport's death is
// the sanction, and a drained node looks the same as a silent agent.
func Silence(due time.Time, last *time.Time) Finding {
	since := "since it was issued"
	if last != nil {
		since = "since the one of " + last.UTC().Format(time.RFC3339)
	}
	return Finding{
		Type:     CheckpointSilence,
		Severity: v1alpha1.SeverityWarning,
		At:       due,
		Message:  fmt.Sprintf("no checkpoint was made by %s; none %s", due.UTC().Format(time.RFC3339), since),
	}
}
