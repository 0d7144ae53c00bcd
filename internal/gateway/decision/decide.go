package decision

import "agentpassport.dev/operator/api/v1alpha1"

// Decide judges one call. The first of the steps that fails ends it.
func Decide(s *Situation, r *Request) Decision {
	return Decision{Code: CodeStateUnknown}
}

// NeedsBody says whether a constraint on the service looks at the body of a call.
func NeedsBody(s *Standing, service v1alpha1.ServiceName) bool {
	return false
}
