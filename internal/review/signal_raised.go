package review

import (
	"fmt"

	"agentpassport.dev/operator/api/v1alpha1"
)

// signalRaised repeats each signal that was raised for the mission, with its severity.
func signalRaised(m Mission, _ Thresholds) ([]Finding, error) {
	found := make([]Finding, 0, len(m.Signals))
	for _, signal := range m.Signals {
		message := fmt.Sprintf("Signal %s was raised", signal.Type)
		if signal.Count > 1 {
			message = fmt.Sprintf("%s %d times", message, signal.Count)
		}
		if signal.Message != "" {
			message = fmt.Sprintf("%s: %s", message, signal.Message)
		}
		found = append(found, Finding{
			Type:     SignalRaised,
			Severity: signal.Severity,
			Message:  message,
			Evidence: []v1alpha1.Evidence{
				fact("signal", signal.Type),
				fact("count", signal.Count),
				fact("firstTime", signal.FirstTime.Time),
				fact("lastTime", signal.LastTime.Time),
			},
		})
	}
	return found, nil
}
