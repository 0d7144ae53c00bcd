package lifecycle

import (
	"maps"
	"slices"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit/wire"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/review"
)

const (
	// maxObservedServices is how many services an observation names.
	maxObservedServices = 128
	// maxMissing is how many missing gateways it names.
	maxMissing = 64
)

// Observed is what gateways saw of a mission, from the audit log's sums and the names of the gateways
// whose counts did not arrive in time.
func Observed(calls wire.Calls, missing []string) *v1alpha1.ObservedCalls {
	observed := &v1alpha1.ObservedCalls{}
	for _, name := range slices.Sorted(maps.Keys(calls.Services)) {
		sums := calls.Services[name]
		denied := int64(0)
		for code, times := range sums.Refused {
			if review.Denied(decision.Code(code)) {
				denied += times
			}
		}
		observed.Calls += sums.Sent
		observed.Denied += denied
		// A service that no call was let through to is a name that the agent gave.
		if sums.Sent > 0 && len(observed.Services) < maxObservedServices {
			observed.Services = append(observed.Services, v1alpha1.ObservedService{
				Service: v1alpha1.ServiceName(name), Calls: sums.Sent, Denied: denied,
			})
		}
	}
	missing = slices.Compact(slices.Sorted(slices.Values(missing)))
	observed.Missing = missing[:min(len(missing), maxMissing)]
	return observed
}
