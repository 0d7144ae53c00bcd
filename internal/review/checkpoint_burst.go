package review

import (
	"fmt"
	"time"

	"agentpassport.dev/operator/api/v1alpha1"
)

// CountCheckpoint adds a checkpoint to the window that counts those of one interval: a checkpoint
// past the window's end opens the next.
func CountCheckpoint(window *v1alpha1.CheckpointWindow, at time.Time, interval time.Duration) v1alpha1.CheckpointWindow {
	if window == nil || !at.Before(window.Start.Add(interval)) {
		next := v1alpha1.CheckpointWindow{Count: 1}
		next.Start.Time = at
		return next
	}
	next := *window
	next.Count++
	return next
}

// Burst is a warning, once a window, where it holds more checkpoints than the limit.
func Burst(window v1alpha1.CheckpointWindow, interval time.Duration, limit int32, at time.Time) []Finding {
	if window.Count != limit+1 {
		return nil
	}
	return []Finding{{
		Type:     CheckpointBurst,
		Severity: v1alpha1.SeverityWarning,
		At:       at,
		Message: fmt.Sprintf("more than %d checkpoints within one interval of %d s, from %s on",
			limit, int(interval.Seconds()), window.Start.UTC().Format(time.RFC3339)),
	}}
}
